//! Local settings that the supervisor writes itself: the switch of a module, or of one of its components.
//!
//! They go into the merge patch of the module and nowhere else; whatever a person wrote there stays.

use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use updates_protocol::ModuleName;

use super::document::{DocumentError, format_like, mode_of, nearest, parse_object, read_bounded};
use super::patch::apply_patch;
use super::{Catalog, CatalogEntry};
use crate::fs::{IoContext, PathError, create_directory, replace_file};

/// Why a switch could not be set. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// No such module.
    #[error("no module {name:?} is installed; {hint}")]
    UnknownModule {
        /// The name as given.
        name: String,
        /// The nearest name, or those there are.
        hint: String,
    },
    /// No such component.
    #[error("module {module} has no component {component:?}; {hint}")]
    UnknownComponent {
        /// Which module.
        module: ModuleName,
        /// The component as given.
        component: String,
        /// The nearest component, or those there are.
        hint: String,
    },
    /// A component that is neither an object nor true or false.
    #[error("module {module}: {field} can't be switched: it is neither an object nor true or false")]
    NoSwitch {
        /// Which module.
        module: ModuleName,
        /// Dotted path of the component.
        field: String,
    },
    /// A component of a module whose manifest can't be read.
    #[error("module {module} can't be used: {problem}")]
    Broken {
        /// Which module.
        module: ModuleName,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of this machine.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A folder of this machine.
    #[error(transparent)]
    Path(#[from] PathError),
}

const COMPONENTS: [&[&str]; 4] = [
    &["configuration", "components"],
    &["configuration", "target_paths", "components"],
    &["config", "components"],
    &["config", "target_paths", "components"],
];

impl Catalog {
    pub(super) fn settings_folder(&self) -> PathBuf {
        // Layout names files only; every patch lies in the same folder.
        self.layout.root().join("etc/updates/modules.d")
    }

    /// The module's local settings. An administrator may keep them elsewhere and link to them: the link stays.
    pub(super) fn settings_file(&self, name: &ModuleName) -> Result<PathBuf, PathError> {
        let path = self.layout.local_patch(name);
        if path.is_symlink() { fs::canonicalize(&path).at("resolve", &path) } else { Ok(path) }
    }

    /// Enables or disables a module, or one component of it, in its local settings; says whether those changed.
    pub fn set_enabled(
        &self,
        name: &ModuleName,
        enabled: bool,
        component: Option<&str>,
    ) -> Result<bool, SettingsError> {
        let Some(module) = self.module(name) else { return Err(self.unknown(name)?) };
        let change = match component {
            None => json!({"metadata": {"enabled": enabled}}),
            Some(component) => switch(name, &module, component, enabled)?,
        };
        let Value::Object(change) = change else { return Ok(false) };

        let path = self.settings_file(name)?;
        let bytes = read_bounded(&path, updates_protocol::MAX_MANIFEST)?;
        let before = match &bytes {
            Some(bytes) => parse_object(&path, bytes)?,
            None => Map::new(),
        };
        let mut settings = before.clone();
        apply_patch(&mut settings, &change);
        if settings == before {
            return Ok(false);
        }
        if let Some(folder) = path.parent() {
            create_directory(folder, 0o755)?;
        }
        let model = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        replace_file(&path, &format_like(&model, &settings), mode_of(&path))?;
        Ok(true)
    }

    fn unknown(&self, name: &ModuleName) -> Result<SettingsError, PathError> {
        let known: Vec<String> = self.installed()?.iter().map(|module| module.name().to_owned()).collect();
        Ok(SettingsError::UnknownModule { name: name.to_string(), hint: hint(name.as_str(), &known, "installed") })
    }
}

fn switch(name: &ModuleName, module: &CatalogEntry, component: &str, enabled: bool) -> Result<Value, SettingsError> {
    let document = match module {
        CatalogEntry::Installed(module) => &module.manifest.raw,
        CatalogEntry::Broken(broken) => {
            return Err(SettingsError::Broken { module: name.clone(), problem: broken.problem.clone() });
        }
    };
    let mut known = Vec::new();
    for path in COMPONENTS {
        let Some(components) = object_at(document, path) else { continue };
        let Some(found) = components.get(component) else {
            known.extend(components.keys().cloned());
            continue;
        };
        let switch = match found {
            Value::Object(_) => json!({"enabled": enabled}),
            Value::Bool(_) => json!(enabled),
            _ => {
                let field = format!("{}.{component}", path.join("."));
                return Err(SettingsError::NoSwitch { module: name.clone(), field });
            }
        };
        return Ok(path.iter().rev().fold(json!({component: switch}), |inner, key| json!({*key: inner})));
    }
    let hint = hint(component, &known, "components");
    Err(SettingsError::UnknownComponent { module: name.clone(), component: component.to_owned(), hint })
}

fn object_at<'v>(document: &'v Map<String, Value>, path: &[&str]) -> Option<&'v Map<String, Value>> {
    path.iter().try_fold(document, |object, key| object.get(*key)?.as_object())
}

fn hint(given: &str, known: &[String], what: &str) -> String {
    match nearest(given, known.iter().map(String::as_str)) {
        Some(name) => format!("did you mean {name:?}?"),
        None if known.is_empty() => "there are none".to_owned(),
        None => format!("{what}: {}", known.join(", ")),
    }
}
