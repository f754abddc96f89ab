//! A PostgreSQL server of the tests' own, as the system's user `postgres`: by the socket it lets in the system's users
//! (peer), by TCP the roles of the group `trusting` without a password and all others with theirs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::server::{as_user, folder, free_port, serve, until};

pub struct PostgresqlServer {
    pub folder: PathBuf,
    pub port: u16,
}

/// The one server of this test program.
pub fn server() -> &'static PostgresqlServer {
    static SERVER: OnceLock<PostgresqlServer> = OnceLock::new();
    SERVER.get_or_init(PostgresqlServer::start)
}

/// A program of the server's own version.
pub fn program(name: &str) -> PathBuf {
    let mut versions: Vec<u32> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|version| Path::new("/usr/lib/postgresql").join(format!("{version}/bin/postgres")).exists())
        .collect();
    versions.sort_unstable();
    let version =
        versions.pop().unwrap_or_else(|| panic!("no PostgreSQL server is installed: run packaging/setup test"));
    Path::new("/usr/lib/postgresql").join(version.to_string()).join("bin").join(name)
}

impl PostgresqlServer {
    fn start() -> Self {
        let folder = folder("postgresql", "postgres");
        let data = folder.join("data");
        let made = as_user("postgres", &program("initdb"))
            .args(["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=peer", "--username=postgres", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let rules = "local all all peer\n\
            host all +trusting 127.0.0.1/32 trust\n\
            host all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), rules).unwrap();
        let port = free_port();
        let mut server = as_user("postgres", &program("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(&folder).arg("-p").arg(port.to_string()).args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
            "-c",
            "max_prepared_transactions=4",
            "-c",
            "max_connections=60",
        ]);
        serve(server, "QUIT");
        let server = Self { folder, port };
        until("PostgreSQL answers", || server.psql("postgres", "SELECT 1").is_ok());
        server.sql("postgres", "CREATE ROLE trusting");
        server
    }

    /// What the superuser's psql answers.
    pub fn psql(&self, database: &str, statements: &str) -> Result<String, String> {
        let mut client = self.client("psql", database);
        let ran = client.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statements]).output().unwrap();
        match ran.status.success() {
            true => Ok(String::from_utf8(ran.stdout).unwrap().trim().to_owned()),
            false => Err(String::from_utf8_lossy(&ran.stderr).into_owned()),
        }
    }

    /// Statements that must succeed.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        self.psql(database, statements).unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    /// A client of the superuser.
    pub fn client(&self, name: &str, database: &str) -> Command {
        let mut command = as_user("postgres", &program(name));
        let database = database.replace('\\', "\\\\").replace('\'', "\\'");
        command.env("PGHOST", &self.folder).env("PGPORT", self.port.to_string());
        command.args(["-d", &format!("dbname='{database}'")]);
        command
    }

    /// All of a database and of its properties, as pg_dump tells it.
    pub fn content(&self, database: &str) -> String {
        let ran = self.client("pg_dump", database).args(["--create", "--blobs"]).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        // Newer versions guard a dump by a key that is another each time.
        let text = String::from_utf8(ran.stdout).unwrap();
        text.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n")
    }

    /// The names of all databases that begin like this one.
    pub fn companions(&self, database: &str) -> String {
        let name = database.replace('\'', "''");
        self.sql(
            "postgres",
            &format!("SELECT string_agg(datname, ',') FROM pg_database WHERE starts_with(datname, '{name}')"),
        )
    }
}
