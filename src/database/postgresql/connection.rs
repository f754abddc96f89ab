//! Which way a server is reached, as which role, and who runs the client for that: found by trying, once a step.
//!
//! The password goes to the client in `PGPASSWORD`: the environment of a process is readable by root and its own user
//! alone (proc_pid_environ(5)), and a client with a password runs as root. A client that runs as another user is given
//! none. Without a password the server's own ways hold: peer, trust, certificates, root's `~/.pgpass`.

use std::path::{Path, PathBuf};

use nix::unistd::User;
use updates_protocol::{Database, Secret, ServerDatabase};

use super::problem::Problem;
use super::quote::connection_string;
use super::tools::Tools;
use crate::database::Access;
use crate::database::access::Bounds;
use crate::database::client::{Client, ClientError, in_memory, system_user};

/// The role that is used where none is named: the one that initdb makes.
const DEFAULT_ROLE: &str = "postgres";
/// Where servers have their sockets: Debian's and Red Hat's place, and PostgreSQL's own.
const SOCKETS: [&str; 3] = ["/run/postgresql", "/var/run/postgresql", "/tmp"];
/// Databases that are connected to while another is replaced.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// A way to a server.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    /// Host or socket directory; the client's own default when absent.
    host: Option<String>,
    port: Option<u16>,
    /// Role that connects.
    pub role: String,
    password: Option<Secret>,
    user: Option<User>,
    tools: Tools,
}

impl Connection {
    /// The way of the declared `user`, tried out against `database`, which the server must have.
    pub fn user(server: &ServerDatabase, database: &str, access: &Access<'_>) -> Result<Self, Problem> {
        let role = server.user.as_deref().or(server.admin_user.as_deref()).unwrap_or(DEFAULT_ROLE);
        let declared = Database::Postgresql(server.clone());
        let password = access.passwords.of(&declared);
        let host = host(server, access)?;
        let ways = ways(host, server.port, role, password)?;
        first(ways, database, access)
    }

    /// The way of the declared `admin_user`: through the local socket as the system's user of that name.
    pub fn admin(server: &ServerDatabase, role: &str, access: &Access<'_>) -> Result<(Self, &'static str), Problem> {
        let declared = host(server, access)?;
        let mut hosts = Vec::new();
        if matches!(declared.as_deref(), Some("localhost" | "127.0.0.1" | "::1")) {
            let port = server.port.unwrap_or(5432);
            let socket = |folder: &&str| Path::new(folder).join(format!(".s.PGSQL.{port}")).exists();
            hosts.extend(SOCKETS.into_iter().find(socket).map(|folder| Some(folder.to_owned())));
        }
        hosts.push(declared);
        let mut ways_there = Vec::new();
        for host in hosts {
            ways_there.extend(ways(host, server.port, role, None)?);
        }
        Self::maintenance_of(ways_there, access)
    }

