//! What a person decides about the program's version: back to the one before, stay at one, follow the source again.
//!
//! Each under the run's lock, and each durable before it says so. These work from the installed program, whatever is
//! wrong with the one in use.

use std::time::Duration;

use updates_protocol::SchemaVersion;

use super::choice::{Choice, choose};
use super::hand_over::handed_over_by;
use crate::fs::PathError;
use crate::program::{Held, Mistrust, Note, Notes, Place, Trial, hold, program_version, release_all};
use crate::record::ExitStatus;
use crate::supervisor::Supervisor;
use crate::supervisor::lock::{LockError, RunLock};

/// Which version was in use, and which is now.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Moved {
    /// Before.
    pub from: String,
    /// Now.
    pub to: String,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// A run is under way.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is nothing to go back to.
    #[error("updates {0} is the installed program, and nothing came by self-update that could be left")]
    NothingBefore(String),
    /// It is older than what is installed.
    #[error("updates {installed} is installed, and is not left for the older {wanted}; install that package instead")]
    Older {
        /// The installed program's version.
        installed: String,
        /// What was asked for.
        wanted: String,
    },
    /// It can't be trusted.
    #[error(transparent)]
    Mistrust(#[from] Mistrust),
    /// A file can't be read or written.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl ProgramError {
    /// The exit status that the error means.
    pub fn status(&self) -> ExitStatus {
        match self {
            ProgramError::Lock(LockError::Held { .. } | LockError::LeftBehind { .. }) => ExitStatus::Locked,
            ProgramError::NothingBefore(_) | ProgramError::Older { .. } => ExitStatus::Usage,
            _ => ExitStatus::InternalError,
        }
    }
}

impl Supervisor {
    /// Leaves the version in use for the one before it, and holds it.
    pub fn roll_back_program(&self) -> Result<Moved, ProgramError> {
        let _lock = self.program_lock()?;
        let (layout, notes) = (&self.layout, Notes(&self.layout));
        let place = Place::new(layout);
        let installed = handed_over_by().unwrap_or_else(program_version);
        let current = place.current()?.filter(|current| *current > installed);
        let Some(current) = current else { return Err(ProgramError::NothingBefore(installed.to_string())) };
        let trial = Trial::read(layout)?.filter(|trial| trial.version == current);
        let previous = match trial {
            Some(trial) => trial.previous,
            None => notes.version(Note::Previous)?,
        };
        let target = previous.filter(|version| {
            *version > installed && version.to_string() != current.to_string() && place.examine(version).is_ok()
        });
        let held =
            Held { version: current.to_string(), sha256: place.artifact(&current), reason: Held::WENT_BACK.to_owned() };
        hold(layout, held)?;
        place.point(target.as_ref())?;
        Trial::end(layout)?;
        notes.set(Note::Previous, None)?;
        if notes.version(Note::Pin)?.is_some_and(|pin| pin == current) {
            notes.set(Note::Pin, None)?;
        }
        Ok(Moved { from: current.to_string(), to: target.unwrap_or(installed).to_string() })
    }

    /// Stays at `version`, or at the one in use. One that is in place is put in use now; another one is installed when
    /// the source carries it.
    pub fn pin_program(&self, version: Option<&SchemaVersion>) -> Result<Moved, ProgramError> {
        let _lock = self.program_lock()?;
        let layout = &self.layout;
        let place = Place::new(layout);
        let installed = handed_over_by().unwrap_or_else(program_version);
        let in_use = match choose(layout, &installed) {
            Choice::Version(version) => version,
            Choice::Installed(_) => installed.clone(),
        };
        let wanted = version.unwrap_or(&in_use);
        if *wanted < installed {
            return Err(ProgramError::Older { installed: installed.to_string(), wanted: wanted.to_string() });
        }
        let mut now = in_use.clone();
        if *wanted == installed && in_use != installed {
            Notes(layout).set(Note::Previous, None)?;
            place.point(None)?;
            Trial::end(layout)?;
            now = installed;
        } else if *wanted != in_use
            && let Some(found) = place.list()?.into_iter().find(|found| found == wanted)
        {
            place.examine(&found)?;
            // It may be one that failed: it is on trial as one that the source carries, and gone back from.
            let before = match Trial::read(layout)?.filter(|trial| trial.version == in_use) {
                Some(trial) => trial.previous,
                None => Some(in_use.clone()).filter(|version| *version != installed),
            };
            let trial = Trial {
                version: found.clone(),
                previous: before.filter(|version| *version != found),
                sha256: place.artifact(&found),
                tries: self.config.self_update.tries,
                starts: 0,
            };
            trial.begin(layout)?;
            place.point(Some(&found))?;
            now = found;
        }
        Notes(layout).set(Note::Pin, Some(&wanted.to_string()))?;
        Ok(Moved { from: in_use.to_string(), to: now.to_string() })
    }

    /// Follows the source again, and holds nothing any more.
    pub fn unpin_program(&self) -> Result<(), ProgramError> {
        let _lock = self.program_lock()?;
        Notes(&self.layout).set(Note::Pin, None)?;
        Ok(release_all(&self.layout)?)
    }

    fn program_lock(&self) -> Result<RunLock, ProgramError> {
        Ok(RunLock::take(&self.layout.lock(), Duration::ZERO, || self.cancel.reason().is_some())?)
    }
}
