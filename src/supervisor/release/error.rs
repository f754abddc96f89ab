//! Why a version was not released. Nothing was tagged then.

use std::fmt::Display;
use std::path::PathBuf;

use updates_protocol::{ModuleName, SchemaVersion};

use crate::fs::PathError;
use crate::record::ExitStatus;
use crate::source::SourceError;
use crate::supervisor::RunError;

/// Why nothing was tagged.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Nothing here is under git.
    #[error("{} lies in no working copy of git: {reason}", place.display())]
    NoWorkingCopy {
        /// Where it was looked for.
        place: PathBuf,
        /// What git said.
        reason: String,
    },
    /// The module is not there.
    #[error("{place} is no module of a working copy: {problem}")]
    NoModule {
        /// As given.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// git could not be run, or refused.
    #[error("git {command}: {reason}")]
    Git {
        /// What it was told.
        command: String,
        /// What it said.
        reason: String,
    },
    /// Changes that no commit holds.
    #[error("the working copy has changes that are not committed: {}; commit them or put them aside", changes.join(", "))]
    NotClean {
        /// The first of them.
        changes: Vec<String>,
    },
    /// The repository's objects can't be read.
    #[error("the repository of {} can't be read", place.display())]
    Unreadable {
        /// The working copy.
        place: PathBuf,
    },
    /// What HEAD holds can't be installed, or would not run.
    #[error("{module}: {problem}")]
    Content {
        /// Which module.
        module: ModuleName,
        /// What is wrong.
        problem: String,
    },
    /// There is a version that is as new.
    #[error("{module} {version} is not newer than the tag {newest}; raise metadata.schema_version in its index.json")]
    NotNewer {
        /// Which module.
        module: ModuleName,
        /// What HEAD has.
        version: SchemaVersion,
        /// The newest tag.
        newest: String,
    },
    /// The tag is there.
    #[error("the tag {0} exists already; a version is released once: raise metadata.schema_version")]
    Exists(String),
    /// Its tests failed.
    #[error("{what} of {module} failed:\n{output}")]
    Failed {
        /// Which module.
        module: ModuleName,
        /// Which of its tests.
        what: String,
        /// The end of what was printed.
        output: String,
    },
    /// A program could not be started.
    #[error("cannot start {}: {reason}", program.display())]
    Program {
        /// Which.
        program: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// The trial run could not be begun.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The repository's tags can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A path can't be used.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl ReleaseError {
    pub(super) fn content(module: &ModuleName, problem: &dyn Display) -> Self {
        Self::Content { module: module.clone(), problem: problem.to_string() }
    }

    /// The exit status that the error means.
    pub fn status(&self) -> ExitStatus {
        match self {
            ReleaseError::Failed { .. } => ExitStatus::ModuleFailed,
            ReleaseError::Run(error) => error.status(),
            ReleaseError::Source(_) | ReleaseError::Path(_) | ReleaseError::Program { .. } => ExitStatus::InternalError,
            _ => ExitStatus::Usage,
        }
    }
}
