//! What a module was granted: the parts of its `index.json` that decide how far its sandbox reaches, as they were when it
//! was installed, and as a person has agreed to since. It is kept where no module can write.
//!
//! Passwords of databases are left out: they are read from the module's own file whenever a grant is imposed on it.
//!
//! Nothing is judged here. Whether a manifest asks for more is for whoever knows the sandbox profiles.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use updates_protocol::{FieldError, MAX_MANIFEST, Manifest, ManifestError, ModuleName};

use super::Catalog;
use super::document::{DocumentError, format_like, read_bounded, read_object};
use super::installed::with_settings;
use super::secrets::{DATABASES, fill_in, strip};
use crate::config::Layout;
use crate::fs::{create_directory, replace_file};

/// The keys of `configuration` that the supervisor acts upon; the others are the module's own affair.
const CONFIGURATION: [&str; 4] = ["service_name", "backup_paths", "services", "databases"];
/// How many grants of a module are kept; the oldest go first.
const MAX_GRANTS: usize = 16;

/// One grant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// When, RFC 3339, UTC.
    pub since: String,
    /// Who agreed.
    pub by: GrantedBy,
    /// The version that asked, for people.
    pub version: String,
    /// The keys of `configuration` that were granted.
    pub configuration: Map<String, Value>,
    /// The `sandbox` object that was granted.
    pub sandbox: Map<String, Value>,
}

/// Who agreed to a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantedBy {
    /// Whoever put it there, or chose the source.
    Installation,
    /// A person, with `updates sandbox grant`.
    Person,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    granted: Vec<Grant>,
}

impl Grant {
    /// What `document`, an `index.json`, asks for, as a grant.
    pub fn of(document: &Map<String, Value>, by: GrantedBy) -> Self {
        let object = |key: &str| document.get(key).and_then(Value::as_object);
        let declared = object("configuration").or_else(|| object("config"));
        let mut configuration: Map<String, Value> = CONFIGURATION
            .iter()
            .filter_map(|key| declared?.get(*key).map(|value| ((*key).to_owned(), value.clone())))
            .collect();
        if let Some(databases) = configuration.get_mut(DATABASES) {
            strip(databases);
        }
        let version = document.get("metadata").and_then(|metadata| metadata.get("schema_version"));
        Self {
            since: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            by,
            version: version.and_then(Value::as_str).unwrap_or_default().to_owned(),
            configuration,
            sandbox: object("sandbox").cloned().unwrap_or_default(),
        }
    }

    /// Whether both grant the same, whoever agreed and when.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.configuration == other.configuration && self.sandbox == other.sandbox
    }

    /// Whether it lets the module write a part of its own folder. Only declared paths do: whatever lies above it is
    /// mounted read-only there.
    pub fn opens_folder_of(&self, module: &ModuleName) -> bool {
        let folder = Layout::module_inside(module);
        let lists = [
            self.configuration.get("backup_paths"),
            self.sandbox.get("read_write_paths"),
            self.sandbox.get("volatile_paths"),
        ];
        let mut paths = lists.into_iter().flatten().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
        paths.any(|path| Path::new(path).starts_with(&folder))
    }

    /// `document` with what was granted in place of what it asks for.
    pub fn imposed_on(&self, document: &Map<String, Value>) -> Map<String, Value> {
        let mut document = document.clone();
        let key = if document.get("configuration").is_some_and(Value::is_object) { "configuration" } else { "config" };
        if !self.configuration.is_empty() {
            document.entry(key).or_insert_with(|| Value::Object(Map::new()));
        }
        if let Some(Value::Object(configuration)) = document.get_mut(key) {
            for key in CONFIGURATION {
                match (self.configuration.get(key), configuration.get(key)) {
                    (Some(granted), Some(asked)) if key == DATABASES => {
                        configuration.insert(key.to_owned(), fill_in(granted, asked))
                    }
                    (Some(value), _) => configuration.insert(key.to_owned(), value.clone()),
                    (None, _) => configuration.shift_remove(key),
                };
            }
        }
        document.insert("sandbox".to_owned(), Value::Object(self.sandbox.clone()));
        document
    }
}

impl Catalog {
    pub(super) fn grants_folder(&self) -> PathBuf {
        self.layout.catalog().join("grants")
    }

    fn grants_path(&self, name: &ModuleName) -> PathBuf {
        self.grants_folder().join(format!("{name}.json"))
    }

