//! SQLite, through its backup API: consistent with writers at work, and put back below open connections.

use std::path::Path;

use serde::{Deserialize, Serialize};
use updates_protocol::{Database, DeclaredPath};

use super::{Access, DatabaseError, Dump};

/// What a dump itself does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {}

pub(super) fn require(database: &DeclaredPath, _access: &Access<'_>) -> Result<(), DatabaseError> {
    Err(unsupported(database))
}

pub(super) fn dump(
    database: &DeclaredPath,
    _number: usize,
    _directory: &Path,
    _access: &Access<'_>,
) -> Result<Option<Dump>, DatabaseError> {
    Err(unsupported(database))
}

pub(super) fn verify(_dump: &Dump, _directory: &Path) -> Result<(), DatabaseError> {
    Ok(())
}

pub(super) fn restore(
    database: &DeclaredPath,
    _dump: Option<&Dump>,
    _directory: &Path,
    _access: &Access<'_>,
) -> Result<(), DatabaseError> {
    Err(unsupported(database))
}

pub(super) fn is_as_saved(
    _database: &DeclaredPath,
    _dump: Option<&Dump>,
    _directory: &Path,
    _access: &Access<'_>,
) -> Result<Option<bool>, DatabaseError> {
    Ok(None)
}

/// The file and what SQLite keeps beside it; see <https://www.sqlite.org/tempfiles.html>.
pub(super) fn own_files(database: &DeclaredPath) -> Vec<DeclaredPath> {
    ["", "-wal", "-shm", "-journal"]
        .into_iter()
        .filter_map(|suffix| DeclaredPath::new(&format!("{database}{suffix}")).ok())
        .collect()
}

fn unsupported(database: &DeclaredPath) -> DatabaseError {
    let database = Box::new(Database::Sqlite { database: database.clone() });
    DatabaseError { database, problem: "this release does not save databases of this kind".to_owned() }
}
