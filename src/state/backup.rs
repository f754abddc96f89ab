//! A slot that stands: read and described. Its manifest may be larger than memory and is never held whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use updates_protocol::{Database, DeclaredPath, ModuleName, UnitName};

use super::error::{Damage, StateError};
use super::manifest::{Entries, Manifest, Source};
use super::slot::{FILES, MANIFEST};
use crate::config::Machine;
use crate::fs::{self, IoContext, Node, PathError, Root};

/// A complete slot whose manifest has been read and found sound.
#[derive(Debug, Clone)]
pub struct Backup {
    slot: Arc<(PathBuf, Manifest)>,
}

/// What a module is told of a slot, in the fields of the original `module_backups.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModuleBackupInfo {
    /// The slot's name.
    pub module_name: ModuleName,
    /// Seconds since the epoch.
    pub timestamp: u64,
    /// For people.
    pub description: String,
    /// The slot's directory.
    pub backup_dir: PathBuf,
    /// The declared paths.
    pub files: Vec<DeclaredPath>,
    /// Unit names.
    pub services: Vec<UnitName>,
    /// Database configurations, without passwords.
    pub databases: Vec<Database>,
    /// SHA-256 that stands for the whole slot.
    pub checksum: String,
}

impl Backup {
    pub(super) fn new(path: PathBuf, manifest: Manifest) -> Self {
        Self { slot: Arc::new((path, manifest)) }
    }

    /// Reads the slot at `path`; `None` where there is none.
    pub(super) fn load(path: &Path, name: &ModuleName) -> Result<Option<Backup>, StateError> {
        let Some(backup) = Backup::open(path, name)? else { return Ok(None) };
        backup.check()?;
        Ok(Some(backup))
    }

    /// Reads the header alone: whether the rest is what was written, [`Backup::check`] says.
    pub(super) fn open(path: &Path, name: &ModuleName) -> Result<Option<Backup>, StateError> {
        let Some((manifest, _)) = source(path)? else { return Ok(None) };
        let damaged = |damage| StateError::Damaged { slot: path.to_owned(), damage };
        manifest.header.refuse_strays().map_err(damaged)?;
        if manifest.header.module != *name {
            return Err(damaged(Damage::OtherModule(manifest.header.module)));
        }
        Ok(Some(Backup::new(path.to_owned(), manifest)))
    }

    /// Reads the manifest against its checksum and returns how many entries it has.
    pub(super) fn check(&self) -> Result<u64, StateError> {
        self.source()?.check(&self.manifest().checksum).map_err(|damage| self.damaged(damage))
    }

    /// The manifest's file, as long as it is the one that was loaded.
    pub(super) fn source(&self) -> Result<Source, StateError> {
        match source(self.path())? {
            Some((now, source)) if now.checksum == self.manifest().checksum => Ok(source),
            Some(_) => Err(self.damaged(Damage::Checksum)),
            None => Err(self.damaged(Damage::NotADirectory)),
        }
    }

    /// How large the manifest is, in bytes; 0 where that can't be told.
    pub(super) fn manifest_size(&self) -> u64 {
        std::fs::symlink_metadata(self.path().join(MANIFEST)).map_or(0, |found| found.len())
    }

    pub(super) fn damaged(&self, damage: Damage) -> StateError {
        StateError::Damaged { slot: self.path().to_owned(), damage }
    }

    /// Every path that it holds, in the order of the walk, read as it is asked for.
    pub fn entries(&self) -> Result<Entries, StateError> {
        Ok(self.source()?.entries(&self.manifest().header, self.path()))
    }

    /// The slot's name.
    pub fn name(&self) -> &ModuleName {
        &self.manifest().header.module
    }

    /// The module that made it, which alone may ask for it.
    pub fn owner(&self) -> &ModuleName {
        &self.manifest().header.owner
    }

    /// The slot's directory.
    pub fn path(&self) -> &Path {
        &self.slot.0
    }

    /// Everything it holds.
    pub fn manifest(&self) -> &Manifest {
        &self.slot.1
    }

    pub(super) fn files(&self) -> Result<Root, PathError> {
        Root::open(&self.path().join(FILES))
    }

    /// What a module is told of it.
    pub fn info(&self) -> ModuleBackupInfo {
        let Manifest { header, checksum, .. } = self.manifest();
        ModuleBackupInfo {
            module_name: header.module.clone(),
            timestamp: header.timestamp,
            description: header.description.clone(),
            backup_dir: self.path().to_owned(),
            files: header.paths.clone(),
            services: header.services.keys().cloned().collect(),
            databases: header.databases.iter().map(|saved| saved.database.clone()).collect(),
            checksum: checksum.clone(),
        }
    }
}

/// Opens the manifest of the slot at `path`; `None` where there is no slot.
fn source(path: &Path) -> Result<Option<(Manifest, Source)>, StateError> {
    let damaged = |damage| StateError::Damaged { slot: path.to_owned(), damage };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = match openat(CWD, path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP | Errno::NOTDIR) => return Err(damaged(Damage::NotADirectory)),
        other => other.at("open", path)?,
    };
    let at = path.join(MANIFEST);
    let file = match Node::open(&directory, MANIFEST.as_ref()).and_then(|node| node.read()) {
        Err(error) if fs::is_absence(&error) => return Err(damaged(Damage::NoManifest)),
        other => other.at("read", &at)?,
    };
    Source::open(file).map(Some).map_err(damaged)
}

/// Opens the tree that modules see.
pub(super) fn machine_root(machine: &Machine) -> Result<Root, PathError> {
    Root::open(machine.root())
}
