//! What a backup is taken of: the paths, units and databases that a module declares, and the machine that has them.

use std::os::fd::AsFd;

use updates_protocol::{Database, DeclaredPath, Manifest, ModuleName, UnitName};

use super::error::{BackupError, names, nearest};
use crate::catalog::{Catalog, CatalogEntry};
use crate::config::Machine;
use crate::database::Passwords;
use crate::service::{ServiceError, Systemd};
use crate::state::{Live, StateError};
use crate::supervisor::{Supervisor, holding, modules, writable};

/// What an installed module declares, as it counts now: with its local settings, and no more than it was granted.
#[derive(Debug)]
pub(super) struct Declared {
    pub paths: Vec<DeclaredPath>,
    pub units: Vec<UnitName>,
    pub databases: Vec<Database>,
    /// What is not saved although it is declared, each in words.
    pub left_out: Vec<String>,
}

/// The machine, with what reaches into it.
#[derive(Debug)]
pub(super) struct Ground {
    machine: Machine,
    pub systemd: Option<Systemd>,
    passwords: Passwords,
}

impl Ground {
    /// A way to the machine as it is seen by the modules; passwords are those of `manifest`.
    pub fn of(supervisor: &Supervisor, manifest: Option<&Manifest>) -> Self {
        let mut passwords = Passwords::default();
        passwords.remember(manifest.into_iter().flat_map(|manifest| &manifest.databases));
        Self { machine: supervisor.layout.machine(), systemd: supervisor.systemd().ok(), passwords }
    }

    /// The same, with the passwords of the installed module `name`, where it is one.
    pub fn of_module(supervisor: &Supervisor, name: &ModuleName) -> Self {
        match Catalog::open(&supervisor.layout).module(name) {
            Some(CatalogEntry::Installed(installed)) => Self::of(supervisor, Some(&installed.manifest)),
            _ => Self::of(supervisor, None),
        }
    }

    /// For saving: given up when somebody interrupts.
    pub fn live<'a>(&'a self, supervisor: &'a Supervisor) -> Live<'a> {
        Live { interrupt: Some(supervisor.cancel.as_fd()), ..self.lasting() }
    }

    /// For putting back, which is never given up.
    pub fn lasting(&self) -> Live<'_> {
        Live { machine: &self.machine, systemd: self.systemd.as_ref(), passwords: &self.passwords, interrupt: None }
    }

    /// Which of `units` can be saved. None where no systemd runs, with the reason; a systemd that does not answer is an error.
    pub fn units(&self, units: Vec<UnitName>, left_out: &mut Vec<String>) -> Result<Vec<UnitName>, BackupError> {
        let reason = match &self.systemd {
            _ if units.is_empty() => return Ok(units),
            None => "below --root the services of this machine are not looked at".to_owned(),
            Some(systemd) => match systemd.states(&units) {
                Ok(_) => return Ok(units),
                Err(error @ ServiceError::NotRunning { .. }) => error.to_string(),
                Err(error) => return Err(StateError::from(error).into()),
            },
        };
        let words: Vec<String> = units.iter().map(UnitName::with_suffix).collect();
        left_out.push(format!("{}: {reason}", words.join(", ")));
        Ok(Vec::new())
    }
}

impl Supervisor {
    /// What the installed module `name` declares, and the machine that has it.
    pub(super) fn declared(&self, name: &ModuleName) -> Result<(Declared, Ground), BackupError> {
        let catalog = Catalog::open(&self.layout);
        let installed = match catalog.module(name) {
            Some(CatalogEntry::Installed(installed)) => installed,
            Some(CatalogEntry::Broken(broken)) => return Err(BackupError::declared(name, &broken.problem)),
            None => {
                let nearest = nearest(name.as_str(), names(&catalog.installed()?));
                return Err(BackupError::UnknownModule { name: name.clone(), nearest });
            }
        };
        let held = holding(&self.layout, &modules::profiles(self), &installed)?;
        let manifest = &held.manifest;
        let paths: Vec<_> = manifest.backup_paths.iter().chain(&held.profile.read_write_paths).cloned().collect();
        let units = manifest.services.iter().chain(&manifest.sandbox.services).chain(&manifest.service_name);
        let mut units: Vec<_> = units.cloned().collect();
        units.sort_unstable();
        units.dedup();
        if paths.is_empty() && units.is_empty() && manifest.databases.is_empty() {
            return Err(BackupError::NothingDeclared(name.clone()));
        }
        // Its own state is as much its work as what it declares.
        let state = DeclaredPath::new(&self.layout.module_state(name).to_string_lossy());
        let state = state.ok().filter(|path| self.layout.machine().locate(path).is_dir());
        let writable = writable::resolve(&self.layout, name, paths.into_iter().chain(state));
        let paths = writable.map_err(|error| BackupError::declared(name, &error))?;
        let ground = Ground::of(self, Some(manifest));
        let mut left_out: Vec<String> =
            held.profile.volatile_paths.iter().map(|path| format!("{path}: it is volatile, by its sandbox")).collect();
        let units = ground.units(units, &mut left_out)?;
        let databases = manifest.databases.clone();
        let paths = paths.into_iter().map(|entry| entry.path).collect();
        Ok((Declared { paths, units, databases, left_out }, ground))
    }
}
