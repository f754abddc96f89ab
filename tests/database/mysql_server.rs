//! A MariaDB server of the tests' own, as the system's user `nobody`. Its root has no password by the socket.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::server::{as_user, folder, free_port, serve, until};

const USER: &str = "nobody";

pub struct MysqlServer {
    pub socket: PathBuf,
    pub port: u16,
}

/// The one server of this test program.
pub fn server() -> &'static MysqlServer {
    static SERVER: OnceLock<MysqlServer> = OnceLock::new();
    SERVER.get_or_init(MysqlServer::start)
}

pub fn program(name: &str) -> PathBuf {
    let folders = ["/usr/bin", "/usr/sbin", "/usr/local/bin"];
    let found = folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is not installed: run packaging/setup test"))
}

impl MysqlServer {
    fn start() -> Self {
        let folder = folder("mysql", USER);
        let data = folder.join("data");
        let made = as_user(USER, &program("mariadb-install-db"))
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .arg(format!("--datadir={}", data.display()))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let (socket, port) = (folder.join("server.sock"), free_port());
        let mut server = as_user(USER, &program("mariadbd"));
        server.args(["--no-defaults", "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0"]);
        server.args(["--event-scheduler=ON", "--plugin-load-add=auth_socket"]);
        server.arg(format!("--datadir={}", data.display())).arg(format!("--socket={}", socket.display()));
        server.arg(format!("--port={port}")).arg(format!("--pid-file={}", folder.join("pid").display()));
        serve(server, "KILL");
        let server = Self { socket, port };
        until("MariaDB answers", || server.mysql("mysql", "SELECT 1").is_ok());
        server
    }

    /// What the client of root answers.
    pub fn mysql(&self, database: &str, statements: &str) -> Result<String, String> {
        let ran =
            self.client("mariadb").args(["--batch", "--skip-column-names", "-D", database, "-e", statements]).output();
        let ran = ran.unwrap();
        match ran.status.success() {
            true => Ok(String::from_utf8(ran.stdout).unwrap().trim().to_owned()),
            false => Err(String::from_utf8_lossy(&ran.stderr).into_owned()),
        }
    }

    /// Statements that must succeed.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        self.mysql(database, statements).unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    fn client(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command
            .args(["--no-defaults", "--default-character-set=utf8mb4", "--user=root"])
            .arg(format!("--socket={}", self.socket.display()));
        command
    }

    /// All of a database, as mysqldump tells it.
    pub fn content(&self, database: &str) -> String {
        let options = ["--routines", "--events", "--triggers", "--hex-blob", "--dump-history", "--skip-dump-date"];
        let ran = self.client("mariadb-dump").args(options).arg("--databases").arg(database).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }

    /// The names of all databases that begin like this one.
    pub fn companions(&self, database: &str) -> String {
        let question = "SELECT GROUP_CONCAT(SCHEMA_NAME) FROM information_schema.SCHEMATA WHERE LOCATE(";
        self.sql("mysql", &format!("{question}'{}', SCHEMA_NAME) = 1", database.replace('\'', "''")))
    }
}
