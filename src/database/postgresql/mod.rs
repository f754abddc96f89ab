//! PostgreSQL, through pg_dump, pg_restore and psql.
//!
//! A dump has pg_dump's custom format, which holds everything in a database; what belongs to the database itself is asked
//! for beside it. A restore loads the dump into a new database beside the live one and puts that in its place by renaming
//! both in one transaction: up to then the live one is as it was, and from then on it is as it was saved.

mod connection;
mod details;
mod dump;
mod problem;
mod quote;
mod restore;
mod rights;
mod tools;

use std::path::Path;

use updates_protocol::{Database, ServerDatabase};

use self::problem::Problem;
use self::rights::Ways;
use super::{Access, DatabaseError, Dump};

pub use self::details::Details;

pub(super) fn require(server: &ServerDatabase, access: &Access<'_>) -> Result<(), DatabaseError> {
    told(server, Ways::to_save(server, access).map(drop))
}

pub(super) fn dump(
    server: &ServerDatabase,
    number: usize,
    directory: &Path,
    access: &Access<'_>,
) -> Result<Dump, DatabaseError> {
    told(server, dump::dump(server, number, directory, access))
}

/// Reads all of the dump the way a restore does.
pub(super) fn verify(server: &ServerDatabase, dump: &Dump, directory: &Path) -> Result<(), DatabaseError> {
    told(server, dump::verify(&directory.join(&dump.file)))
}

pub(super) fn require_restore(
    server: &ServerDatabase,
    dump: &Dump,
    _directory: &Path,
    access: &Access<'_>,
) -> Result<(), DatabaseError> {
    told(server, dump::details(dump).and_then(|details| restore::require(server, details, access)).map(drop))
}

pub(super) fn restore(
    server: &ServerDatabase,
    dump: &Dump,
    directory: &Path,
    access: &Access<'_>,
) -> Result<(), DatabaseError> {
    let details = dump::details(dump);
    told(server, details.and_then(|details| restore::restore(server, details, &directory.join(&dump.file), access)))
}

fn told<T>(server: &ServerDatabase, result: Result<T, Problem>) -> Result<T, DatabaseError> {
    result.map_err(|problem| DatabaseError {
        database: Box::new(Database::Postgresql(server.clone())),
        problem: problem.to_string(),
    })
}
