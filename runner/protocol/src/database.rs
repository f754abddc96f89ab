//! A database that a module declares: which one it is, and how to get at it.
//!
//! A password is read and never written: nothing here serialises it or shows it, and two declarations that differ in
//! nothing else are of the same database.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::DeclaredPath;

/// A database that a module declares, as the seed's `StateManager` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Database {
    /// An SQLite file.
    Sqlite {
        /// The database file.
        #[serde(alias = "path")]
        database: DeclaredPath,
    },
    /// A PostgreSQL database.
    #[serde(alias = "postgres")]
    Postgresql(ServerDatabase),
    /// A MySQL or MariaDB database.
    #[serde(alias = "mariadb")]
    Mysql(ServerDatabase),
}

/// A database of a server.
#[derive(Clone, Serialize, Deserialize)]
pub struct ServerDatabase {
    /// The database's name.
    pub database: String,
    /// Host name, address or socket directory (for MySQL a socket file); the default socket when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Port; the server's default when absent. A string of digits is taken too.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "port")]
    pub port: Option<u16>,
    /// Role to connect as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Role that may create and drop databases, where `user` may not: a restore makes the database anew beside the live
    /// one. It connects through the local socket as the system's user of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_user: Option<String>,
    /// The password of `user`.
    #[serde(default, skip_serializing)]
    pub password: Option<Secret>,
}

/// A password: shown to nobody, written nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Database {
    /// Reads a declaration. The error says what is wrong with which key.
    pub fn parse(value: &Value) -> Result<Self, String> {
        let database: Database = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
        if let Some(server) = database.server() {
            // Clients read names with these as something else: an option, a connection string, another line.
            let told = [
                ("database", Some(&server.database)),
                ("host", server.host.as_ref()),
                ("user", server.user.as_ref()),
                ("admin_user", server.admin_user.as_ref()),
            ];
            for (key, text) in told.into_iter().filter_map(|(key, text)| Some((key, text?))) {
                if text.is_empty() || text.len() > 255 || text.starts_with('-') || text.chars().any(char::is_control) {
                    return Err(format!(
                        "{key} {text:?} must be 1 to 255 characters, without control characters and not begin with '-'"
                    ));
                }
            }
        }
        Ok(database)
    }

    /// What a server's database says of itself; `None` for SQLite.
    pub fn server(&self) -> Option<&ServerDatabase> {
        match self {
            Database::Sqlite { .. } => None,
            Database::Postgresql(server) | Database::Mysql(server) => Some(server),
        }
    }

    /// The password, where one was declared.
    pub fn password(&self) -> Option<&Secret> {
        self.server().and_then(|server| server.password.as_ref())
    }
}

/// For people: `PostgreSQL app at db.example:5433`.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, server) = match self {
            Database::Sqlite { database } => return write!(f, "SQLite {database}"),
            Database::Postgresql(server) => ("PostgreSQL", server),
            Database::Mysql(server) => ("MySQL", server),
        };
        write!(f, "{kind} {}", server.database)?;
        match (&server.host, server.port) {
            (Some(host), Some(port)) => write!(f, " at {host}:{port}"),
            (Some(host), None) => write!(f, " at {host}"),
            (None, Some(port)) => write!(f, " at port {port}"),
            (None, None) => Ok(()),
        }
    }
}

impl PartialEq for ServerDatabase {
    fn eq(&self, other: &Self) -> bool {
        (&self.database, &self.host, self.port, &self.user, &self.admin_user)
            == (&other.database, &other.host, other.port, &other.user, &other.admin_user)
    }
}

impl Eq for ServerDatabase {}

impl fmt::Debug for ServerDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { database, host, port, user, admin_user, password: _ } = self;
        f.debug_struct("ServerDatabase")
            .field("database", database)
            .field("host", host)
            .field("port", port)
            .field("user", user)
            .field("admin_user", admin_user)
            .finish_non_exhaustive()
    }
}

impl Secret {
    /// The password itself, for the one client that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The parser's own message would repeat what it found.
        String::deserialize(deserializer).map(Self).map_err(|_| serde::de::Error::custom("password must be a string"))
    }
}

fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum NumberOrText {
        Number(u16),
        Text(String),
    }
    let problem = || serde::de::Error::custom("port must be a number from 1 to 65535");
    let port = match Option::<NumberOrText>::deserialize(deserializer).map_err(|_| problem())? {
        None => return Ok(None),
        Some(NumberOrText::Number(port)) => port,
        Some(NumberOrText::Text(text)) => text.parse().map_err(|_| problem())?,
    };
    if port == 0 { Err(problem()) } else { Ok(Some(port)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_password_is_read_and_neither_written_nor_shown() {
        let value = json!({"type": "postgresql", "database": "app", "host": "localhost", "port": "5433",
            "user": "app", "password": "hunter2"});
        let database = Database::parse(&value).unwrap();
        assert_eq!(database.password().map(Secret::reveal), Some("hunter2"));
        assert!(!serde_json::to_string(&database).unwrap().contains("hunter2"));
        assert!(!format!("{database:?} {database}").contains("hunter2"));
        let without = json!({"type": "postgres", "database": "app", "host": "localhost", "port": 5433, "user": "app"});
        assert_eq!(Database::parse(&without).unwrap(), database);
        assert_eq!(database.to_string(), "PostgreSQL app at localhost:5433");
    }

    #[test]
    fn what_a_client_would_read_as_something_else_is_refused() {
        for (value, said) in [
            (json!({"type": "postgresql", "database": "--help"}), "database"),
            (json!({"type": "mysql", "database": "a", "host": "x\ny"}), "host"),
            (json!({"type": "mysql", "database": "a", "port": "x"}), "port"),
            (json!({"type": "mysql", "database": "a", "port": 0}), "port"),
            (json!({"type": "sqlite", "database": "../x"}), ""),
            (json!({"type": "oracle", "database": "x"}), "oracle"),
            (json!({"type": "mysql", "database": "x", "password": 4711}), "password must be a string"),
        ] {
            let problem = Database::parse(&value).unwrap_err();
            assert!(!problem.contains("4711"), "{problem}");
            assert!(problem.contains(said), "{value}: {problem}");
        }
    }
}
