//! What is installed: each folder's manifest with the local settings laid over it, or what is wrong with it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use updates_protocol::{MAX_MANIFEST, Manifest, ManifestError, ManifestWarning, ModuleName, SchemaVersion};

use super::Catalog;
use super::document::{DocumentError, parse_object, read_bounded, read_object};
use super::merge::changes;
use super::patch::apply_patch;
use super::record::{LastGood, Record};
use super::stage::{shipped_copy, twin};
use crate::fs::{IoContext, PathError};

/// A folder of the catalog.
#[derive(Debug, Clone, PartialEq)]
pub enum CatalogEntry {
    /// A module that can be used.
    Installed(Box<Installed>),
    /// One that can't, and why.
    Broken(Broken),
}

/// An installed module.
#[derive(Debug, Clone, PartialEq)]
pub struct Installed {
    /// Its name.
    pub name: ModuleName,
    /// Its folder.
    pub directory: PathBuf,
    /// Its manifest with the local settings laid over it: the one that counts.
    pub manifest: Manifest,
    /// Odd things in that.
    pub warnings: Vec<ManifestWarning>,
    /// Its `index.json` as it lies in the folder.
    pub document: Map<String, Value>,
    /// Its `index.json` as it was shipped; absent where that is not known.
    pub shipped: Option<Map<String, Value>>,
    /// Whether it is disabled here, rather than shipped so.
    pub disabled_locally: bool,
    /// Dotted paths in which its `index.json` differs from what was shipped; empty also where that is not known. A
    /// module that could write there may have done it itself.
    pub local_changes: Vec<String>,
    /// What it was installed from, as the source names content; absent where the catalog did not install it.
    pub tree: Option<String>,
    /// Whether this version was swapped in and has not run well yet.
    pub unconfirmed: bool,
}

/// A folder that can't be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Broken {
    /// Its name, with what is not UTF-8 replaced.
    pub name: String,
    /// What is wrong: the file, the field and the way out.
    pub problem: String,
    /// Its version, where that much can be read: a newer one may mend it.
    pub version: Option<SchemaVersion>,
    /// Whether it is disabled here.
    pub disabled_locally: bool,
}

impl CatalogEntry {
    /// The folder's name.
    pub fn name(&self) -> &str {
        match self {
            CatalogEntry::Installed(module) => module.name.as_str(),
            CatalogEntry::Broken(broken) => &broken.name,
        }
    }
}

impl Catalog {
    /// Every folder of the catalog, by name; hidden ones and plain files are none. Each is judged alone.
    pub fn installed(&self) -> Result<Vec<CatalogEntry>, PathError> {
        let folder = self.layout.modules();
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.at("read", &folder)?,
        };
        let mut names = Vec::new();
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.at("read", &folder)?;
            let file_name = entry.file_name();
            if file_name.as_encoded_bytes().starts_with(b".") || file_name == "__pycache__" {
                continue;
            }
            let kind = entry.file_type().at("look at", &entry.path())?;
            let links_to_folder = kind.is_symlink() && entry.path().is_dir();
            if !kind.is_dir() && !links_to_folder {
                continue;
            }
            match file_name.into_string() {
                Ok(name) if kind.is_dir() => names.push(name),
                Ok(name) => found.push(broken(
                    &name,
                    format!("{} is a symbolic link; a module is a folder", entry.path().display()),
                )),
                Err(name) => found.push(broken(
                    &name.to_string_lossy(),
                    format!("{}: the name is not UTF-8; rename or remove the folder", entry.path().display()),
                )),
            }
        }
        for name in &names {
            found.push(match (name.parse::<ModuleName>(), twin(&names, name)) {
                (Err(error), _) => {
                    broken(name, format!("{}: {error}; rename or remove the folder", folder.join(name).display()))
                }
                (Ok(_), Some(twin)) => broken(
                    name,
                    format!("{}: differs from {twin} only in case; rename or remove one", folder.join(name).display()),
                ),
                (Ok(name), None) => self.read(&name),
            });
        }
        found.sort_by(|left, right| left.name().cmp(right.name()));
        Ok(found)
    }

    /// The module `name`, if its folder is there.
    pub fn module(&self, name: &ModuleName) -> Option<CatalogEntry> {
        self.layout.module(name).symlink_metadata().is_ok_and(|found| found.is_dir()).then(|| self.read(name))
    }

    fn read(&self, name: &ModuleName) -> CatalogEntry {
        // A record that can't be read takes nothing from the module but what it would have added; recovery says so.
        let record = self.record(name).unwrap_or_default();
        let directory = self.layout.module(name);
        // A link that leads nowhere is then refused where the settings are read, with its own name.
        let settings = self.settings_file(name).unwrap_or_else(|_| self.layout.local_patch(name));
        read_folder(&directory, name, Some(&settings), record.as_ref())
    }

    /// A module in a folder outside the catalog, which is named like the folder; no local settings are laid over it.
    pub fn read_folder(directory: &Path) -> CatalogEntry {
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        match name.parse::<ModuleName>() {
            Ok(name) => read_folder(directory, &name, None, None),
            Err(error) => broken(&name, format!("{}: {error}", directory.display())),
        }
    }
}

