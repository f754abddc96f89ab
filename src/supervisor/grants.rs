//! What a module asks of the supervisor, and what of it is granted: only what lies inside its own declared set. A refusal
//! names what to declare.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use updates_protocol::{DeclaredPath, ModuleName};

use crate::config::Layout;
use crate::permissions::{self, PermissionTarget};
use crate::state::{Backup, Store};

/// Answers the requests of one module during one attempt.
pub struct Grants<'a> {
    layout: &'a Layout,
    module: &'a ModuleName,
    declared: Vec<DeclaredPath>,
    check: bool,
}

#[derive(Deserialize)]
struct Slot {
    backup_dir: String,
    module_name: ModuleName,
}

#[derive(Deserialize)]
struct BackupArguments {
    #[serde(flatten)]
    slot: Slot,
    #[serde(default)]
    description: String,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    services: Vec<String>,
    #[serde(default)]
    databases: Vec<Value>,
}

#[derive(Deserialize)]
struct ListArguments {
    backup_dir: String,
}

#[derive(Deserialize)]
struct PermissionArguments {
    targets: Vec<PermissionTarget>,
}

impl<'a> Grants<'a> {
    /// The grants of `module`, which may touch `declared`. In a check nothing that changes anything is granted.
    pub fn new(layout: &'a Layout, module: &'a ModuleName, declared: Vec<DeclaredPath>, check: bool) -> Self {
        let mut declared = declared;
        declared.sort();
        declared.dedup();
        Self { layout, module, declared, check }
    }

    /// Does what is asked, or says why not, in a sentence for a person.
    pub fn answer(&self, operation: &str, arguments: Map<String, Value>) -> Result<Value, String> {
        let reads = matches!(operation, "state.info" | "state.list" | "version.list");
        if self.check && !reads {
            return Err(format!("{operation} is refused: a check changes nothing"));
        }
        match operation {
            "state.backup" => self.backup(parse(operation, arguments)?),
            "state.restore" => self.restore(&parse(operation, arguments)?),
            "state.info" => self.info(&parse(operation, arguments)?),
            "state.list" => self.list(&parse(operation, arguments)?),
            "state.remove" => self.remove(&parse(operation, arguments)?),
            "permissions.set" => self.set_permissions(parse(operation, arguments)?),
            "version.list" | "version.checkout" => {
                Err("versions can't be listed or checked out by this release of updates".to_owned())
            }
            other => Err(format!("{other:?} is not something that a module can ask for")),
        }
    }

    fn backup(&self, arguments: BackupArguments) -> Result<Value, String> {
        if !arguments.databases.is_empty() || !arguments.services.is_empty() {
            return Err("this release of updates backs up files only; leave services and databases out".to_owned());
        }
        let mut paths = Vec::with_capacity(arguments.files.len());
        for file in &arguments.files {
            paths.push(self.own_path(file)?);
        }
        let store = self.store(&arguments.slot.backup_dir)?;
        self.own_slot(&store, &arguments.slot.module_name)?;
        let saved = store
            .begin(&arguments.slot.module_name, self.module, &arguments.description)
            .paths(paths)
            .seal(&self.layout.machine());
        let backup = saved.map_err(|error| error.to_string())?.into_backup();
        self.shown(&backup)
    }

    fn restore(&self, slot: &Slot) -> Result<Value, String> {
        let store = self.store(&slot.backup_dir)?;
        self.own_slot(&store, &slot.module_name)?;
        let Some(backup) = store.load(&slot.module_name).map_err(|error| error.to_string())? else {
            return Err(format!("there is no backup of {}", slot.module_name));
        };
        // What the slot holds was granted when it was made; the manifest may have become narrower since.
        for file in &backup.info().files {
            self.own_path(&file.to_string())?;
        }
        let restored = backup.restore(&self.layout.machine()).map_err(|error| error.to_string())?;
        Ok(json!({"restored": true, "changed": restored.changed.len()}))
    }

    fn info(&self, slot: &Slot) -> Result<Value, String> {
        let store = self.store(&slot.backup_dir)?;
        self.own_slot(&store, &slot.module_name)?;
        match store.load(&slot.module_name).map_err(|error| error.to_string())? {
            Some(backup) => self.shown(&backup),
            None => Ok(Value::Null),
        }
    }

    fn list(&self, arguments: &ListArguments) -> Result<Value, String> {
        let store = self.store(&arguments.backup_dir)?;
        let mut found = Map::new();
        for (name, backup) in store.list().map_err(|error| error.to_string())? {
            // One that can't be read belongs to nobody who could be told.
            let Ok(backup) = backup else { continue };
            if backup.owner() == self.module {
                found.insert(name.to_string(), self.shown(&backup)?);
            }
        }
        Ok(Value::Object(found))
    }

    fn remove(&self, slot: &Slot) -> Result<Value, String> {
        let store = self.store(&slot.backup_dir)?;
        self.own_slot(&store, &slot.module_name)?;
        let removed = store.remove(&slot.module_name).map_err(|error| error.to_string())?;
        Ok(json!({"removed": removed}))
    }

    fn set_permissions(&self, arguments: PermissionArguments) -> Result<Value, String> {
        for target in &arguments.targets {
            self.own_path(&target.path.to_string())?;
        }
        let changed =
            permissions::apply(&self.layout.machine(), &arguments.targets).map_err(|error| error.to_string())?;
        Ok(json!({"changed": changed.len()}))
    }

    // A module sees its machine from the root on, wherever that lies on this one.
    fn shown(&self, backup: &Backup) -> Result<Value, String> {
        let mut info = serde_json::to_value(backup.info()).map_err(|error| error.to_string())?;
        if let Some(Value::String(place)) = info.get_mut("backup_dir")
            && let Ok(below) = Path::new(place).strip_prefix(self.layout.root())
        {
            *place = Path::new("/").join(below).display().to_string();
        }
        Ok(info)
    }

    fn own_path(&self, text: &str) -> Result<DeclaredPath, String> {
        let path = DeclaredPath::new(text).map_err(|problem| format!("the path {text:?} {problem}"))?;
        if self.declared.iter().any(|declared| path.is_within(declared)) {
            return Ok(path);
        }
        let known = self.declared.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Err(format!(
            "{path} is not declared by {}: add it to configuration.backup_paths in index.json (declared: {known})",
            self.module
        ))
    }

    fn own_slot(&self, store: &Store, name: &ModuleName) -> Result<(), String> {
        match store.load(name).map_err(|error| error.to_string())? {
            Some(backup) if backup.owner() != self.module => {
                Err(format!("the backup {name} belongs to the module {}", backup.owner()))
            }
            _ => Ok(()),
        }
    }

    fn store(&self, backup_dir: &str) -> Result<Store, String> {
        let path = DeclaredPath::new(backup_dir).map_err(|problem| format!("backup_dir {backup_dir:?} {problem}"))?;
        let backups = Path::new("/var/backups");
        if path.as_path() == backups || !path.as_path().starts_with(backups) {
            return Err(format!("backups are kept in a folder below /var/backups; {backup_dir} is not"));
        }
        let place: PathBuf = self.layout.machine().locate(&path);
        Store::open(&place).map_err(|error| error.to_string())
    }
}

fn parse<T: serde::de::DeserializeOwned>(operation: &str, arguments: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| format!("{operation}: {error}"))
}
