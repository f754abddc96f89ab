//! MySQL and MariaDB, through their own clients.
//!
//! A dump is what mysqldump writes, in four parts of one file: events, tables with their rows, triggers and routines,
//! views. A restore loads it into a database beside the live one and moves the tables over by one RENAME TABLE. There is
//! no renaming of a database: views, triggers, routines and events are made anew around that move, and for this moment
//! clients may find one lacking.

mod connection;
mod details;
mod dump;
mod problem;
mod quote;
mod restore;
mod rights;

use std::path::Path;

use updates_protocol::{Database, ServerDatabase};

use self::problem::Problem;
use self::rights::Ways;
use super::{Access, DatabaseError, Dump};

pub use self::details::Details;

/// Asks for the rights, and rehearses the dump without its rows: what the client can't read now, it says now.
pub(super) fn require(server: &ServerDatabase, access: &Access<'_>) -> Result<(), DatabaseError> {
    told(server, Ways::to_save(server, access).and_then(|(ways, _)| dump::rehearse(&ways.user, server, access)))
}

pub(super) fn dump(
    server: &ServerDatabase,
    number: usize,
    directory: &Path,
    access: &Access<'_>,
) -> Result<Dump, DatabaseError> {
    told(server, dump::dump(server, number, directory, access))
}

/// Looks for the end of each part of the dump.
pub(super) fn verify(server: &ServerDatabase, dump: &Dump, directory: &Path) -> Result<(), DatabaseError> {
    let details = dump::details(dump);
    told(server, details.and_then(|details| dump::verify(&directory.join(&dump.file), details)))
}

pub(super) fn require_restore(
    server: &ServerDatabase,
    dump: &Dump,
    _directory: &Path,
    access: &Access<'_>,
) -> Result<(), DatabaseError> {
    let details = dump::details(dump);
    told(server, details.and_then(|details| Ways::to_restore(server, &details.definers, access)).map(drop))
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
        database: Box::new(Database::Mysql(server.clone())),
        problem: problem.to_string(),
    })
}
