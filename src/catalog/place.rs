//! Where a module's folders and record lie, and the hand that settles them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use updates_protocol::ModuleName;

use super::Catalog;
use super::document::{DocumentError, read_bounded};
use super::record::{Record, Seen, Settlement, settle};
use crate::fs::{IoContext, PathError, create_directory, remove_tree, rename_new, replace_file, sync_directory};

const STAGED: &str = ".staged";
const PREVIOUS: &str = ".previous";
// Three shipped copies of a mebibyte, each byte escaped at worst as six.
const MAX_RECORD: usize = 20 << 20;

impl Catalog {
    pub(super) fn staged(&self, name: &ModuleName) -> PathBuf {
        self.layout.modules().join(format!(".{name}{STAGED}"))
    }

    pub(super) fn previous(&self, name: &ModuleName) -> PathBuf {
        self.layout.modules().join(format!(".{name}{PREVIOUS}"))
    }

    fn record_path(&self, name: &ModuleName) -> PathBuf {
        self.records().join(format!("{name}.json"))
    }

    pub(super) fn records(&self) -> PathBuf {
        self.layout.catalog().join("modules")
    }

    /// The module's record, if it has one.
    pub(super) fn record(&self, name: &ModuleName) -> Result<Option<Record>, DocumentError> {
        let path = self.record_path(name);
        let Some(bytes) = read_bounded(&path, MAX_RECORD)? else { return Ok(None) };
        match serde_json::from_slice(&bytes) {
            Ok(record) => Ok(Some(record)),
            Err(error) => Err(DocumentError::invalid(&path, format!("is no record of a module: {error}"))),
        }
    }

    /// Makes the record what it should be, durably; nothing is written where it is so already.
    pub(super) fn write_record(&self, name: &ModuleName, record: Option<&Record>) -> Result<(), DocumentError> {
        let path = self.record_path(name);
        let Some(record) = record else {
            if path.symlink_metadata().is_ok() {
                remove_tree(&path)?;
                sync_directory(&self.records())?;
            }
            return Ok(());
        };
        create_directory(&self.records(), 0o700)?;
        let bytes = match serde_json::to_vec(record) {
            Ok(bytes) => bytes,
            Err(error) => return Err(DocumentError::invalid(&path, error.to_string())),
        };
        Ok(replace_file(&path, &bytes, 0o600)?)
    }

    pub(super) fn seen(&self, name: &ModuleName) -> Result<Seen, PathError> {
        Ok(Seen {
            installed: inode(&self.layout.module(name))?,
            staged: inode(&self.staged(name))?,
            previous: inode(&self.previous(name))?,
        })
    }

    /// Brings one module's folders in line with its record, wherever an earlier swap was cut; says what that took.
    ///
    /// A record that can't be read is as good as none: what stands at the module's name is whole in any case.
    pub(super) fn settle(&self, name: &ModuleName) -> Result<(Option<Record>, Option<String>), DocumentError> {
        let (before, unreadable) = match self.record(name) {
            Ok(record) => (record, None),
            Err(DocumentError::Invalid { problem, .. }) => {
                (None, Some(format!("its record was given up: it {problem}")))
            }
            Err(error) => return Err(error),
        };
        let Settlement { clear_previous, keep_staged, put_back, record, remove_staged, remove_previous, note } =
            settle(before.clone(), self.seen(name)?);
        let (staged, previous) = (self.staged(name), self.previous(name));
        if clear_previous {
            remove_tree(&previous)?;
        }
        if keep_staged {
            rename_new(&staged, &previous)?;
        }
        if put_back {
            rename_new(&previous, &self.layout.module(name))?;
        }
        // The record first: a folder that it names must not be half removed.
        if record != before || unreadable.is_some() {
            self.write_record(name, record.as_ref())?;
        }
        if remove_staged {
            remove_tree(&staged)?;
        }
        if remove_previous {
            remove_tree(&previous)?;
        }
        Ok((record, unreadable.or(note)))
    }

    /// Every module that has a record or a folder beside its own.
    pub(super) fn known(&self) -> Result<BTreeSet<ModuleName>, PathError> {
        let mut names = BTreeSet::new();
        for file in list(&self.records())? {
            names.extend(file.strip_suffix(".json").and_then(|stem| stem.parse().ok()));
        }
        for folder in list(&self.layout.modules())? {
            let hidden = folder.strip_prefix('.');
            let stem = hidden.and_then(|name| name.strip_suffix(STAGED).or_else(|| name.strip_suffix(PREVIOUS)));
            names.extend(stem.and_then(|stem| stem.parse().ok()));
        }
        Ok(names)
    }
}

/// The names in a folder that are UTF-8; none where there is no folder.
pub(super) fn list(folder: &Path) -> Result<Vec<String>, PathError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.at("read", folder)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.at("read", folder)?.file_name().into_string().ok());
    }
    Ok(names)
}

pub(super) fn inode(path: &Path) -> Result<Option<u64>, PathError> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(Some(metadata.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("look at", path),
    }
}
