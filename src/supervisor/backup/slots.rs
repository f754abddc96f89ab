//! Every slot there is: in each store directly below /var/backups, and the supervisor's checkpoints.
//!
//! A slot is named by its label, `STORE/NAME`: the store's folder below /var/backups, or `checkpoints`. It belongs to the
//! module that its manifest names; of a damaged one the name has to tell.

use std::path::{Path, PathBuf};

use updates_protocol::ModuleName;

use super::error::{BackupError, names, nearest};
use super::rollback::before_rollback;
use crate::catalog::{Catalog, CatalogEntry};
use crate::config::Layout;
use crate::state::{Backup, StateError, Store};
use crate::supervisor::stores::stores;

/// What the supervisor's own store is called in labels.
const CHECKPOINTS: &str = "checkpoints";

/// Who asked for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// A module, or a person.
    Backup,
    /// The supervisor, before a run.
    Checkpoint,
}

/// One slot.
#[derive(Debug)]
pub struct Slot {
    /// The module that it belongs to.
    pub module: ModuleName,
    /// Its name in its store.
    pub name: ModuleName,
    /// `STORE/NAME`, by which a person names it.
    pub label: String,
    /// Who asked for it.
    pub kind: SlotKind,
    /// The folder that it lies in.
    pub store: PathBuf,
    /// What it holds, or why it can't be used. The manifest is checked, the content is not.
    pub backup: Result<Backup, StateError>,
}

/// All of them, by label; checkpoints last.
#[derive(Debug)]
pub struct Slots {
    all: Vec<Slot>,
    installed: Vec<CatalogEntry>,
}

impl Slot {
    /// Its folder.
    pub fn path(&self) -> PathBuf {
        Store::place(&self.store, &self.name)
    }

    /// How one that is damaged is got rid of, as a command.
    pub fn way_out(&self) -> String {
        let Self { module, label, kind, .. } = self;
        if self.backup.as_ref().is_err_and(StateError::is_newer_format) {
            // The newer program can still put it back.
            return format!("where it is not wanted any more: updates backup remove {module} {label}");
        }
        match kind {
            SlotKind::Backup if label.ends_with(&format!("/{module}")) && label.starts_with("updates/") => {
                format!("to make it anew: updates backup create {module}")
            }
            SlotKind::Backup => format!("to be rid of it: updates backup remove {module} {label}"),
            SlotKind::Checkpoint => format!(
                "the next run of {module} makes it anew; to be rid of it: updates backup remove {module} {label}"
            ),
        }
    }

    /// The slot again, as it is now; `None` where it is gone.
    pub(super) fn reload(&self) -> Result<Option<Backup>, StateError> {
        match Store::find(&self.store)? {
            Some(store) => store.load(&self.name),
            None => Ok(None),
        }
    }
}

impl Slots {
    /// Looks for all of them. Nothing is written, and no lock is needed: a slot is replaced in one step.
    pub fn list(layout: &Layout) -> Result<Self, BackupError> {
        let installed = Catalog::open(layout).installed()?;
        let mut slots = Self { all: Vec::new(), installed };
        for store in stores(layout)? {
            let name = store.file_name().unwrap_or_default().to_string_lossy();
            // The short name means the supervisor's own.
            let prefix = if name == CHECKPOINTS { store.to_string_lossy() } else { name };
            slots.add(&store, &prefix, SlotKind::Backup)?;
        }
        slots.add(&layout.checkpoints(), CHECKPOINTS, SlotKind::Checkpoint)?;
        Ok(slots)
    }

    fn add(&mut self, path: &Path, prefix: &str, kind: SlotKind) -> Result<(), BackupError> {
        let Some(store) = Store::find(path)? else { return Ok(()) };
        for (name, backup) in store.list()? {
            let module = match &backup {
                Ok(backup) => backup.owner().clone(),
                Err(_) => self.likely_owner(&name),
            };
            let label = format!("{prefix}/{name}");
            self.all.push(Slot { module, name, label, kind, store: path.to_owned(), backup });
        }
        Ok(())
    }

