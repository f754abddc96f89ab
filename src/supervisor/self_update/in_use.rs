//! Which program is in use, and why: for `updates self show` and `updates doctor`.

use serde::Serialize;

use super::choice::{Choice, choose};
use super::hand_over::handed_over_by;
use crate::config::Layout;
use crate::fs::PathError;
use crate::program::{Held, Note, Notes, Place, Trial, holds, program_version};

/// Which program is in use, and what is remembered of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProgramInUse {
    /// The version in use.
    pub version: String,
    /// The version of the installed program, by package or `make install`.
    pub installed: String,
    /// Whether the installed program is in use, and no version of a self-update.
    pub is_installed: bool,
    /// Why this one, in a sentence.
    pub reason: String,
    /// Whether another one should be in use, and can't be: a person has to look.
    pub is_wrong: bool,
    /// What is on trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial: Option<OnTrial>,
    /// The version that `updates self rollback` goes back to; absent where that is the installed program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// The version that a person pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<String>,
    /// Versions that self-updates left, the oldest first.
    pub versions: Vec<String>,
    /// Artifacts that are not tried again.
    pub held: Vec<Held>,
    /// What the guard or a rollback left to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A version that has not yet reached the end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OnTrial {
    /// Which one.
    pub version: String,
    /// Starts that it has used.
    pub starts: u64,
    /// Starts that it may use.
    pub tries: u64,
}

/// Looks at which program is in use below the layout's root. Changes nothing.
pub fn program_in_use(layout: &Layout) -> Result<ProgramInUse, PathError> {
    let notes = Notes(layout);
    let installed = handed_over_by().unwrap_or_else(program_version);
    let (version, is_installed, reason, is_wrong) = match choose(layout, &installed) {
        Choice::Version(version) => {
            let reason = format!("it came by self-update and is newer than the installed {installed}");
            (version, false, reason, false)
        }
        Choice::Installed(why) => (installed.clone(), true, why.to_string(), why.is_wrong()),
    };
    let trial = Trial::read(layout)?.filter(|trial| trial.version == version);
    let previous = match &trial {
        Some(trial) => trial.previous.clone(),
        None => notes.version(Note::Previous)?,
    };
    let place = Place::new(layout);
    Ok(ProgramInUse {
        version: version.to_string(),
        installed: installed.to_string(),
        is_installed,
        reason,
        is_wrong,
        trial: trial.map(|trial| OnTrial {
            version: trial.version.to_string(),
            starts: trial.starts,
            tries: trial.tries,
        }),
        previous: previous.filter(|version| !is_installed && place.program(version).is_file()).map(|v| v.to_string()),
        pinned: notes.version(Note::Pin)?.map(|version| version.to_string()),
        versions: place.list()?.iter().map(ToString::to_string).collect(),
        held: holds(layout)?,
        note: notes.text(Note::Tell)?,
    })
}
