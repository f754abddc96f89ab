//! What a slot holds beside files: the states of units, and dumps of databases. Saved with the files, verified with them,
//! and put back around them.
//!
//! The order of a restore: ask everything that could refuse, stop units, files, databases, start units.

use std::collections::HashSet;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use updates_protocol::{Database, DeclaredPath, UnitName};

use super::backup::Backup;
use super::error::{Damage, RestoreProblem, StateError};
use super::live::Live;
use super::slot::{DATABASES, SERVICES};
use crate::database::{self, DatabaseError, Dump, SavedDatabase};
use crate::fs::{IoContext, Kind, Root, list};
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

    /// Whether these are the databases that were saved, and nothing was written to any of them since.
    pub fn is_unmoved(&self, live: &Live<'_>, saved: &[SavedDatabase]) -> bool {
        self.databases.iter().eq(saved.iter().map(|saved| &saved.database))
            && saved.iter().all(|saved| database::is_unmoved(saved, &live.databases()))
    }

    /// About how many bytes the dumps will take, beside those that `former` holds already.
    pub fn estimate(&self, live: &Live<'_>, former: Option<&Backup>) -> u64 {
        let needed = self.databases.iter().filter(|each| unmoved(each, live, former).is_none());
        needed.map(|each| database::estimate(each, &live.databases())).fold(0, u64::saturating_add)
    }

    /// Dumps the databases into `slot`, a slot being built. Returns what was saved. What `former` holds already is linked
    /// from there.
    pub fn dump(
        &self,
        live: &Live<'_>,
        slot: &Path,
        former: Option<&Backup>,
    ) -> Result<Vec<SavedDatabase>, StateError> {
        if self.databases.is_empty() {
            return Ok(Vec::new());
        }
        let directory = slot.join(DATABASES);
        DirBuilder::new().mode(0o700).create(&directory).at("create", &directory)?;
        let mut dumped = Vec::with_capacity(self.databases.len());
        for (number, each) in self.databases.iter().enumerate() {
            if let Some((backup, saved)) = unmoved(each, live, former)
                && let Some(linked) = link(backup, saved, number, &directory)
            {
                dumped.push(linked);
                continue;
            }
            let saved = database::dump(each, number, &directory, &live.databases())?;
            if let Some(backup) = former {
                share(backup, &saved, &directory)?;
            }
            dumped.push(saved);
        }
        Ok(dumped)
    }
}

/// What a former slot holds of a database that was not written to since.
fn unmoved<'b>(
    database: &Database,
    live: &Live<'_>,
    former: Option<&'b Backup>,
) -> Option<(&'b Backup, &'b SavedDatabase)> {
    let backup = former?;
    let saved = backup.manifest().header.databases.iter().find(|saved| saved.database == *database)?;
    database::is_unmoved(saved, &live.databases()).then_some((backup, saved))
}

/// Links a former slot's dump under its new number. `None` where that dump is not what it was, or can't be linked: then
/// the live database is there to be read.
fn link(backup: &Backup, saved: &SavedDatabase, number: usize, directory: &Path) -> Option<SavedDatabase> {
    let mut linked = saved.clone();
    if let Some(dump) = &mut linked.dump {
        let from = backup.dumps().join(&dump.file);
        let suffix = dump.file.split_once('.').map(|(_, suffix)| suffix)?;
        let name = format!("db_{number}.{suffix}");
        if !is_whole(&from, dump) || std::fs::hard_link(&from, directory.join(&name)).is_err() {
            return None;
        }
        dump.file = name;
    }
    Some(linked)
}

/// Keeps one copy of a dump that turned out to be what the former slot holds.
fn share(backup: &Backup, saved: &SavedDatabase, directory: &Path) -> Result<(), StateError> {
    let Some(dump) = &saved.dump else { return Ok(()) };
    let same = backup.manifest().header.databases.iter().filter_map(|former| former.dump.as_ref());
    let Some(same) = same.into_iter().find(|former| (former.size, &former.sha256) == (dump.size, &dump.sha256)) else {
        return Ok(());
    };
    let (from, to) = (backup.dumps().join(&same.file), directory.join(&dump.file));
    // A hash is only as good as the bytes it was taken of: the former file must hold them still.
    if database::verify(&SavedDatabase { database: saved.database.clone(), dump: Some(same.clone()) }, &backup.dumps())
        .is_ok()
    {
        let beside = directory.join(".linked");
        if std::fs::hard_link(&from, &beside).is_ok() {
            std::fs::rename(&beside, &to).at("replace", &to)?;
        }
    }
    Ok(())
}

fn is_whole(path: &Path, dump: &Dump) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == dump.size)
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

    /// The directories that hold databases which are files.
    pub(super) fn holders(&self) -> HashSet<PathBuf> {
        let own = self.manifest().header.databases.iter().flat_map(|saved| database::own_files(&saved.database));
        own.filter_map(|own| own.as_path().parent().map(Path::to_owned)).collect()
    }

    /// The files of databases that did not exist.
    pub(super) fn absent_databases(&self) -> Vec<DeclaredPath> {
        let absent = self.manifest().header.databases.iter().filter(|saved| saved.dump.is_none());
        absent.flat_map(|saved| database::own_files(&saved.database)).collect()
    }

    /// Whether a dump is missing in `databases`, or something lies there that is none.
    fn damaged_names(&self) -> Result<Option<Damage>, StateError> {
        let databases = &self.manifest().header.databases;
        let directory = self.dumps();
        let slot = Root::open(self.path())?;
        let names = match slot.status(Path::new(DATABASES)).at("look at", &directory)?.map(|status| status.kind) {
            None if databases.is_empty() => return Ok(None),
            None => return Ok(Some(Damage::Missing(directory))),
            Some(Kind::Directory) => slot.readable(Path::new(DATABASES)).and_then(list).at("list", &directory)?,
            Some(_) => return Ok(Some(Damage::Differs(directory))),
        };
        let dumps: Vec<_> = databases.iter().filter_map(|saved| saved.dump.as_ref()).collect();
        let extra = names.iter().find(|name| !dumps.iter().any(|dump| dump.file.as_str() == *name));
        let missing = dumps.iter().find(|dump| !names.iter().any(|name| dump.file.as_str() == name));
        Ok(match (missing, extra) {
            (Some(dump), _) => Some(Damage::Missing(directory.join(&dump.file))),
            (None, Some(name)) => Some(Damage::Extra(directory.join(name))),
            (None, None) if databases.is_empty() => Some(Damage::Extra(directory)),
            (None, None) => None,
        })
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
        if let Some(damage) = self.damaged_names()? {
            return Err(damaged(damage));
        }
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

    /// After the files. Where those are not all back, databases are left as they are: their content belongs together.
    /// Returns what was done, and what could not be.
    pub fn after_files(self, databases: &[&SavedDatabase], files_are_back: bool) -> (Vec<String>, Vec<RestoreProblem>) {
        let (mut done, mut problems) = (Vec::new(), Vec::new());
        for saved in databases {
            if !files_are_back {
                let problem = "left as it is, because not all files are back; see to those and restore again";
                let database = Box::new(saved.database.clone());
                problems.push(RestoreProblem::Database(DatabaseError { database, problem: problem.to_owned() }));
                continue;
            }
            match database::restore(saved, &self.backup.dumps(), &self.live.databases_back()) {
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
