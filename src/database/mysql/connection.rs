//! Which way a server is reached, as which user, and who runs the client for that: found by trying.
//!
//! The password goes to the client in `MYSQL_PWD`: the environment of a process is readable by root and its own user
//! alone (proc_pid_environ(5)), and a client with a password runs as root. With a declared password `~/.my.cnf` is not
//! read, whose own would count for more. Without one the client's own ways hold: the socket (unix_socket, auth_socket),
//! `~/.my.cnf`.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::unistd::User;
use updates_protocol::{Database, Secret, ServerDatabase};

use super::problem::Problem;
use crate::database::Access;
use crate::database::access::Bounds;
use crate::database::client::{self, Client, ClientError, find, system_user};

/// Where servers have their socket: Debian's place, Red Hat's, and MySQL's own.
const SOCKETS: [&str; 3] = ["/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock"];

/// A way to a server.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    place: Vec<String>,
    /// User that connects.
    pub user: String,
    password: Option<Secret>,
    system_user: Option<User>,
}

impl Connection {
    /// The way of the declared `user`.
    pub fn user(server: &ServerDatabase, access: &Access<'_>) -> Result<Self, Problem> {
        let user = server.user.as_deref().or(server.admin_user.as_deref()).unwrap_or("root");
        let declared = Database::Mysql(server.clone());
        let ways = ways(&place(server, access)?, user, access.passwords.of(&declared));
        Self::working(ways, access)?.into_iter().next().ok_or(Problem::NoClient("mariadb or mysql"))
    }

    /// Ways of the declared `admin_user`: through the local socket as the system's user of that name, and by the
    /// declared host.
    pub fn admin(server: &ServerDatabase, user: &str, access: &Access<'_>) -> Result<Vec<Self>, Problem> {
        let mut found = Vec::new();
        if matches!(server.host.as_deref(), Some("localhost" | "127.0.0.1" | "::1")) {
            found.extend(ways(&["--protocol=SOCKET".to_owned()], user, None));
        }
        found.extend(ways(&place(server, access)?, user, None));
        Self::working(found, access)
    }

    /// Those of some ways that the server lets in; the first one's error where it lets in none.
    fn working(ways: Vec<Self>, access: &Access<'_>) -> Result<Vec<Self>, Problem> {
        let mut refused = None;
        let mut working = Vec::new();
        for way in ways {
            match way.ask(None, "SELECT 1;", "connect", access.short()) {
                Ok(_) => working.push(way),
                Err(error) => {
                    refused.get_or_insert_with(|| way.explain(error));
                }
            }
        }
        match refused {
            Some(error) if working.is_empty() => Err(error),
            _ => Ok(working),
        }
    }

    fn explain(&self, error: Problem) -> Problem {
        let message = match &error {
            Problem::Client { source, .. } => source.to_string(),
            other => other.to_string(),
        };
        if let Problem::Client { source: ClientError::TooLong { .. }, .. } = error {
            return Problem::Down(message);
        }
        match error.number() {
            // 2002 to 2013: the client library's numbers for a server that can't be reached.
            Some(2002..=2013) => Problem::Down(message),
            // Access denied, in its ways; a host that is not allowed; a plugin that is lacking.
            Some(1044 | 1045 | 1130 | 1251 | 1275 | 1524 | 1698 | 2059 | 3118 | 4151) => {
                Problem::Refused { user: self.user.clone(), message }
            }
            _ => error,
        }
    }

