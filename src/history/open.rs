//! Opening the database: for the one dispatcher that writes, or for reading beside a run.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::in_flight::read_all;
use super::schema::{self, Format};
use super::{HistoryError, aside, copies};
use crate::fs::IoContext;

/// How long a statement waits for another process, for example a person's `sqlite3`.
const BUSY: Duration = Duration::from_secs(5);

/// The history, open for writing by one thread of one process, the one that holds the run lock.
#[derive(Debug)]
pub struct History {
    pub(super) reader: HistoryReader,
    notes: Vec<String>,
}

/// The history, open for reading.
#[derive(Debug)]
pub struct HistoryReader {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
}

impl History {
    /// Opens the database at `path`, and makes it where there is none. One that is corrupt is moved aside, its list of
    /// modules in flight is saved as far as it can be read, and [`History::notes`] tells.
    ///
    /// One that a newer program has brought to a format that can't be read here is moved aside too, where that program
    /// kept a copy that can; its list of modules in flight comes along.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        match Self::open_sound(path) {
            Err(HistoryError::Newer { path: newer, found, known }) => match copies::take_back(path)? {
                Some(note) => {
                    let mut history = Self::open_sound(path)?;
                    history.notes.push(note);
                    Ok(history)
                }
                None => Err(HistoryError::Newer { path: newer, found, known }),
            },
            Err(error) if error.is_corruption() => {
                let (kept, in_flight) = aside::move_aside(path)?;
                let mut history = Self::open_sound(path)?;
                let saved = in_flight.len();
                history.begin_modules(&in_flight)?;
                history.notes.push(format!(
                    "{error}; the file was moved to {}, and a new history begins; {saved} modules that were running \
                     could still be read from it, and others are put back if their checkpoints in flight are there",
                    kept.display()
                ));
                Ok(history)
            }
            other => other,
        }
    }

    fn open_sound(path: &Path) -> Result<Self, HistoryError> {
        let reader =
            HistoryReader::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE, || {
                // Made here first, so that it is never readable by others: logs may hold what modules should not have said.
                match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                    _ => Ok(()),
                }
            })?;
        let mut history = Self { reader, notes: Vec::new() };
        let failed = |source| HistoryError::Database { action: "open", path: path.to_owned(), source };
        let connection = &mut history.reader.connection;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        // The log stays beside the database and is folded in when it is long enough: doing that at each close costs more
        // syncs than the run itself.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed)?;
        // It is read whole by each start, so it is kept short; in pages of 4 KiB.
        connection.pragma_update(None, "wal_autocheckpoint", 64).map_err(failed)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
        let format = history.reader.format()?;
        let connection = &mut history.reader.connection;
        schema::migrate(connection, format, |connection, number| copies::keep(connection, path, number), failed)?;
        // A damaged page is found when it is read; these are the ones that a start depends on.
        connection.query_row("SELECT max(number) FROM runs", [], |_| Ok(())).map_err(failed)?;
        read_all(connection).map_err(failed)?;
        Ok(history)
    }

    /// What a person should know about the opening, at most once a file.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The reading side.
    pub fn reader(&self) -> &HistoryReader {
        &self.reader
    }

    pub(super) fn failed(&self, action: &'static str) -> impl Fn(rusqlite::Error) -> HistoryError + use<> {
        self.reader.failed(action)
    }
}

impl HistoryReader {
    /// Opens the database at `path` for reading, also while a run writes it; `None` when there is none yet.
    pub fn open(path: &Path) -> Result<Option<Self>, HistoryError> {
        if !fs::exists(path).at("look for", path)? {
            return Ok(None);
        }
        let reader = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, || Ok(()))?;
        // A database that was made and not yet filled, or one that a killed first start left.
        if reader.format()?.number == 0 { Ok(None) } else { Ok(Some(reader)) }
    }

    fn connect(path: &Path, flags: OpenFlags, prepare: impl FnOnce() -> io::Result<()>) -> Result<Self, HistoryError> {
        prepare().at("create", path)?;
        let failed = |source| HistoryError::Database { action: "open", path: path.to_owned(), source };
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        Ok(Self { connection, path: path.to_owned() })
    }

    fn format(&self) -> Result<Format, HistoryError> {
        let found = Format::of(&self.connection).map_err(self.failed("open"))?;
        if !found.is_readable() {
            let (found, known) = (found.number.max(found.readable_from), schema::NEWEST);
            return Err(HistoryError::Newer { path: self.path.clone(), found, known });
        }
        Ok(found)
    }

    pub(super) fn failed(&self, action: &'static str) -> impl Fn(rusqlite::Error) -> HistoryError + use<> {
        let path = self.path.clone();
        move |source| HistoryError::Database { action, path: path.clone(), source }
    }
}
