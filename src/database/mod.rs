//! Databases: dumped whole and consistent, and put back exactly, with their clients connected.
//!
//! A dump is one file in a directory that the caller trusts and makes durable. SQLite goes through its backup API;
//! PostgreSQL and MySQL through their own client programs. Nothing here knows of slots or modules. Passwords come in
//! with [`Access`] and go to the one client that needs them, never to a file or an argument.

mod access;
mod client;
mod error;
mod mysql;
mod orphan;
mod postgresql;
mod saved;
mod sqlite;

pub use access::{Access, Passwords};
pub use error::DatabaseError;
pub use saved::{Details, Dump, SavedDatabase};

use std::path::Path;

use updates_protocol::{Database, DeclaredPath};

/// Asks, before anything is touched, whether a database can be saved now and put back later: the server answers, the
/// role is let in, and it has the rights that a restore needs.
pub fn require(database: &Database, access: &Access<'_>) -> Result<(), DatabaseError> {
    match database {
        Database::Sqlite { database } => sqlite::require(database, access),
        Database::Postgresql(server) => postgresql::require(server, access),
        Database::Mysql(server) => mysql::require(server, access),
    }
}

/// Dumps a database into a new file `db_NUMBER.*` of `directory`.
pub fn dump(
    database: &Database,
    number: usize,
    directory: &Path,
    access: &Access<'_>,
) -> Result<SavedDatabase, DatabaseError> {
    let dump = match database {
        Database::Sqlite { database } => sqlite::dump(database, number, directory, access)?,
        Database::Postgresql(server) => Some(postgresql::dump(server, number, directory, access)?),
        Database::Mysql(server) => Some(mysql::dump(server, number, directory, access)?),
    };
    Ok(SavedDatabase { database: database.clone(), dump })
}

/// Checks a dump without a server: its size, its hash, and that it is whole by its own format.
pub fn verify(saved: &SavedDatabase, directory: &Path) -> Result<(), DatabaseError> {
    saved.verify_content(directory)?;
    match (&saved.database, &saved.dump) {
        (_, None) => Ok(()),
        (Database::Sqlite { database }, Some(dump)) => sqlite::verify(database, dump, directory),
        (Database::Postgresql(server), Some(dump)) => postgresql::verify(server, dump, directory),
        (Database::Mysql(server), Some(dump)) => mysql::verify(server, dump, directory),
    }
}

/// Asks, before the first live write, whether this dump can be put back: the server answers, the rights suffice, and the
/// roles and extensions that the dump needs are there.
pub fn require_restore(saved: &SavedDatabase, directory: &Path, access: &Access<'_>) -> Result<(), DatabaseError> {
    match (&saved.database, &saved.dump) {
        (Database::Sqlite { database }, _) => sqlite::require_restore(database, access),
        (Database::Postgresql(server), Some(dump)) => postgresql::require_restore(server, dump, directory, access),
        (Database::Mysql(server), Some(dump)) => mysql::require_restore(server, dump, directory, access),
        (Database::Postgresql(_) | Database::Mysql(_), None) => Ok(()),
    }
}

/// Puts a database back to what its dump says, live connections or not. The dump has been verified.
///
/// Killed anywhere and begun again, it comes to the same end. An error leaves the live database as it was, unless it says
/// otherwise.
pub fn restore(saved: &SavedDatabase, directory: &Path, access: &Access<'_>) -> Result<(), DatabaseError> {
    match (&saved.database, &saved.dump) {
        (Database::Sqlite { database }, dump) => sqlite::restore(database, dump.as_ref(), directory, access),
        (Database::Postgresql(server), Some(dump)) => postgresql::restore(server, dump, directory, access),
        (Database::Mysql(server), Some(dump)) => mysql::restore(server, dump, directory, access),
        (Database::Postgresql(_) | Database::Mysql(_), None) => Ok(()),
    }
}

/// Whether a database is what its dump says; `None` where only a restore would tell.
pub fn is_as_saved(
    saved: &SavedDatabase,
    _directory: &Path,
    access: &Access<'_>,
) -> Result<Option<bool>, DatabaseError> {
    match &saved.database {
        Database::Sqlite { database } => Ok(sqlite::is_as_saved(database, saved.dump.as_ref(), access)),
        Database::Postgresql(_) | Database::Mysql(_) => Ok(None),
    }
}

/// Whether nothing was written to a database since it was saved, by a look that does not open it. Only SQLite can say so.
pub fn is_unmoved(saved: &SavedDatabase, access: &Access<'_>) -> bool {
    match &saved.database {
        Database::Sqlite { database } => sqlite::is_unmoved(database, saved.dump.as_ref(), access),
        Database::Postgresql(_) | Database::Mysql(_) => false,
    }
}

/// About how many bytes a dump will take; 0 where only the dump itself would tell.
pub fn estimate(database: &Database, access: &Access<'_>) -> u64 {
    match database {
        Database::Sqlite { database } => sqlite::estimate(database, access),
        Database::Postgresql(_) | Database::Mysql(_) => 0,
    }
}

/// The files that belong to a database's own way: a walk over the files of a machine leaves them out.
pub fn own_files(database: &Database) -> Vec<DeclaredPath> {
    match database {
        Database::Sqlite { database } => sqlite::own_files(database),
        Database::Postgresql(_) | Database::Mysql(_) => Vec::new(),
    }
}
