//! Why the history can't be read or written.

use std::path::PathBuf;

/// A failure of the database; names the file.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// SQLite refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Database {
        /// What was tried, as a verb with its preposition: `write a run to`.
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer release wrote it.
    #[error(
        "{} has format {found}, this version reads up to {known}; where no copy was kept for this version, install the newer \
         one again, or move the file away; where one was, the next run goes back to it",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// A record in it is not readable.
    #[error("a record in {} can't be read: {source}", path.display())]
    Record {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A file operation beside the database failed.
    #[error(transparent)]
    Path(#[from] crate::fs::PathError),
}

impl HistoryError {
    /// Whether SQLite says that the file is no sound database.
    pub fn is_corruption(&self) -> bool {
        use rusqlite::Error::{FromSqlConversionFailure, InvalidColumnType};
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            HistoryError::Database { source, .. } => {
                matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
                    // SQLite has no checksums: what is no word that was ever written is damage as well.
                    || matches!(source, FromSqlConversionFailure(..) | InvalidColumnType(..))
            }
            _ => false,
        }
    }
}
