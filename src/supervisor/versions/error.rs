//! Why a version of a module could not be had, installed or kept.

use updates_protocol::{ModuleName, SchemaVersion};

use super::keep::UntilError;
use crate::catalog::{DocumentError, StageError, SwapError};
use crate::record::ExitStatus;
use crate::source::{Distrust, SourceError};
use crate::supervisor::reach::ReachError;
use crate::supervisor::{LockError, RunError};

/// Why nothing was done about a version.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// The lock is held, the database can't be used, or the module is not put back.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The mirror is damaged.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A file of the catalog.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// How far the version may reach can't be said.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// The version could not be staged.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The version could not be swapped in.
    #[error(transparent)]
    Swap(#[from] SwapError),
    /// It is not signed as the settings ask.
    #[error("{module} {version}: {source}")]
    Distrusted {
        /// Which module.
        module: ModuleName,
        /// Which version.
        version: SchemaVersion,
        /// Why.
        #[source]
        source: Box<Distrust>,
    },
    /// Nobody knows the module.
    #[error("no module {0} is installed, and the source has no version of it; `updates list` shows what is installed")]
    UnknownModule(ModuleName),
    /// There is no such version.
    #[error("the source has no version {version} of {module}{hint}")]
    UnknownVersion {
        /// Which module.
        module: ModuleName,
        /// As asked for.
        version: SchemaVersion,
        /// Why, or what there is; begins with what follows in the sentence.
        hint: String,
    },
    /// No version has run well yet.
    #[error("no version of {0} has run well here yet; name the version: `updates versions {0}` lists them")]
    NoneSafe(ModuleName),
    /// What ran well can't be had any more.
    #[error("{module} {version} ran well last, and neither a tag of the source nor the mirror has it any more")]
    SafeIsGone {
        /// Which module.
        module: ModuleName,
        /// Which version.
        version: SchemaVersion,
    },
    /// Its manifest is wrong.
    #[error("{module} {version} can't be used: {problem}")]
    Unusable {
        /// Which module.
        module: ModuleName,
        /// Which version.
        version: SchemaVersion,
        /// What is wrong.
        problem: String,
    },
    /// It wants more than a person has agreed to.
    #[error(
        "{module} {version} asks for more than was granted: {}; to agree: updates sandbox grant {module} --for {version}",
        asks.join(", ")
    )]
    Ungranted {
        /// Which module.
        module: ModuleName,
        /// Which version.
        version: SchemaVersion,
        /// What it asks for, each in words.
        asks: Vec<String>,
    },
    /// `--until` can't be used.
    #[error(transparent)]
    Until(#[from] UntilError),
}

impl VersionError {
    /// The exit status that the error means.
    pub fn status(&self) -> ExitStatus {
        match self {
            VersionError::Run(error) => error.status(),
            VersionError::UnknownModule(_)
            | VersionError::UnknownVersion { .. }
            | VersionError::NoneSafe(_)
            | VersionError::SafeIsGone { .. }
            | VersionError::Distrusted { .. }
            | VersionError::Unusable { .. }
            | VersionError::Ungranted { .. }
            | VersionError::Until(_) => ExitStatus::Usage,
            _ => ExitStatus::InternalError,
        }
    }
}

impl From<LockError> for VersionError {
    fn from(error: LockError) -> Self {
        Self::Run(error.into())
    }
}
