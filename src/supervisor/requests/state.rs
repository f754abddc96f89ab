//! What a module asks of the supervisor, and what of it is granted: only what lies inside its own declared set. A refusal
//! names what to declare.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use updates_protocol::{DeclaredPath, ModuleName};

use crate::config::Layout;
use crate::fs::create_directory;
use crate::permissions::{self, PermissionTarget};
use crate::state::{Backup, Store};

/// How many slots one module may fill in one store.
const MAX_SLOTS: usize = 16;

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
        let store = self.own_slot(&arguments.slot.backup_dir, &arguments.slot.module_name)?;
        let store = store.ok_or("a check makes no backup")?;
        if store.load(&arguments.slot.module_name).map_err(|error| error.to_string())?.is_none() {
            self.require_room(&store)?;
        }
        let saved = store
            .begin(&arguments.slot.module_name, self.module, &arguments.description)
            .paths(paths)
            .seal(&self.layout.machine());
        let backup = saved.map_err(|error| error.to_string())?.into_backup();
        self.shown(&backup)
    }

    fn restore(&self, slot: &Slot) -> Result<Value, String> {
        let store = self.own_slot(&slot.backup_dir, &slot.module_name)?;
        let backup = match &store {
            Some(store) => store.load(&slot.module_name).map_err(|error| error.to_string())?,
            None => None,
        };
        let Some(backup) = backup else { return Err(format!("there is no backup of {}", slot.module_name)) };
        // What the slot holds was granted when it was made; the manifest may have become narrower since.
        for file in &backup.info().files {
            self.own_path(&file.to_string())?;
        }
        let restored = backup.restore(&self.layout.machine()).map_err(|error| error.to_string())?;
        Ok(json!({"restored": true, "changed": restored.changed.len()}))
    }

    fn info(&self, slot: &Slot) -> Result<Value, String> {
        let Some(store) = self.own_slot(&slot.backup_dir, &slot.module_name)? else { return Ok(Value::Null) };
        match store.load(&slot.module_name).map_err(|error| error.to_string())? {
            Some(backup) => self.shown(&backup),
            None => Ok(Value::Null),
        }
    }

    fn list(&self, arguments: &ListArguments) -> Result<Value, String> {
        let mut found = Map::new();
        let Some(store) = self.store(&arguments.backup_dir)? else { return Ok(Value::Object(found)) };
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
        let Some(store) = self.own_slot(&slot.backup_dir, &slot.module_name)? else {
            return Ok(json!({"removed": false}));
        };
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

    /// The store, when `name` is one that the module may use: its own name, or one that begins with it and is no other
    /// module's, in a slot that is its own or free.
    fn own_slot(&self, backup_dir: &str, name: &ModuleName) -> Result<Option<Store>, String> {
        let own = name == self.module
            || name.as_str().strip_prefix(self.module.as_str()).is_some_and(|rest| rest.starts_with(['_', '-', '.']));
        if !own || (name != self.module && self.layout.module(name).symlink_metadata().is_ok()) {
            return Err(format!(
                "the backup {name} is not the module's own: name it {0}, or {0}_SOMETHING",
                self.module
            ));
        }
        let Some(store) = self.store(backup_dir)? else { return Ok(None) };
        match store.load(name).map_err(|error| error.to_string())? {
            Some(backup) if backup.owner() != self.module => {
                Err(format!("the backup {name} belongs to the module {}", backup.owner()))
            }
            _ => Ok(Some(store)),
        }
    }

    /// The store at `backup_dir`; `None` where there is none yet, and this may not make one.
    ///
    /// Only a folder directly below /var/backups, which no module can declare: slots are trusted to be as they were
    /// written, and a link on the way to one would lead the supervisor anywhere.
    fn store(&self, backup_dir: &str) -> Result<Option<Store>, String> {
        let path = DeclaredPath::new(backup_dir).map_err(|problem| format!("backup_dir {backup_dir:?} {problem}"))?;
        let name = path.as_path().strip_prefix("/var/backups").ok().and_then(Path::to_str);
        let plain = name.is_some_and(|name| name.parse::<ModuleName>().is_ok() && !name.ends_with("_backup"));
        if !plain {
            return Err(format!("backups are kept in a folder directly below /var/backups; {backup_dir} is not one"));
        }
        let place: PathBuf = self.layout.machine().locate(&path);
        let backups = place.parent().unwrap_or(Path::new("/"));
        for part in [backups.parent().unwrap_or(Path::new("/")), backups, &place] {
            match part.symlink_metadata() {
                Ok(found) if !found.is_dir() => return Err(format!("{} is not a folder of its own", part.display())),
                Ok(_) => {}
                Err(_) if self.check => return Ok(None),
                Err(_) if part == place => create_directory(part, 0o700).map_err(|error| error.to_string())?,
                Err(_) => create_directory(part, 0o755).map_err(|error| error.to_string())?,
            }
        }
        Store::open(&place).map(Some).map_err(|error| error.to_string())
    }

    fn require_room(&self, store: &Store) -> Result<(), String> {
        let slots = store.list().map_err(|error| error.to_string())?;
        let own = slots.values().flatten().filter(|backup| backup.owner() == self.module).count();
        if own < MAX_SLOTS {
            return Ok(());
        }
        Err(format!("{} has {own} backups already, the most that are kept; remove one first", self.module))
    }
}

fn parse<T: serde::de::DeserializeOwned>(operation: &str, arguments: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| format!("{operation}: {error}"))
}