    /// A module's slots are named like it, or like it and something more.
    fn likely_owner(&self, name: &ModuleName) -> ModuleName {
        let begins = |module: &&str| {
            name.as_str().strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '-', '.']))
        };
        let longest = names(&self.installed).filter(begins).max_by_key(|module| module.len());
        longest.and_then(|module| module.parse().ok()).unwrap_or_else(|| name.clone())
    }

    /// Every slot.
    pub fn all(&self) -> &[Slot] {
        &self.all
    }

    /// Those of a module, which has to be one that is known.
    pub fn of(&self, module: &ModuleName) -> Result<Vec<&Slot>, BackupError> {
        let found: Vec<_> = self.all.iter().filter(|slot| slot.module == *module).collect();
        let known = || names(&self.installed).chain(self.all.iter().map(|slot| slot.module.as_str()));
        if found.is_empty() && !known().any(|name| name == module.as_str()) {
            let nearest = nearest(module.as_str(), known());
            return Err(BackupError::UnknownModule { name: module.clone(), nearest });
        }
        Ok(found)
    }

    /// The checkpoint of a module.
    pub fn checkpoint(&self, module: &ModuleName) -> Result<&Slot, BackupError> {
        let found = self.of(module)?.into_iter().find(|slot| slot.kind == SlotKind::Checkpoint);
        found.ok_or_else(|| BackupError::NoCheckpoint(module.clone()))
    }

    /// The slot of a module that a person means: the named one, or the one that `updates backup create` makes, or the only
    /// one. A checkpoint has to be named, and so has what a rollback saved.
    pub fn choose(&self, module: &ModuleName, named: Option<&str>) -> Result<&Slot, BackupError> {
        let own = self.of(module)?;
        if let Some(named) = named {
            return self.named(module, &own, named);
        }
        let usual = format!("updates/{module}");
        // What a rollback saved is nobody's backup of a good state; whoever wants it says so.
        let undoing = before_rollback(module);
        let is_backup = |slot: &&Slot| slot.kind == SlotKind::Backup && slot.name != undoing;
        let backups: Vec<_> = own.iter().copied().filter(is_backup).collect();
        match (backups.iter().find(|slot| slot.label == usual), backups.as_slice()) {
            (Some(slot), _) => Ok(slot),
            (None, [only]) => Ok(only),
            (None, []) => {
                let checkpoint = own.iter().any(|slot| slot.kind == SlotKind::Checkpoint);
                Err(BackupError::NoBackup { module: module.clone(), checkpoint })
            }
            (None, several) => Err(ambiguous(module, several)),
        }
    }

    fn named<'s>(&'s self, module: &ModuleName, own: &[&'s Slot], named: &str) -> Result<&'s Slot, BackupError> {
        let is_meant = |slot: &&Slot| match named.contains('/') {
            true => slot.label == named || slot.path() == Path::new(named),
            false => slot.name.as_str() == named && slot.kind == SlotKind::Backup,
        };
        let found: Vec<_> = own.iter().copied().filter(is_meant).collect();
        match found.as_slice() {
            [slot] => Ok(slot),
            [] => Err(match self.all.iter().find(is_meant) {
                Some(slot) => {
                    let (label, owner) = (slot.label.clone(), slot.module.clone());
                    BackupError::OtherOwner { module: module.clone(), label, owner }
                }
                None => {
                    let known = own.iter().flat_map(|slot| [slot.label.as_str(), slot.name.as_str()]);
                    let nearest = nearest(named, known);
                    BackupError::UnknownSlot { module: module.clone(), slot: named.to_owned(), nearest }
                }
            }),
            several => Err(ambiguous(module, several)),
        }
    }
}

fn ambiguous(module: &ModuleName, slots: &[&Slot]) -> BackupError {
    let labels = slots.iter().map(|slot| slot.label.clone()).collect();
    BackupError::Ambiguous { module: module.clone(), labels }
}
