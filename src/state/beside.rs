//! What a slot holds beside files: the states of units, and dumps of databases. Saved with the files, verified with them,
//! and put back around them.
//!
//! The order of a restore: ask everything that could refuse, stop units, files, databases, start units.

use std::path::{Path, PathBuf};

use updates_protocol::{Database, UnitName};

use super::backup::Backup;
use super::error::{Damage, RestoreProblem, StateError};
use super::live::Live;
use super::slot::{DATABASES, SERVICES};
use crate::database::{self, SavedDatabase};
use crate::fs::IoContext;
use crate::service::{SavedUnits, UNIT_FOLDERS, UnitDifference, UnitRestore, UnitStep};

/// What is asked for beside files.
#[derive(Debug, Clone, Default)]
pub(super) struct Beside {
    pub units: Vec<UnitName>,
    pub databases: Vec<Database>,
}

impl Beside {
    /// Asks whether all of it can be saved and put back, before anything is written.
    pub fn require(&self, live: &Live<'_>) -> Result<(), StateError> {
        for each in &self.databases {
            database::require(each, &live.databases())?;
        }
        Ok(())
    }

    /// The units' states, and those of the sockets, timers and paths that start them.
    pub fn units(&self, live: &Live<'_>) -> Result<SavedUnits, StateError> {
        match live.systemd {
            _ if self.units.is_empty() => Ok(SavedUnits::new()),
            Some(systemd) => Ok(systemd.states_with_triggers(&self.units)?),
            None => Err(StateError::NoSystemd),
        }
    }

    /// Dumps the databases into `slot`, a slot being built. Returns what was saved.
    pub fn dump(&self, live: &Live<'_>, slot: &Path) -> Result<Vec<SavedDatabase>, StateError> {
        if self.databases.is_empty() {
            return Ok(Vec::new());
        }
        let directory = slot.join(DATABASES);
        std::fs::create_dir(&directory).at("create", &directory)?;
        let numbered = self.databases.iter().enumerate();
        let dumped = numbered.map(|(number, each)| database::dump(each, number, &directory, &live.databases()));
        Ok(dumped.collect::<Result<_, _>>()?)
    }
}

/// `services.json`, for people: what the manifest says of the units.
pub(super) fn services_file(units: &SavedUnits) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = serde_json::to_vec_pretty(units)?;
    text.push(b'\n');
    Ok(text)
}

impl Backup {
    fn dumps(&self) -> PathBuf {
        self.path().join(DATABASES)
    }

    /// Whether unit files, or the links that enable them, may be among what is saved.
    fn may_hold_unit_files(&self) -> bool {
        let paths = self.manifest().header.paths.iter().map(|path| path.as_path());
        let mut folders = paths.flat_map(|path| UNIT_FOLDERS.map(|folder| (path, Path::new(folder))));
        folders.any(|(path, folder)| path.starts_with(folder) || folder.starts_with(path))
    }

    /// Verifies what lies in the slot beside files.
    pub(super) fn verify_beside(&self) -> Result<(), StateError> {
        let damaged = |damage| StateError::Damaged { slot: self.path().to_owned(), damage };
        let header = &self.manifest().header;
        for saved in &header.databases {
            database::verify(saved, &self.dumps()).map_err(|error| damaged(Damage::Database(error)))?;
        }
        let path = self.path().join(SERVICES);
        let expected = match header.services.is_empty() {
            true => None,
            false => services_file(&header.services).ok(),
        };
        let found = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            other => Some(other.at("read", &path)?),
        };
        if found == expected { Ok(()) } else { Err(damaged(Damage::Differs(path))) }
    }
}

/// The way back of what a slot holds beside files.
pub(super) struct BesideRestore<'a> {
    backup: &'a Backup,
    live: Live<'a>,
    units: Option<UnitRestore<'a>>,
    disturbed: bool,
}

impl<'a> BesideRestore<'a> {
    /// Asks everything that could refuse, and changes nothing.
    pub fn begin(backup: &'a Backup, live: Live<'a>, forced_start: bool) -> Result<Self, StateError> {
        let header = &backup.manifest().header;
        for saved in &header.databases {
            database::require_restore(saved, &backup.dumps(), &live.databases())?;
        }
        let units = match (header.services.is_empty(), live.systemd) {
            (true, _) => None,
            (false, Some(systemd)) => Some(UnitRestore::begin(systemd, &header.services, forced_start)?),
            (false, None) => return Err(StateError::NoSystemd),
        };
        Ok(Self { backup, live, units, disturbed: false })
    }

    /// Units that are not as they were.
    pub fn units(&self) -> Vec<UnitDifference> {
        self.units.as_ref().map(UnitRestore::differences).unwrap_or_default()
    }

    /// What will be done with units, if each step does what it should.
    pub fn unit_steps(&self, disturbed: bool, forced_start: bool) -> Vec<UnitStep> {
        self.units.as_ref().map(|units| units.steps(disturbed, forced_start)).unwrap_or_default()
    }

    /// Databases that are not as they were, or may not be.
    pub fn databases(&self) -> Result<Vec<&'a SavedDatabase>, StateError> {
        let mut found = Vec::new();
        for saved in &self.backup.manifest().header.databases {
            if database::is_as_saved(saved, &self.backup.dumps(), &self.live.databases())? != Some(true) {
                found.push(saved);
            }
        }
        Ok(found)
    }

    /// Before the files: `disturbed` says that something will be changed below the units.
    pub fn before_files(&mut self, disturbed: bool) {
        self.disturbed = disturbed;
        if let Some(units) = &mut self.units {
            units.stop(disturbed);
        }
    }

    /// After the files are back. Returns what was done, and what could not be.
    pub fn after_files(self, databases: &[&SavedDatabase]) -> (Vec<String>, Vec<RestoreProblem>) {
        let (mut done, mut problems) = (Vec::new(), Vec::new());
        for saved in databases {
            match database::restore(saved, &self.backup.dumps(), &self.live.databases()) {
                Ok(()) => done.push(format!("restore {}", saved.database)),
                Err(error) => problems.push(RestoreProblem::Database(error)),
            }
        }
        if let Some(mut units) = self.units {
            units.start(self.disturbed && self.backup.may_hold_unit_files());
            let (steps, failed) = units.finish();
            done.extend(steps);
            problems.extend(failed.into_iter().map(RestoreProblem::Unit));
        }
        (done, problems)
    }
}