    /// What the module was granted, the latest last; nothing for one that has not been seen.
    pub fn grants(&self, name: &ModuleName) -> Result<Vec<Grant>, DocumentError> {
        let path = self.grants_path(name);
        let Some(bytes) = read_bounded(&path, (MAX_GRANTS + 1) * MAX_MANIFEST)? else { return Ok(Vec::new()) };
        let file: File = serde_json::from_slice(&bytes).map_err(|error| {
            let way_out = "remove it to grant what the installed version asks for";
            DocumentError::invalid(&path, format!("is no list of grants: {error}; {way_out}"))
        })?;
        Ok(file.granted)
    }

    /// Adds a grant, durably; one that says what the latest says is not added again.
    pub fn grant(&self, name: &ModuleName, grant: Grant) -> Result<(), DocumentError> {
        let mut granted = self.grants(name)?;
        if granted.last().is_some_and(|latest| latest.says_the_same(&grant)) {
            return Ok(());
        }
        granted.retain(|other| !other.says_the_same(&grant));
        granted.push(grant);
        while granted.len() > MAX_GRANTS {
            // That a module may write its own folder must never be forgotten: its edits would count as a person's.
            let oldest = granted.iter().position(|grant| !grant.opens_folder_of(name)).unwrap_or(0);
            granted.remove(oldest);
        }
        self.write_grants(name, granted)
    }

    /// Forgets all grants of a module that is not installed, for this one: what an earlier one was granted is not its.
    pub fn grant_afresh(&self, name: &ModuleName, grant: Grant) -> Result<(), DocumentError> {
        self.write_grants(name, vec![grant])
    }

    /// `document` as an installed `index.json` of `name` would count: with the local settings laid over it.
    pub fn effective(&self, name: &ModuleName, document: &Map<String, Value>) -> Result<Manifest, DocumentError> {
        let path = self.settings_file(name)?;
        let settings = read_object(&path)?.unwrap_or_default();
        match with_settings(document, &settings, name) {
            Ok((manifest, _)) => Ok(manifest),
            Err(ManifestError::Field(FieldError { field, problem })) => {
                Err(DocumentError::invalid(&path, format!("{field}: {problem}")))
            }
            Err(error) => Err(DocumentError::invalid(&path, error.to_string())),
        }
    }

    fn write_grants(&self, name: &ModuleName, granted: Vec<Grant>) -> Result<(), DocumentError> {
        let path = self.grants_path(name);
        create_directory(&self.layout.catalog(), 0o700)?;
        create_directory(&self.grants_folder(), 0o700)?;
        Ok(replace_file(&path, &format_like("", &File { granted }), 0o600)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_password_is_no_part_of_a_grant_and_is_there_when_the_grant_is_imposed() {
        let asked = |password: &str, databases: Value| {
            let mut document = object(json!({"metadata": {"schema_version": "1"}, "configuration": {}}));
            document["configuration"]["databases"] = databases;
            for database in document["configuration"]["databases"].as_array_mut().unwrap() {
                database["password"] = json!(password);
            }
            document
        };
        let one = json!([{"type": "postgresql", "database": "app", "user": "app"}]);
        let two =
            json!([{"type": "mysql", "database": "more"}, {"type": "postgresql", "database": "app", "user": "app"}]);
        let grant = Grant::of(&asked("hunter2", one.clone()), GrantedBy::Installation);
        assert!(!serde_json::to_string(&grant).unwrap().contains("hunter2"));
        assert!(grant.says_the_same(&Grant::of(&asked("changed since", one.clone()), GrantedBy::Person)));
        let imposed = grant.imposed_on(&asked("hunter3", two));
        assert_eq!(imposed["configuration"], asked("hunter3", one)["configuration"]);
    }

    #[test]
    fn a_grant_takes_the_place_of_what_is_asked_and_leaves_the_rest() {
        let granted = object(json!({
            "metadata": {"schema_version": "1"},
            "config": {"backup_paths": ["/etc/a"], "own": 1},
        }));
        let grant = Grant::of(&granted, GrantedBy::Installation);
        let asked = object(json!({
            "metadata": {"schema_version": "2"},
            "configuration": {"backup_paths": ["/etc/"], "services": ["b.service"], "own": 2},
            "sandbox": {"profile": "legacy"},
        }));
        let imposed = json!({
            "metadata": {"schema_version": "2"},
            "configuration": {"backup_paths": ["/etc/a"], "own": 2},
            "sandbox": {},
        });
        assert_eq!(Value::Object(grant.imposed_on(&asked)), imposed);
        let same = Grant::of(&grant.imposed_on(&asked), GrantedBy::Installation);
        assert_eq!((same.configuration, same.sandbox), (grant.configuration, grant.sandbox));
    }
}
