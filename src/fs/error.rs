//! An input/output error that knows which path it was about and what was being done there.

use std::io;
use std::path::{Path, PathBuf};

/// Something that could not be done to a path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct PathError {
    /// What was tried, as a verb: `read`, `create`, `rename`.
    pub action: &'static str,
    /// Where.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl PathError {
    /// The error's kind, for callers that treat "not there" on its own.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// Gives an [`io::Result`] its path.
pub trait IoContext<T> {
    /// Says what was tried, and where.
    fn at(self, action: &'static str, path: &Path) -> Result<T, PathError>;
}

impl<T, E: Into<io::Error>> IoContext<T> for Result<T, E> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, PathError> {
        self.map_err(|source| PathError { action, path: path.to_owned(), source: source.into() })
    }
}
