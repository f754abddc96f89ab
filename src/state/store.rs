//! A directory of slots: begun, loaded, listed and removed by name, settled after a crash.
//!
//! One process uses a store at a time (the run lock sees to it); its threads may work on different names at once.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use updates_protocol::ModuleName;

use super::backup::{Backup, ModuleBackupInfo};
use super::error::StateError;
use super::index::{self, Index};
use super::pending::PendingBackup;
use super::slot::{self, Places};
use crate::fs::{IoContext, PathError};

/// A directory of slots.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    index: Mutex<Index>,
}

impl Store {
    /// Opens the store at `root`, an absolute path, and makes the directory when it is missing.
    pub fn open(root: &Path) -> Result<Store, PathError> {
        DirBuilder::new().recursive(true).mode(0o700).create(root).at("create", root)?;
        Ok(Store::at(root))
    }

    /// The store at `root`, an absolute path; `None` where no directory is. For looking: nothing is made.
    pub fn find(root: &Path) -> Result<Option<Store>, PathError> {
        match std::fs::symlink_metadata(root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Ok(found) if !found.is_dir() => Ok(None),
            other => other.at("look at", root).map(|_| Some(Store::at(root))),
        }
    }

    fn at(root: &Path) -> Store {
        Store { root: root.to_owned(), index: Mutex::new(Index::new(root)) }
    }

    /// Whether a directory is a store: it has an index, or a slot with a manifest. One that is empty is nobody's yet.
    pub fn is_at(directory: &Path) -> Result<bool, PathError> {
        let index = directory.join(index::FILE);
        Ok(slot::is_there(&index)? || slot::holds_slots(directory)?)
    }

    /// Where the slot of a name lies in the store at `directory`, whether there is one or not.
    pub fn place(directory: &Path, name: &ModuleName) -> PathBuf {
        Places::new(directory, name).slot()
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Settles what a crash left: a swap that was half done, unfinished and former slots, an index that is behind.
    /// Called once after the run lock is taken and before anything else.
    pub fn recover(&self) -> Result<(), PathError> {
        let names = slot::names(&self.root)?;
        for name in &names {
            Places::new(&self.root, name).recover()?;
        }
        self.with_index(|index| index.refresh(&names));
        // A full disk must not keep anybody from being put back, which may well be what frees it.
        if let Err(error) = self.save_index() {
            tracing::warn!("the index of backups is behind until the next run: {error}");
        }
        Ok(())
    }

    /// Begins a backup of the name `name`, which `owner` asks for.
    pub fn begin(&self, name: &ModuleName, owner: &ModuleName, description: &str) -> PendingBackup<'_> {
        PendingBackup::new(self, name.clone(), owner.clone(), description)
    }

    /// The slot of a name; `None` where there is none. The manifest is checked, the content is not: see
    /// [`Backup::verify`].
    pub fn load(&self, name: &ModuleName) -> Result<Option<Backup>, StateError> {
        Backup::load(&Places::new(&self.root, name).slot(), name)
    }

    /// The names that have something here, be it a slot or what a crash left of one.
    pub fn names(&self) -> Result<Vec<ModuleName>, PathError> {
        slot::names(&self.root)
    }

    /// Every slot by name, also those that can't be used, with the reason.
    pub fn list(&self) -> Result<BTreeMap<ModuleName, Result<Backup, StateError>>, StateError> {
        let mut found = BTreeMap::new();
        for name in slot::names(&self.root)? {
            if let Some(backup) = self.load(&name).transpose() {
                found.insert(name, backup);
            }
        }
        Ok(found)
    }

    /// Removes the slot of a name, whatever its condition. Says whether there was one.
    pub fn remove(&self, name: &ModuleName) -> Result<bool, PathError> {
        let removed = Places::new(&self.root, name).remove()?;
        self.note(name, None);
        Ok(removed)
    }

    /// Writes `module_backups.json` if something has changed. Also done when the store is dropped.
    pub fn save_index(&self) -> Result<(), PathError> {
        self.with_index(Index::save)
    }

    pub(super) fn note(&self, name: &ModuleName, info: Option<ModuleBackupInfo>) {
        self.with_index(|index| index.note(name, info));
    }

    fn with_index<T>(&self, work: impl FnOnce(&mut Index) -> T) -> T {
        // A thread that panicked in the middle leaves at worst a cache that is behind.
        work(&mut self.index.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(error) = self.save_index() {
            tracing::warn!("the index of backups is behind until the next run: {error}");
        }
    }
}
