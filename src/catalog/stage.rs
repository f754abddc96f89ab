//! A new version, made beside the installed one: its files, and its `index.json` with the local changes in it.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Map, Value};
use updates_protocol::{MAX_MANIFEST, Manifest, ManifestError, ModuleName, SchemaVersion};

use super::Catalog;
use super::document::{DocumentError, format_like, mode_of, parse_object, read_bounded};
use super::merge::{Merged, merge};
use super::place::{inode, list};
use super::record::{Entry, LastGood, Record};
use super::swap::{SwapError, Swapped};
use crate::fs::{
    IoContext, PathError, create_directory, exchange, remove_tree, rename_new, replace_file, sync_file_system,
};

/// Why a version could not be staged. What is installed is as it was.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Its files could not be written.
    #[error("cannot write the files of module {name}: {source}")]
    Export {
        /// Which module.
        name: ModuleName,
        /// What the export said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Its `index.json` is wrong.
    #[error("the new version of module {name}: index.json: {source}")]
    Manifest {
        /// Which module.
        name: ModuleName,
        /// Which field, and how.
        #[source]
        source: ManifestError,
    },
    /// It has none.
    #[error("the new version of module {0} has no index.json")]
    NoManifest(ModuleName),
    /// It is right as shipped, and wrong with the local changes.
    #[error("with the changes in {installed} the new version's index.json would be wrong: {source}")]
    Merged {
        /// The installed file.
        installed: String,
        /// Which field, and how.
        #[source]
        source: ManifestError,
    },
    /// Another module is called the same but for case.
    #[error("module {name} is called like the installed {twin} but for case; rename one of them")]
    Twin {
        /// Which module.
        name: ModuleName,
        /// The other.
        twin: String,
    },
    /// A file of this machine.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A folder of this machine.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// A version that is written, merged and durable, and not yet installed. Dropped, it removes itself.
#[derive(Debug)]
#[must_use = "a staged version is removed unless it is committed"]
pub struct Staged<'c> {
    catalog: &'c Catalog,
    name: ModuleName,
    entry: Entry,
    version: SchemaVersion,
    notes: Vec<String>,
    committed: bool,
}

impl Catalog {
    /// Makes the new version of `name` beside the installed one.
    ///
    /// `tree` names its content; `export` writes its files into the empty folder that it is given.
    pub fn stage<E: Into<Box<dyn Error + Send + Sync>>>(
        &self,
        name: &ModuleName,
        tree: Option<&str>,
        export: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Staged<'_>, StageError> {
        create_directory(&self.layout.modules(), 0o755)?;
        let (record, _) = self.settle(name)?;
        if let Some(twin) = twin(&list(&self.layout.modules())?, name.as_str()) {
            return Err(StageError::Twin { name: name.clone(), twin });
        }
        let folder = self.staged(name);
        remove_tree(&folder)?;
        fs::create_dir(&folder).at("create", &folder)?;
        let made = self.fill(name, &folder, record.as_ref(), export);
        match made {
            Ok((shipped, version, notes)) => {
                let inode = inode(&folder)?.ok_or_else(|| StageError::NoManifest(name.clone()))?;
                let tree = tree.map(str::to_owned);
                let entry = Entry { inode, version: Some(version.clone()), tree, shipped: Some(shipped) };
                Ok(Staged { catalog: self, name: name.clone(), entry, version, notes, committed: false })
            }
            Err(error) => {
                remove_tree(&folder)?;
                Err(error)
            }
        }
    }

    fn fill<E: Into<Box<dyn Error + Send + Sync>>>(
        &self,
        name: &ModuleName,
        folder: &Path,
        record: Option<&Record>,
        export: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(String, SchemaVersion, Vec<String>), StageError> {
        export(folder).map_err(|error| StageError::Export { name: name.clone(), source: error.into() })?;
        let index = folder.join("index.json");
        let shipped = read_bounded(&index, MAX_MANIFEST)?.ok_or_else(|| StageError::NoManifest(name.clone()))?;
        let (manifest, _) =
            Manifest::parse(&shipped, name).map_err(|source| StageError::Manifest { name: name.clone(), source })?;
        let shipped = String::from_utf8_lossy(&shipped).into_owned();

        let (merged, mut notes) = self.with_local_changes(name, record, &manifest.raw)?;
        if merged.document != manifest.raw {
            Manifest::from_object(merged.document.clone(), name).map_err(|source| StageError::Merged {
                installed: self.layout.module(name).join("index.json").display().to_string(),
                source,
            })?;
            let mode = mode_of(&self.layout.module(name).join("index.json"));
            replace_file(&index, &format_like(&shipped, &merged.document), mode)?;
        }
        notes.extend(merged.notes());
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).at("set the mode of", folder)?;
        sync_file_system(folder)?;
        Ok((shipped, manifest.schema_version, notes))
    }