    /// A database other than the one to be replaced, that this way can connect to.
    pub fn maintenance(&self, access: &Access<'_>) -> Result<&'static str, Problem> {
        Self::maintenance_of(vec![self.clone()], access).map(|(_, database)| database)
    }

    fn maintenance_of(ways: Vec<Self>, access: &Access<'_>) -> Result<(Self, &'static str), Problem> {
        let role = ways.first().map(|way| way.role.clone()).unwrap_or_default();
        let mut message = String::new();
        for database in MAINTENANCE {
            match first(ways.clone(), database, access) {
                Ok(way) => return Ok((way, database)),
                Err(error @ (Problem::Down(_) | Problem::NotReady(_) | Problem::NoClient)) => return Err(error),
                Err(error) => message = error.message(),
            }
        }
        Err(Problem::NoMaintenance { role, message })
    }

    /// The same way, with the programs that fit a server of that major version.
    pub fn with_version(self, major: u32) -> Result<Self, Problem> {
        Ok(Self { tools: Tools::of(major)?, ..self })
    }

    /// A client program that connects to `database`.
    pub fn client(&self, program: &str, database: &str) -> Client {
        self.bare(program).args(["--no-password", "--dbname", &connection_string(database)])
    }

    fn bare(&self, program: &str) -> Client {
        let mut client = Client::new(self.tools.program(program), self.user.as_ref())
            .env("PGUSER", &self.role)
            .env("PGCONNECT_TIMEOUT", "10")
            .env("PGAPPNAME", APPLICATION);
        if let Some(host) = &self.host {
            client = client.env("PGHOST", host);
        }
        if let Some(port) = self.port {
            client = client.env("PGPORT", port.to_string());
        }
        if let Some(password) = &self.password {
            client = client.env("PGPASSWORD", password.reveal());
        }
        client
    }

    /// Has the server carry out `statements`, each in a transaction of its own unless it says otherwise, and returns
    /// what they answered as text.
    ///
    /// `pg_catalog` is searched first: what a database's owner put into other schemas can't stand in for it.
    pub fn ask(
        &self,
        database: &str,
        statements: &[&str],
        during: &'static str,
        bounds: Bounds<'_>,
    ) -> Result<String, Problem> {
        // By standard input: settings of a database may hold secrets, and arguments are for everyone to read.
        let mut input = String::new();
        for statement in ["SET search_path = pg_catalog", "SET statement_timeout = 0"].iter().chain(statements) {
            input.push_str(statement);
            input.push_str(";\n");
        }
        let input = in_memory(input.as_bytes()).map_err(|error| Problem::File(error, PathBuf::from("memory")))?;
        let arguments = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"];
        let answer = self
            .client("psql", database)
            .env("PGCLIENTENCODING", "UTF8")
            .args(arguments)
            .input(input)
            .answer(bounds)
            .map_err(Problem::client(during))?;
        Ok(String::from_utf8_lossy(&answer).trim_end_matches('\n').to_owned())
    }

    /// Says why `database` could not be connected to. Asked with pg_isready and of another database instead of read from
    /// the error, which comes in the server's language.
    fn explain(&self, database: &str, error: Problem, access: &Access<'_>) -> Problem {
        if let Problem::Client { source: source @ ClientError::TooLong { .. }, .. } = &error {
            return Problem::Down(source.to_string());
        }
        let Problem::Client { source: ClientError::Failed { message, .. }, .. } = &error else { return error };
        let message = message.clone();
        match self.bare("pg_isready").args(["--timeout=5"]).answer(access.short()) {
            Err(ClientError::Failed { status, .. }) if status.code() == Some(1) => return Problem::NotReady(message),
            Err(ClientError::Failed { status, .. }) if status.code() == Some(2) => return Problem::Down(message),
            _ => {}
        }
        let question = format!("SELECT count(*) FROM pg_database WHERE datname = {}", super::quote::literal(database));
        for other in MAINTENANCE.into_iter().filter(|other| *other != database) {
            match self.ask(other, &[&question], "ask for the database", access.short()).as_deref() {
                Ok("0") => return Problem::Missing,
                Ok(_) => return Problem::NoAccess { role: self.role.clone(), message },
                Err(_) => {}
            }
        }
        // A role that is let in nowhere else is told by the server why not.
        if message.contains("does not exist") && message.contains("database") {
            return Problem::Missing;
        }
        Problem::Refused { role: self.role.clone(), message }
    }
}

/// How these clients name themselves to the server: what an earlier restore left behind is known by it.
pub(super) const APPLICATION: &str = "updates";

/// The first way that connects to `database`; else why the first of them does not.
fn first(ways: Vec<Connection>, database: &str, access: &Access<'_>) -> Result<Connection, Problem> {
    let mut refused = None;
    for way in ways {
        match way.ask(database, &["SELECT 1"], "connect", access.short()) {
            Ok(_) => return Ok(way),
            Err(error) => {
                refused.get_or_insert((way, error));
            }
        }
    }
    match refused {
        Some((way, error)) => Err(way.explain(database, error, access)),
        None => Err(Problem::NoClient),
    }
}

/// As the system's user of that name where the server may ask who is there (peer), then as this process.
fn ways(
    host: Option<String>,
    port: Option<u16>,
    role: &str,
    password: Option<&Secret>,
) -> Result<Vec<Connection>, Problem> {
    let local = host.as_deref().is_none_or(|host| host.starts_with('/'));
    let this =
        Connection { host, port, role: role.to_owned(), password: password.cloned(), user: None, tools: Tools::any()? };
    let peer = match password {
        None if local => system_user(role).filter(|user| !user.uid.is_root()),
        _ => None,
    };
    Ok(peer.map(|user| Connection { user: Some(user), ..this.clone() }).into_iter().chain([this]).collect())
}

/// The host as the client is to be told. Sockets are looked for below the machine's root first.
fn host(server: &ServerDatabase, access: &Access<'_>) -> Result<Option<String>, Problem> {
    let elsewhere = access.root != Path::new("/");
    let below = |folder: &str| -> Option<String> {
        let folder: PathBuf = access.root.join(folder.trim_start_matches('/'));
        let socket = folder.join(format!(".s.PGSQL.{}", server.port.unwrap_or(5432)));
        if socket.exists() { folder.into_os_string().into_string().ok() } else { None }
    };
    match &server.host {
        Some(host) if host.starts_with('/') => Ok(Some(below(host).unwrap_or_else(|| host.clone()))),
        Some(host) => Ok(Some(host.clone())),
        None if !elsewhere => Ok(None),
        None if server.port.is_none() => Err(Problem::Unnamed(access.root.to_owned())),
        None => Ok(SOCKETS.into_iter().find_map(below)),
    }
}
