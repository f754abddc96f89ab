//! Opening the database, for the one writer or for a reader beside it; one that is damaged is moved aside, never lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema;
use crate::fs::{IoContext, PathError, rename_durably};

/// The database of runs. The writer is one thread of the process that holds the run lock.
#[derive(Debug)]
pub struct History {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) keep_runs: usize,
}

/// Why the database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// SQLite refused.
    #[error("the database {}: {source}", path.display())]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A newer program has written it.
    #[error(
        "the database {} has version {found}, and this program reads up to {}; use the newer program",
        path.display(),
        schema::VERSION
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// A stored record can't be read.
    #[error("the database {}: a stored record can't be read: {reason}", path.display())]
    Record {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file can't be made or moved.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl History {
    /// Opens or makes the database at `path` for writing, and keeps the newest `keep_runs` runs in it.
    ///
    /// A file that is no database, or a damaged one, is renamed to `updates.db.damaged-N` and a new one begun; the
    /// second value then tells a person so.
    pub fn open(path: &Path, keep_runs: usize) -> Result<(Self, Option<String>), HistoryError> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).at("create", parent)?;
        }
        match Self::open_writable(path, keep_runs) {
            Err(HistoryError::Sqlite { source, .. }) if is_damage(&source) => {
                let aside = move_aside(path)?;
                let history = Self::open_writable(path, keep_runs)?;
                let note = format!(
                    "the database {} was damaged ({source}); it was moved to {} and a new one was begun",
                    path.display(),
                    aside.display()
                );
                Ok((history, Some(note)))
            }
            other => Ok((other?, None)),
        }
    }

    fn open_writable(path: &Path, keep_runs: usize) -> Result<Self, HistoryError> {
        let open = || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(Duration::from_secs(10))?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            // What must be durable asks for it; see `flight`.
            connection.pragma_update(None, "synchronous", "normal")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            let version = schema::version(&connection)?;
            if version < schema::VERSION {
                schema::migrate(&connection)?;
            }
            Ok((connection, version))
        };
        let (connection, version) =
            open().map_err(|source: rusqlite::Error| HistoryError::Sqlite { path: path.to_owned(), source })?;
        if version > schema::VERSION {
            return Err(HistoryError::Newer { path: path.to_owned(), found: version });
        }
        Ok(Self { connection, path: path.to_owned(), keep_runs })
    }

    /// Opens the database for reading, also while a run writes to it. `None` when there is none yet.
    pub fn open_read_only(path: &Path) -> Result<Option<Self>, HistoryError> {
        if !path.try_exists().at("look at", path)? {
            return Ok(None);
        }
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(Duration::from_secs(10))?;
            let version = schema::version(&connection)?;
            Ok((connection, version))
        };
        let (connection, version) =
            open().map_err(|source: rusqlite::Error| HistoryError::Sqlite { path: path.to_owned(), source })?;
        match version {
            // The writer is just making it.
            0 => Ok(None),
            schema::VERSION => Ok(Some(Self { connection, path: path.to_owned(), keep_runs: usize::MAX })),
            found => Err(HistoryError::Newer { path: path.to_owned(), found }),
        }
    }

    pub(super) fn sqlite(&self, source: rusqlite::Error) -> HistoryError {
        HistoryError::Sqlite { path: self.path.clone(), source }
    }

    pub(super) fn unreadable(&self, reason: impl ToString) -> HistoryError {
        HistoryError::Record { path: self.path.clone(), reason: reason.to_string() }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn move_aside(path: &Path) -> Result<PathBuf, PathError> {
    let sibling = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let mut number = 1;
    let aside = loop {
        let aside = sibling(&format!(".damaged-{number}"));
        if aside.symlink_metadata().is_err() {
            break aside;
        }
        number += 1;
    };
    rename_durably(path, &aside)?;
    // The log of a damaged database must not be replayed into the new one.
    for suffix in ["-wal", "-shm"] {
        if sibling(suffix).symlink_metadata().is_ok() {
            let mut name = aside.as_os_str().to_owned();
            name.push(suffix);
            rename_durably(&sibling(suffix), Path::new(&name))?;
        }
    }
    Ok(aside)
}