    fn with_local_changes(
        &self,
        name: &ModuleName,
        record: Option<&Record>,
        new: &Map<String, Value>,
    ) -> Result<(Merged, Vec<String>), StageError> {
        let unchanged = |notes| (Merged { document: new.clone(), ..Merged::default() }, notes);
        let path = self.layout.module(name).join("index.json");
        let local = match read_bounded(&path, MAX_MANIFEST).and_then(|bytes| match bytes {
            Some(bytes) => parse_object(&path, &bytes).map(Some),
            None => Ok(None),
        }) {
            Ok(Some(local)) => local,
            Ok(None) => return Ok(unchanged(Vec::new())),
            Err(DocumentError::Invalid { path, problem }) => {
                let note = format!("local changes could not be carried over: {}: {problem}", path.display());
                return Ok(unchanged(vec![note]));
            }
            Err(error) => return Err(error.into()),
        };
        let base = record.and_then(|record| shipped_copy(record, &local));
        Ok((merge(base.as_ref(), &local, new), Vec::new()))
    }
}

/// What was shipped in the installed folder, when the record knows it for sure: the versions must agree, since a folder
/// that a person put there may have an inode that was used before.
pub(super) fn shipped_copy(record: &Record, local: &Map<String, Value>) -> Option<Map<String, Value>> {
    let version: SchemaVersion = local.get("metadata")?.get("schema_version")?.as_str()?.parse().ok()?;
    let entry = record.entries.iter().rev().find(|entry| entry.version.as_ref() == Some(&version))?;
    match Value::Object(parse_object(Path::new("index.json"), entry.shipped.as_ref()?.as_bytes()).ok()?) {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

impl Staged<'_> {
    /// Its version.
    pub fn version(&self) -> &SchemaVersion {
        &self.version
    }

    /// Which local values won over changed shipped ones, and what else a person should know of the merge.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Puts it in the place of the installed version, in one step that nothing can split.
    ///
    /// What was installed before is kept until [`Catalog::confirm`], for [`Catalog::revert`]. After an error the installed
    /// version is the one from before, at the latest after [`Catalog::recover`].
    pub fn commit(mut self) -> Result<Swapped, SwapError> {
        self.committed = true;
        let catalog = self.catalog;
        let (name, folder) = (&self.name, self.catalog.layout.module(&self.name));
        let installed = inode(&folder)?;
        let before = catalog.record(name)?;
        let from = before.as_ref().zip(installed).and_then(|(record, inode)| record.entry(inode)?.version.clone());
        let mut record = before.unwrap_or(Record { entries: Vec::new(), last_good: LastGood::Installed });
        match installed {
            // The record's entry is of a folder that a person replaced; nothing is known of what is there.
            Some(inode) if record.entry(inode).is_none() => {
                record.entries = vec![Entry { inode, version: None, tree: None, shipped: None }];
                record.last_good = LastGood::Folder(inode);
            }
            Some(inode) if record.last_good == LastGood::Installed => record.last_good = LastGood::Folder(inode),
            Some(_) => {}
            None => {
                record.entries.clear();
                record.last_good = LastGood::Absent;
            }
        }
        record.entries.push(self.entry.clone());
        catalog.write_record(name, Some(&record))?;

        let staged = catalog.staged(name);
        let swapped = match installed {
            Some(_) => exchange(&staged, &folder),
            None => rename_new(&staged, &folder),
        };
        if let Err(error) = swapped {
            catalog.settle(name)?;
            return Err(SwapError::refused(name, error));
        }
        catalog.settle(name)?;
        Ok(Swapped { from, to: self.version.clone(), notes: std::mem::take(&mut self.notes) })
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.committed
            && let Err(error) = remove_tree(&self.catalog.staged(&self.name))
        {
            // Nobody is left to return it to, and the next recovery tries again.
            tracing::warn!(module = %self.name, "a version that was given up could not be removed: {error}");
        }
    }
}

/// The name among `names` that equals `name` but for case.
pub(super) fn twin(names: &[String], name: &str) -> Option<String> {
    names.iter().find(|other| *other != name && other.eq_ignore_ascii_case(name)).cloned()
}
