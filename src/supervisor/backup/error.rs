//! Why a backup could not be made, found, put back or removed, in sentences that name the way out.

use updates_protocol::ModuleName;

use crate::catalog::CatalogEntry;
use crate::fs::PathError;
use crate::history::HistoryError;
use crate::record::ExitStatus;
use crate::state::StateError;
use crate::supervisor::reach::ReachError;
use crate::supervisor::{LockError, RunError};

/// Why something about backups was not done.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The lock is held, or what an interrupted run left can't be settled.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The slot can't be used, or the backup can't be made.
    #[error(transparent)]
    State(#[from] StateError),
    /// A path can't be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The database can't be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// What the module may write can't be said.
    #[error("what {module} declares can't be used: {problem}")]
    Declared {
        /// Which module.
        module: ModuleName,
        /// What is wrong.
        problem: String,
    },
    /// The module has nothing to save.
    #[error(
        "{0} declares nothing that could be saved: its index.json has neither configuration.backup_paths nor services nor \
         databases"
    )]
    NothingDeclared(ModuleName),
    /// Neither a module nor a slot has the name.
    #[error(
        "no module {name} is installed and no backup is of one{}",
        meant(nearest, "`updates list` and `updates backup list` show what there is")
    )]
    UnknownModule {
        /// As given.
        name: ModuleName,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// The module has no backup.
    #[error("there is no backup of {module}; to make one: updates backup create {module}{}", rollback_hint(module, *checkpoint))]
    NoBackup {
        /// Which module.
        module: ModuleName,
        /// Whether the supervisor has a checkpoint of it.
        checkpoint: bool,
    },
    /// The module has no such slot.
    #[error("{module} has no backup {slot:?}{}", meant(nearest, "`updates backup list` shows what there is"))]
    UnknownSlot {
        /// Which module.
        module: ModuleName,
        /// As given.
        slot: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// The module has several, and none of them is the usual one.
    #[error("{module} has several backups; name one of {}", labels.join(", "))]
    Ambiguous {
        /// Which module.
        module: ModuleName,
        /// Those that could be meant.
        labels: Vec<String>,
    },
    /// The slot is another module's.
    #[error("the backup {label} is {owner}'s; to use it: name {owner} instead of {module}")]
    OtherOwner {
        /// As given.
        module: ModuleName,
        /// The slot.
        label: String,
        /// Whose it is.
        owner: ModuleName,
    },
    /// A backup would replace one that belongs to another module.
    #[error(
        "{label} is a backup of {owner} and is not replaced; to be rid of it: updates backup remove {owner} {label}"
    )]
    Taken {
        /// The slot.
        label: String,
        /// Whose it is.
        owner: ModuleName,
    },
    /// A backup would replace one of a newer program.
    #[error("{source}; to be rid of it: updates backup remove {module} {label}")]
    Newer {
        /// Whose it is.
        module: ModuleName,
        /// The slot.
        label: String,
        /// What is wrong with it.
        #[source]
        source: StateError,
    },
    /// A rollback would save the present state first, and that has no room. What fills the disk may be what is to go.
    #[error(
        "{source}; to go back without saving what is there now: updates backup restore {module} checkpoints/{module}"
    )]
    NoRoomToSave {
        /// Whose state.
        module: ModuleName,
        /// How much is needed.
        #[source]
        source: StateError,
    },
    /// There is no former state.
    #[error(
        "there is no checkpoint of {0}: one is kept from the first run on in which it succeeds; `updates backup list` shows what \
         else there is"
    )]
    NoCheckpoint(ModuleName),
    /// A checkpoint is what an unfinished run is put back from.
    #[error("{0} is not put back from an interrupted run yet, and that takes its checkpoint; first: updates recover")]
    InFlight(ModuleName),
    /// The slot that is meant is damaged.
    #[error("{source}; `updates backup list` shows what else there is of {module}")]
    Unusable {
        /// Whose it is.
        module: ModuleName,
        /// What is wrong with it.
        #[source]
        source: StateError,
    },
    /// Between looking and doing, somebody made the slot anew.
    #[error("the backup {0} was made anew meanwhile and nothing was changed; look at it again")]
    Replaced(String),
    /// A signal came.
    #[error("interrupted; nothing was changed, and the backup of before stands")]
    Interrupted,
}

impl BackupError {
    /// The exit status that the error means.
    pub fn status(&self) -> ExitStatus {
        match self {
            BackupError::Run(error) => error.status(),
            BackupError::Interrupted => ExitStatus::Interrupted,
            BackupError::State(StateError::Damaged { .. })
            | BackupError::Unusable { source: StateError::Damaged { .. }, .. }
            | BackupError::InFlight(_) => ExitStatus::RollbackFailed,
            BackupError::Declared { .. }
            | BackupError::NothingDeclared(_)
            | BackupError::UnknownModule { .. }
            | BackupError::NoBackup { .. }
            | BackupError::UnknownSlot { .. }
            | BackupError::Ambiguous { .. }
            | BackupError::OtherOwner { .. }
            | BackupError::Taken { .. }
            | BackupError::Newer { .. }
            | BackupError::NoCheckpoint(_) => ExitStatus::Usage,
            _ => ExitStatus::InternalError,
        }
    }

    pub(super) fn declared(module: &ModuleName, problem: &impl ToString) -> Self {
        BackupError::Declared { module: module.clone(), problem: problem.to_string() }
    }
}

impl From<LockError> for BackupError {
    fn from(error: LockError) -> Self {
        BackupError::Run(error.into())
    }
}

impl From<ReachError> for BackupError {
    fn from(error: ReachError) -> Self {
        BackupError::Run(error.into())
    }
}

/// Of `known`, what is nearest to `given`, where anything is near.
pub(super) fn nearest<'k>(given: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let distances = known.into_iter().map(|known| (strsim::damerau_levenshtein(given, known), known));
    distances.filter(|(distance, _)| *distance <= 3).min().map(|(_, known)| known.to_owned())
}

/// The names of what lies in the catalog, usable or not.
pub(super) fn names(entries: &[CatalogEntry]) -> impl Iterator<Item = &str> {
    entries.iter().map(CatalogEntry::name)
}

fn meant(nearest: &Option<String>, otherwise: &str) -> String {
    match nearest {
        Some(name) => format!("; did you mean {name}?"),
        None => format!("; {otherwise}"),
    }
}

fn rollback_hint(module: &ModuleName, checkpoint: bool) -> String {
    match checkpoint {
        true => format!("; what was before its last run comes back by: updates rollback {module}"),
        false => String::new(),
    }
}
