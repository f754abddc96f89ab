//! Why a run could not be begun, or could not go on; what becomes of a single module is no such error.

use updates_protocol::ModuleName;

use super::lock::LockError;
use super::reach::ReachError;
use crate::fs::PathError;
use crate::history::HistoryError;
use crate::record::ExitStatus;
use crate::state::StateError;

/// Why there is no record of a run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another run holds the lock, or it can't be made.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database can't be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The checkpoints can't be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// How far a module may reach can't be said.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// A path can't be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A module of the command line is not installed.
    #[error("no module {name} is installed{}", hint(nearest))]
    UnknownModule {
        /// As given.
        name: ModuleName,
        /// What may have been meant.
        nearest: Option<ModuleName>,
    },
    /// An interrupted run left it, and it could not be put back.
    #[error("{module} does not run before it is put back: {reason}")]
    Unsettled {
        /// Which module.
        module: ModuleName,
        /// Why it is not back.
        reason: String,
    },
    /// A module's folder on the command line can't be used.
    #[error("{0}")]
    Folder(String),
}

fn hint(nearest: &Option<ModuleName>) -> String {
    match nearest {
        Some(name) => format!("; did you mean {name}?"),
        None => "; `updates list` shows which are".to_owned(),
    }
}

impl RunError {
    /// The exit status that the error means.
    pub fn status(&self) -> ExitStatus {
        match self {
            RunError::Lock(LockError::Held { .. } | LockError::LeftBehind { .. }) => ExitStatus::Locked,
            RunError::Unsettled { .. } => ExitStatus::RollbackFailed,
            RunError::UnknownModule { .. } | RunError::Folder(_) | RunError::Reach(_) => ExitStatus::Usage,
            _ => ExitStatus::InternalError,
        }
    }
}
