//! `module_backups.json`: the slots of a store in the original's shape, for people and their scripts.
//!
//! A cache: nothing here decides by it, it is written without fsync, and when it is missing, broken or behind it is made
//! again from the slots.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use updates_protocol::ModuleName;

use super::backup::{Backup, ModuleBackupInfo};
use super::slot::{MANIFEST, Places};
use crate::fs::{IoContext, PathError, remove_tree};

pub(super) const FILE: &str = "module_backups.json";
const NEW: &str = ".module_backups.json.new";

/// The index in memory.
#[derive(Debug)]
pub(super) struct Index {
    store: PathBuf,
    known: Option<BTreeMap<ModuleName, ModuleBackupInfo>>,
    changed: bool,
}

impl Index {
    /// Reads nothing yet.
    pub fn new(store: &Path) -> Self {
        Self { store: store.to_owned(), known: None, changed: false }
    }

    /// Records a new slot, or that there is none.
    pub fn note(&mut self, name: &ModuleName, info: Option<ModuleBackupInfo>) {
        self.changed = true;
        let known = self.known();
        match info {
            Some(info) => known.insert(name.clone(), info),
            None => known.remove(name),
        };
    }

    /// Brings it in line with the slots of these names. Only what differs is read.
    pub fn refresh(&mut self, names: &[ModuleName]) {
        let store = self.store.clone();
        let known = self.known();
        let before = known.clone();
        known.retain(|name, _| names.contains(name));
        for name in names {
            let slot = Places::new(&store, name).slot();
            let current = checksum(&slot);
            if current.is_some() && known.get(name).map(|info| &info.checksum) == current.as_ref() {
                continue;
            }
            match Backup::load(&slot, name) {
                Ok(Some(backup)) => known.insert(name.clone(), backup.info()),
                _ => known.remove(name),
            };
        }
        let differs = before != *known;
        self.changed |= differs || fs::symlink_metadata(self.store.join(NEW)).is_ok();
    }

    /// Writes it, if it has changed.
    pub fn save(&mut self) -> Result<(), PathError> {
        if !self.changed {
            return Ok(());
        }
        let path = self.store.join(FILE);
        let mut text = serde_json::to_vec_pretty(self.known()).at("write", &path)?;
        text.push(b'\n');
        // Always the same name, so that one that a crash left is written over by the next.
        let new = self.store.join(NEW);
        remove_tree(&new)?;
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new).at("create", &new)?;
        file.write_all(&text).at("write", &path)?;
        fs::rename(&new, &path).at("replace", &path)?;
        self.changed = false;
        Ok(())
    }

    fn known(&mut self) -> &mut BTreeMap<ModuleName, ModuleBackupInfo> {
        self.known.get_or_insert_with(|| {
            fs::read(self.store.join(FILE)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
        })
    }
}

/// The checksum that a slot's manifest ends with, without reading the rest.
fn checksum(slot: &Path) -> Option<String> {
    let file = File::open(slot.join(MANIFEST)).ok()?;
    let mut tail = [0; 64 + "\"}\n".len()];
    let start = file.metadata().ok()?.len().checked_sub(tail.len() as u64)?;
    file.read_exact_at(&mut tail, start).ok()?;
    String::from_utf8(tail[..64].to_vec()).ok()
}
