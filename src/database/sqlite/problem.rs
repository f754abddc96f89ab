//! What can go wrong with an SQLite file, and what a caller has to tell apart.

use updates_protocol::{Database, DeclaredPath};

use crate::database::DatabaseError;
use crate::fs::{Kind, PathError};

/// Why a step did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error(
        "another program has kept it locked for {0} seconds; stop what holds it, or end its transaction, and try again"
    )]
    Busy(u64),
    #[error("it is not an SQLite database; if that is meant so, declare it under backup_paths instead")]
    NotADatabase,
    #[error("it is damaged: {0}; repair it first, sqlite3's .recover may help")]
    Damaged(String),
    #[error("its file {name} is {kind}; remove that, or declare the file that it stands for")]
    Stray { name: String, kind: &'static str },
    #[error("its dump can't be used: {0}")]
    Dump(Box<Problem>),
    #[error("it lies on a file system that is read-only")]
    ReadOnly,
    #[error("it took longer than {0} seconds")]
    TooLong(u64),
    #[error("given up because nobody waits for it any more")]
    Interrupted,
    #[error("its content is back, but other programs keep it open in WAL mode; stop them and restore again")]
    KeptInWal,
    #[error("SQLite lacks what is needed to open it safely")]
    Unsupported,
    #[error("{0}")]
    Sqlite(rusqlite::Error),
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Problem {
    /// As an error of the database.
    pub fn of(self, database: &DeclaredPath) -> DatabaseError {
        let database = Box::new(Database::Sqlite { database: database.clone() });
        DatabaseError { database, problem: self.to_string() }
    }

    /// An error of SQLite; `seconds` is how long a lock was waited for.
    pub fn sqlite(error: rusqlite::Error, seconds: u64) -> Self {
        use rusqlite::ErrorCode as Code;
        match error.sqlite_error_code() {
            Some(Code::DatabaseBusy | Code::DatabaseLocked | Code::FileLockingProtocolFailed) => Problem::Busy(seconds),
            Some(Code::NotADatabase) => Problem::NotADatabase,
            Some(Code::DatabaseCorrupt) => Problem::Damaged(error.to_string()),
            _ => Problem::Sqlite(error),
        }
    }

    /// Whether what lies there can't be used as a database, so that only a file in its place helps.
    pub fn is_unusable(&self) -> bool {
        use rusqlite::ErrorCode as Code;
        match self {
            Problem::NotADatabase | Problem::Damaged(_) | Problem::Stray { .. } => true,
            Problem::Sqlite(error) => {
                matches!(error.sqlite_error_code(), Some(Code::CannotOpen | Code::ReadOnly | Code::SystemIoFailure))
            }
            _ => false,
        }
    }
}

/// A kind in words.
pub(super) fn in_words(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "a file with further names",
        Kind::Directory => "a directory",
        Kind::Symlink => "a symbolic link",
        Kind::Fifo => "a FIFO",
        Kind::Socket => "a socket",
        Kind::CharDevice | Kind::BlockDevice => "a device",
    }
}
