//! MySQL and MariaDB, through their own clients.

use std::path::Path;

use serde::{Deserialize, Serialize};
use updates_protocol::{Database, ServerDatabase};

use super::{Access, DatabaseError, Dump};

/// What a dump itself does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {}

pub(super) fn require(server: &ServerDatabase, _access: &Access<'_>) -> Result<(), DatabaseError> {
    Err(unsupported(server))
}

pub(super) fn dump(
    server: &ServerDatabase,
    _number: usize,
    _directory: &Path,
    _access: &Access<'_>,
) -> Result<Dump, DatabaseError> {
    Err(unsupported(server))
}

pub(super) fn verify(_server: &ServerDatabase, _dump: &Dump, _directory: &Path) -> Result<(), DatabaseError> {
    Ok(())
}

pub(super) fn require_restore(
    server: &ServerDatabase,
    _dump: &Dump,
    _directory: &Path,
    _access: &Access<'_>,
) -> Result<(), DatabaseError> {
    Err(unsupported(server))
}

pub(super) fn restore(
    server: &ServerDatabase,
    _dump: &Dump,
    _directory: &Path,
    _access: &Access<'_>,
) -> Result<(), DatabaseError> {
    Err(unsupported(server))
}

fn unsupported(server: &ServerDatabase) -> DatabaseError {
    let database = Box::new(Database::Mysql(server.clone()));
    DatabaseError { database, problem: "this release does not save databases of this kind".to_owned() }
}
