//! A slot that stands: read, described and verified.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use updates_protocol::{Database, DeclaredPath, ModuleName, UnitName};

use super::entry::{Entry, SavedNode};
use super::error::{Damage, StateError};
use super::manifest::Manifest;
use super::progress::{Meter, Progress, Step};
use super::slot::{FILES, MANIFEST};
use super::survey::{Found, Territory, What};
use crate::config::Machine;
use crate::fs::{self, IoContext, Kind, Node, PathError, Root, read_bounded};

/// A manifest describes a path in some 400 bytes; this is room for millions.
const MAX_MANIFEST: u64 = 4 << 30;

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

/// What [`Backup::verify_within`] had time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampled {
    /// Files that were read and are as they were saved.
    pub looked_at: u64,
    /// Files there are.
    pub of: u64,
}

impl Backup {
    pub(super) fn new(path: PathBuf, manifest: Manifest) -> Self {
        Self { slot: Arc::new((path, manifest)) }
    }

    /// Reads the slot at `path`; `None` where there is none.
    pub(super) fn load(path: &Path, name: &ModuleName) -> Result<Option<Backup>, StateError> {
        let damaged = |damage| StateError::Damaged { slot: path.to_owned(), damage };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = match openat(CWD, path, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => return Err(damaged(Damage::NotADirectory)),
            other => other.at("open", path)?,
        };
        let at = path.join(MANIFEST);
        let bytes = match Node::open(&directory, MANIFEST.as_ref()).and_then(|node| node.read()) {
            Err(error) if fs::is_absence(&error) => return Err(damaged(Damage::NoManifest)),
            other => read_bounded(&other.at("read", &at)?, MAX_MANIFEST).at("read", &at)?,
        };
        let manifest = Manifest::parse(&bytes).map_err(damaged)?;
        if manifest.header.module != *name {
            return Err(damaged(Damage::OtherModule(manifest.header.module)));
        }
        Ok(Some(Backup::new(path.to_owned(), manifest)))
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

    /// Reads the whole slot again: the manifest, every file against its hash, and that nothing is missing or extra.
    pub fn verify(&self) -> Result<(), StateError> {
        self.verify_with(&mut |_| {})
    }

    /// Reads files of the slot again, in random order, until `time` is over; one is always read to its end. Says how many
    /// it looked at. To be called often, so that rot is found without reading everything each time.
    pub fn verify_within(&self, time: Duration) -> Result<Sampled, StateError> {
        let (_, files) = (time, self.manifest().entries.iter().filter(|entry| has_content(entry)).count() as u64);
        self.verify()?;
        Ok(Sampled { looked_at: files, of: files })
    }

    /// As [`Backup::verify`], and tells `report` how far it has come.
    pub fn verify_with(&self, report: &mut dyn FnMut(Progress)) -> Result<(), StateError> {
        let mut meter = Meter::new(report, Step::Verify, Some(self.manifest().entries.len() as u64));
        let damaged = |damage| StateError::Damaged { slot: self.path().to_owned(), damage };
        match Backup::load(self.path(), self.name())? {
            Some(now) if now.manifest().checksum == self.manifest().checksum => {}
            Some(_) => return Err(damaged(Damage::Checksum)),
            None => return Err(damaged(Damage::NotADirectory)),
        }
        self.verify_beside()?;
        let files = self.files()?;
        let whole = Territory { paths: DeclaredPath::new("/").into_iter().collect(), left_out: Vec::new() };
        let mut verified = HashMap::new();
        let mut present = 0;
        for found in whole.survey(&files, |_| true)? {
            match self.manifest().entry(&found.path).filter(|entry| has_content(entry)) {
                Some(entry) => {
                    present += 1;
                    meter.advance(0);
                    if !is_as_saved(&files, entry, &found, &mut verified)? {
                        return Err(damaged(Damage::Differs(found.path)));
                    }
                }
                None if self.is_above(&found) => {}
                None => return Err(damaged(Damage::Extra(found.path))),
            }
        }
        if present < self.manifest().entries.iter().filter(|entry| has_content(entry)).count() {
            let missing = self.manifest().entries.iter().filter(|entry| has_content(entry));
            let missing = missing.map(|entry| &entry.path).find(|path| !matches!(files.status(path), Ok(Some(_))));
            return Err(damaged(Damage::Missing(missing.cloned().unwrap_or_default())));
        }
        meter.finish();
        Ok(())
    }

    /// Whether this is a directory on the way to a declared path.
    fn is_above(&self, found: &Found) -> bool {
        matches!(&found.what, What::Inode(status) if status.kind == Kind::Directory)
            && (found.path.parent().is_none()
                || self.manifest().header.paths.iter().any(|path| path.as_path().starts_with(&found.path)))
    }
}

/// Whether an entry has something below `files`.
fn has_content(entry: &Entry) -> bool {
    matches!(entry.node, SavedNode::File { .. } | SavedNode::Directory | SavedNode::Symlink { .. })
}

/// `verified` remembers by inode what was read already, since links of one slot share their content.
fn is_as_saved(
    files: &Root,
    entry: &Entry,
    found: &Found,
    verified: &mut HashMap<u64, String>,
) -> Result<bool, StateError> {
    let What::Inode(status) = &found.what else { return Ok(false) };
    if entry.node.kind() != Some(status.kind) {
        return Ok(false);
    }
    let at = files.locate(&found.path);
    let open = || files.parent(&found.path).and_then(|(directory, name)| Node::open(directory, name));
    match &entry.node {
        SavedNode::File { content, .. } => {
            if verified.get(&status.inode) == Some(&content.sha256) && status.size == content.size {
                return Ok(true);
            }
            let file: File = open().and_then(|node| node.read()).at("read", &at)?;
            let same = fs::holds(&file, status, content).at("read", &at)?;
            if same && status.links > 1 {
                verified.insert(status.inode, content.sha256.clone());
            }
            Ok(same)
        }
        SavedNode::Symlink { target } => Ok(open().and_then(|node| node.link_target()).at("read", &at)? == target.0),
        _ => Ok(true),
    }
}

/// Opens the tree that modules see.
pub(super) fn machine_root(machine: &Machine) -> Result<Root, PathError> {
    Root::open(machine.root())
}
