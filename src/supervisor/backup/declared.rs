//! What a backup is taken of: the paths, units and databases that an installed module declares, as it counts now.

use updates_protocol::{Database, DeclaredPath, ModuleName, UnitName};

use super::error::{BackupError, names, nearest};
use crate::catalog::{Catalog, CatalogEntry};
use crate::service::{ServiceError, Systemd};
use crate::state::StateError;
use crate::supervisor::surroundings::Surroundings;
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

impl Supervisor {
    /// What the installed module `name` declares, and what surrounds it.
    pub(super) fn declared(&self, name: &ModuleName) -> Result<(Declared, Surroundings<'_>), BackupError> {
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
        let surroundings = Surroundings::new(self, &manifest.databases);
        let mut left_out: Vec<String> =
            held.profile.volatile_paths.iter().map(|path| format!("{path}: it is volatile, by its sandbox")).collect();
        let units = that_can_be_saved(units, surroundings.systemd(), &mut left_out)?;
        let databases = manifest.databases.clone();
        let paths = paths.into_iter().map(|entry| entry.path).collect();
        Ok((Declared { paths, units, databases, left_out }, surroundings))
    }
}

/// Which of `units` can be saved. None where no systemd runs, with the reason; a systemd that does not answer is an error.
fn that_can_be_saved(
    units: Vec<UnitName>,
    systemd: Option<&Systemd>,
    left_out: &mut Vec<String>,
) -> Result<Vec<UnitName>, BackupError> {
    let reason = match systemd {
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
