//! Whether what modules declare as databases can be saved: client programs, servers and rights, as before a checkpoint.

use std::time::Duration;

use updates_protocol::Database;

use super::Finding;
use crate::catalog::{Catalog, CatalogEntry};
use crate::database::{Access, Passwords, require};
use crate::supervisor::Supervisor;

const CHECK: &str = "databases";
/// A server that is there answers at once.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn look(supervisor: &Supervisor) -> Vec<Finding> {
    let entries = match Catalog::open(&supervisor.layout).installed() {
        Ok(entries) => entries,
        Err(error) => return vec![Finding::problem(CHECK, error.to_string(), "mend what it names")],
    };
    let machine = supervisor.layout.machine();
    let mut found = Vec::new();
    for entry in &entries {
        let CatalogEntry::Installed(module) = entry else { continue };
        if !module.manifest.enabled {
            continue;
        }
        let mut passwords = Passwords::default();
        passwords.remember(&module.manifest.databases);
        let (timeout, interrupt, by_content) = (PATIENCE, None, false);
        let access = Access { root: machine.root(), passwords: &passwords, timeout, interrupt, by_content };
        for database in &module.manifest.databases {
            let label = format!("{} of {}", label(database), module.name);
            found.push(match require(database, &access) {
                Ok(()) => Finding::ok(CHECK, format!("{label} can be saved")),
                Err(error) => Finding::problem(
                    CHECK,
                    format!("{label} can't be saved, and so {} does not run: {error}", module.name),
                    "start the server, install its client programs, or give the role its rights, as the message says",
                ),
            });
        }
    }
    if found.is_empty() { vec![Finding::ok(CHECK, "no enabled module declares one")] } else { found }
}

fn label(database: &Database) -> String {
    match database {
        Database::Sqlite { database } => format!("the SQLite file {database}"),
        Database::Postgresql(server) => format!("the PostgreSQL database {}", server.database),
        Database::Mysql(server) => format!("the MySQL database {}", server.database),
    }
}