fn read_folder(directory: &Path, name: &ModuleName, patch: Option<&Path>, record: Option<&Record>) -> CatalogEntry {
    let index = directory.join("index.json");
    let (local, parsed) = match read_index(&index, name) {
        Ok(read) => read,
        Err(error) => {
            let version = record.and_then(|record| record.entries.last()).and_then(|entry| entry.version.clone());
            let disabled_locally =
                patch.is_some_and(|patch| switched(read_object(patch).ok().flatten().as_ref()) == Some(false));
            let broken = Broken { name: name.to_string(), problem: error.to_string(), version, disabled_locally };
            return CatalogEntry::Broken(broken);
        }
    };
    let base = record.and_then(|record| shipped_copy(record, &local));
    let settings = patch.map_or(Ok(None), read_object);
    let settings_say = switched(settings.as_ref().ok().and_then(Option::as_ref));
    let shipped_disabled = base.as_ref().is_some_and(|base| switched(Some(base)) == Some(false));
    let disabled_locally = match settings_say {
        Some(enabled) => !enabled,
        None => switched(Some(&local)) == Some(false) && !shipped_disabled,
    };
    let version = || version_of(&local);
    let problem = |problem: String| {
        CatalogEntry::Broken(Broken { name: name.to_string(), problem, version: version(), disabled_locally })
    };
    let effective = match (settings, patch) {
        (Err(error), _) => return problem(error.to_string()),
        (Ok(Some(settings)), Some(patch)) => match with_settings(&local, &settings, name) {
            Ok(effective) => Ok(effective),
            // Whether the settings are to blame shows in what becomes of the file without them.
            Err(source) if parsed.is_ok() => return problem(format!("{}: {source}", patch.display())),
            Err(source) => Err(source),
        },
        _ => parsed,
    };
    let (manifest, warnings) = match effective {
        Ok(effective) => effective,
        Err(source) => return problem(format!("{}: {source}", index.display())),
    };
    let entry = record.and_then(|record| record.entries.iter().rev().find(|entry| entry.version == version()));
    CatalogEntry::Installed(Box::new(Installed {
        name: name.clone(),
        directory: directory.to_owned(),
        disabled_locally,
        local_changes: base.as_ref().map(|base| changes(base, &local)).unwrap_or_default(),
        shipped: base,
        document: local,
        tree: entry.and_then(|entry| entry.tree.clone()),
        unconfirmed: record.is_some_and(|record| record.last_good != LastGood::Installed),
        manifest,
        warnings,
    }))
}

type Checked = Result<(Manifest, Vec<ManifestWarning>), ManifestError>;

// The document itself, and what its check says; an error only where there is no document at all.
fn read_index(path: &Path, name: &ModuleName) -> Result<(Map<String, Value>, Checked), DocumentError> {
    let Some(bytes) = read_bounded(path, MAX_MANIFEST)? else {
        return Err(DocumentError::invalid(path, "is missing; a module needs one"));
    };
    let document = match Manifest::parse(&bytes, name) {
        Ok((manifest, warnings)) => return Ok((manifest.raw.clone(), Ok((manifest, warnings)))),
        Err(ManifestError::Field(error)) => (parse_object(path, &bytes)?, Err(ManifestError::Field(error))),
        Err(error) => return Err(DocumentError::invalid(path, error.to_string())),
    };
    Ok(document)
}

pub(super) fn with_settings(local: &Map<String, Value>, settings: &Map<String, Value>, name: &ModuleName) -> Checked {
    if let Some(Value::Object(metadata)) = settings.get("metadata") {
        for field in ["schema_version", "name"] {
            if metadata.contains_key(field) {
                let problem = "can't be set locally: it says which code is installed; remove it here".to_owned();
                let field = format!("metadata.{field}");
                return Err(ManifestError::Field(updates_protocol::FieldError { field, problem }));
            }
        }
    }
    let mut effective = local.clone();
    apply_patch(&mut effective, settings);
    Manifest::from_object(effective, name)
}

fn version_of(document: &Map<String, Value>) -> Option<SchemaVersion> {
    document.get("metadata")?.get("schema_version")?.as_str()?.parse().ok()
}

fn switched(document: Option<&Map<String, Value>>) -> Option<bool> {
    document?.get("metadata")?.get("enabled")?.as_bool()
}

fn broken(name: &str, problem: String) -> CatalogEntry {
    CatalogEntry::Broken(Broken { name: name.to_owned(), problem, version: None, disabled_locally: false })
}