    /// A client program, one of these names, that connects to the server.
    pub fn client(&self, names: &[&'static str]) -> Result<Client, Problem> {
        let program = find(names).ok_or(Problem::NoClient(names.last().copied().unwrap_or_default()))?;
        let mut client = Client::new(program, self.system_user.as_ref());
        if let Some(password) = &self.password {
            client = client.env("MYSQL_PWD", password.reveal()).env("HOME", "/nonexistent");
        }
        Ok(client.args(&self.place).args([&format!("--user={}", self.user), "--default-character-set=utf8mb4"]))
    }

    /// A client that carries out statements from `input` one after the other, up to the first error.
    fn interpreter(&self, database: Option<&str>, input: File) -> Result<Client, Problem> {
        let client = self
            .client(&["mariadb", "mysql"])?
            .args(["--batch", "--skip-column-names", "--skip-force", "--skip-reconnect", "--max-allowed-packet=1G"])
            // A server that accepts and says nothing.
            .args(["--connect-timeout=10"])
            // Nothing in a dump is a command to the client itself, such as `\!`.
            .args(["--binary-mode"])
            .input(input);
        Ok(match database {
            Some(database) => client.args([&format!("--database={database}")]),
            None => client,
        })
    }

    /// Carries out `statements`, each ended by `;`, and returns what they answered. A list of every table can be longer
    /// than an argument, so they go in by standard input.
    pub fn ask(
        &self,
        database: Option<&str>,
        statements: &str,
        during: &'static str,
        bounds: Bounds<'_>,
    ) -> Result<String, Problem> {
        let input = in_memory(statements.as_bytes())?;
        let answer = self.interpreter(database, input)?.answer(bounds);
        let answer = answer.map_err(|source| Problem::Client { during, source })?;
        String::from_utf8(answer).map_err(|error| Problem::Answer(error.to_string()))
    }

    /// Loads what stands in `input` from its position on.
    pub fn load(&self, database: &str, input: File, during: &'static str, bounds: Bounds<'_>) -> Result<(), Problem> {
        let loaded = self.interpreter(Some(database), input)?.answer(bounds);
        loaded.map(drop).map_err(|source| Problem::Client { during, source })
    }
}

/// A file in memory with this content, to be read from its beginning.
pub(super) fn in_memory(content: &[u8]) -> Result<File, Problem> {
    client::in_memory(content).map_err(|error| Problem::File(error, PathBuf::from("memory")))
}

/// As the system's user of that name where the server may ask who is there, then as this process.
fn ways(place: &[String], user: &str, password: Option<&Secret>) -> Vec<Connection> {
    let this =
        Connection { place: place.to_vec(), user: user.to_owned(), password: password.cloned(), system_user: None };
    let local = !place.iter().any(|argument| argument.starts_with("--host"));
    let peer = match password {
        None if local => system_user(user).filter(|user| !user.uid.is_root()),
        _ => None,
    };
    peer.map(|user| Connection { system_user: Some(user), ..this.clone() }).into_iter().chain([this]).collect()
}

/// The arguments that say where the server is. A socket is looked for below the machine's root first.
fn place(server: &ServerDatabase, access: &Access<'_>) -> Result<Vec<String>, Problem> {
    let below = |socket: &str| {
        let socket = access.root.join(socket.trim_start_matches('/'));
        socket.exists().then(|| socket.to_string_lossy().into_owned())
    };
    let by_socket = |socket: String| vec!["--protocol=SOCKET".to_owned(), format!("--socket={socket}")];
    let by_port = |host: &str| {
        let mut place = vec!["--protocol=TCP".to_owned(), format!("--host={host}")];
        place.extend(server.port.map(|port| format!("--port={port}")));
        place
    };
    match (&server.host, server.port) {
        (Some(host), _) if host.starts_with('/') => Ok(by_socket(below(host).unwrap_or_else(|| host.clone()))),
        // To clients, `localhost` means the socket; with a port somebody means the port.
        (Some(host), None) if host == "localhost" && access.root == Path::new("/") => {
            Ok(vec!["--protocol=SOCKET".to_owned()])
        }
        (Some(host), _) => Ok(by_port(host)),
        (None, Some(_)) => Ok(by_port("127.0.0.1")),
        (None, None) if access.root == Path::new("/") => Ok(vec!["--protocol=SOCKET".to_owned()]),
        (None, None) => match SOCKETS.into_iter().find_map(below) {
            Some(socket) => Ok(by_socket(socket)),
            None => Err(Problem::Unnamed(access.root.to_owned())),
        },
    }
}
