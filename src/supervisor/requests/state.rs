//! Requests for slots: a module saves and restores what it declares (paths, services, databases), in slots that are its
//! own. What a slot was before the run is kept until the module is settled, and noted before it is changed.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use updates_protocol::{Database, DeclaredPath, ModuleName, UnitName};

use super::answer::parse;
use super::{Denial, Grants, failed};
use crate::fs::create_directory;
use crate::state::{Backup, RestoreError, Store};

/// How many slots one module may fill in one store.
const MAX_SLOTS: usize = 16;

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
struct RestoreArguments {
    #[serde(flatten)]
    slot: Slot,
    #[serde(default)]
    forced_service_start: bool,
}

#[derive(Deserialize)]
struct ListArguments {
    backup_dir: String,
}

impl Grants<'_> {
    pub(super) fn state(&self, what: &str, operation: &str, arguments: Map<String, Value>) -> Result<Value, Denial> {
        match what {
            "backup" => self.backup(parse(operation, arguments)?),
            "restore" => self.restore(&parse(operation, arguments)?),
            "info" => self.info(&parse(operation, arguments)?),
            "list" => self.list(&parse(operation, arguments)?),
            _ => self.remove(&parse(operation, arguments)?),
        }
    }

    fn backup(&self, arguments: BackupArguments) -> Result<Value, Denial> {
        let name = &arguments.slot.module_name;
        let paths = arguments.files.iter().map(|file| self.own_path(file)).collect::<Result<Vec<_>, _>>()?;
        let units = arguments.services.iter().map(|unit| self.own_service(unit)).collect::<Result<Vec<_>, _>>()?;
        let mut databases = Vec::with_capacity(arguments.databases.len());
        for database in &arguments.databases {
            databases.push(
                self.own_database(
                    &Database::parse(database)
                        .map_err(|problem| format!("a database of the request can't be used: {problem}"))?,
                )?,
            );
        }
        let store = self.own_slot(&arguments.slot.backup_dir, name)?;
        let store = store.ok_or("a check makes no backup")?;
        if !store.holds(name).map_err(failed)? {
            self.require_room(&store)?;
        }
        self.journal.will_change(&store, name).map_err(failed)?;
        let pending = store
            .begin(name, self.module, &arguments.description)
            .paths(paths)
            .services(units)
            .databases(databases)
            .keep_former();
        let saved = self.journal.surroundings.while_saving(|live| pending.seal(live));
        let backup = saved.map_err(failed)?.into_backup();
        self.shown(&backup)
    }

    fn restore(&self, arguments: &RestoreArguments) -> Result<Value, Denial> {
        let slot = &arguments.slot;
        let store = self.own_slot(&slot.backup_dir, &slot.module_name)?;
        let backup = match &store {
            Some(store) => store.load(&slot.module_name).map_err(failed)?,
            None => None,
        };
        let Some(backup) = backup else { return Err(format!("there is no backup of {}", slot.module_name).into()) };
        // What the slot holds was granted when it was made; the manifest may have become narrower since.
        let info = backup.info();
        for file in &info.files {
            self.own_path(&file.to_string())?;
        }
        // What is saved in the checkpoint is declared, or a socket or timer that starts what is.
        for unit in info.services.iter().filter(|unit| !self.journal.has_saved(unit)) {
            let unit = self.own_service(unit.as_ref())?;
            self.require_saved(&unit)?;
        }
        for database in &info.databases {
            self.own_database(database)?;
        }
        let restored = self.journal.surroundings.while_restoring(|live| {
            let plan = backup.plan(live).map_err(RestoreError::Refused)?;
            if arguments.forced_service_start { plan.with_forced_service_start() } else { plan }.apply()
        });
        let restored = restored.map_err(failed)?;
        Ok(json!({"restored": true, "changed": restored.changed.len(), "steps": restored.steps}))
    }

    /// A unit that the module may have controlled.
    fn own_service(&self, asked: &str) -> Result<UnitName, Denial> {
        let asked: UnitName = asked.parse().map_err(|problem| format!("the service {asked:?} {problem}"))?;
        let unit = self.own_unit(&asked)?;
        match unit.not_controllable() {
            Some(problem) => Err(format!("{} {problem}", unit.with_suffix()).into()),
            None => Ok(unit),
        }
    }

    /// A database that the module declares, or an SQLite file below its declared paths. A password that comes with it is
    /// remembered for this run.
    fn own_database(&self, asked: &Database) -> Result<Database, Denial> {
        self.journal.surroundings.remember([asked]);
        if self.databases.contains(asked) {
            return Ok(asked.clone());
        }
        if let Database::Sqlite { database } = asked
            && self.declared.iter().any(|declared| database.is_within(declared))
        {
            return Ok(asked.clone());
        }
        let known = self.databases.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "none".to_owned() } else { known };
        Err(format!(
            "{asked} is not declared by {}: add it to configuration.databases in index.json (declared: {known})",
            self.module
        )
        .into())
    }

    fn info(&self, slot: &Slot) -> Result<Value, Denial> {
        let Some(store) = self.own_slot(&slot.backup_dir, &slot.module_name)? else { return Ok(Value::Null) };
        match store.load(&slot.module_name).map_err(failed)? {
            Some(backup) => self.shown(&backup),
            None => Ok(Value::Null),
        }
    }

    fn list(&self, arguments: &ListArguments) -> Result<Value, Denial> {
        let mut found = Map::new();
        let Some(store) = self.store(&arguments.backup_dir)? else { return Ok(Value::Object(found)) };
        for (name, backup) in store.list().map_err(failed)? {
            // One that can't be read belongs to nobody who could be told.
            let Ok(backup) = backup else { continue };
            if backup.owner() == self.module {
                found.insert(name.to_string(), self.shown(&backup)?);
            }
        }
        Ok(Value::Object(found))
    }

    fn remove(&self, slot: &Slot) -> Result<Value, Denial> {
        let Some(store) = self.own_slot(&slot.backup_dir, &slot.module_name)? else {
            return Ok(json!({"removed": false}));
        };
        if !store.holds(&slot.module_name).map_err(failed)? {
            return Ok(json!({"removed": false}));
        }
        self.journal.will_change(&store, &slot.module_name).map_err(failed)?;
        let removed = store.remove_and_keep_former(&slot.module_name).map_err(failed)?;
        Ok(json!({"removed": removed}))
    }

    // A module sees its machine from the root on, wherever that lies on this one.
    fn shown(&self, backup: &Backup) -> Result<Value, Denial> {
        let mut info = serde_json::to_value(backup.info()).map_err(failed)?;
        if let Some(Value::String(place)) = info.get_mut("backup_dir")
            && let Ok(below) = Path::new(place).strip_prefix(self.supervisor.layout.root())
        {
            *place = Path::new("/").join(below).display().to_string();
        }
        Ok(info)
    }

    /// The store, when `name` is one that the module may use: its own name, or one that begins with it and is no other
    /// module's, in a slot that is its own or free.
    fn own_slot(&self, backup_dir: &str, name: &ModuleName) -> Result<Option<Store>, Denial> {
        let own = name == self.module
            || name.as_str().strip_prefix(self.module.as_str()).is_some_and(|rest| rest.starts_with(['_', '-', '.']));
        if !own || (name != self.module && self.supervisor.layout.module(name).symlink_metadata().is_ok()) {
            return Err(format!(
                "the backup {name} is not the module's own: name it {0}, or {0}_SOMETHING",
                self.module
            )
            .into());
        }
        let Some(store) = self.store(backup_dir)? else { return Ok(None) };
        match store.load(name).map_err(failed)? {
            Some(backup) if backup.owner() != self.module => {
                Err(format!("the backup {name} belongs to the module {}", backup.owner()).into())
            }
            _ => Ok(Some(store)),
        }
    }

    /// The store at `backup_dir`; `None` where there is none yet, and this may not make one.
    ///
    /// Only a folder directly below /var/backups, which no module can declare: slots are trusted to be as they were
    /// written, and a link on the way to one would lead the supervisor anywhere.
    fn store(&self, backup_dir: &str) -> Result<Option<Store>, Denial> {
        let path = DeclaredPath::new(backup_dir).map_err(|problem| format!("backup_dir {backup_dir:?} {problem}"))?;
        let name = path.as_path().strip_prefix("/var/backups").ok().and_then(Path::to_str);
        let plain = name.is_some_and(|name| name.parse::<ModuleName>().is_ok() && !name.ends_with("_backup"));
        if !plain {
            return Err(
                format!("backups are kept in a folder directly below /var/backups; {backup_dir} is not one").into()
            );
        }
        let place: PathBuf = self.supervisor.layout.machine().locate(&path);
        let backups = place.parent().unwrap_or(Path::new("/"));
        for part in [backups.parent().unwrap_or(Path::new("/")), backups, &place] {
            match part.symlink_metadata() {
                Ok(found) if !found.is_dir() => {
                    return Err(format!("{} is not a folder of its own", part.display()).into());
                }
                Ok(_) => {}
                Err(_) if self.check => return Ok(None),
                Err(_) if part == place => create_directory(part, 0o700).map_err(failed)?,
                Err(_) => create_directory(part, 0o755).map_err(failed)?,
            }
        }
        Store::open(&place).map(Some).map_err(failed)
    }

    fn require_room(&self, store: &Store) -> Result<(), Denial> {
        let slots = store.list().map_err(failed)?;
        let own = slots.values().flatten().filter(|backup| backup.owner() == self.module).count();
        if own < MAX_SLOTS {
            return Ok(());
        }
        Err(format!("{} has {own} backups already, the most that are kept; remove one first", self.module).into())
    }
}
