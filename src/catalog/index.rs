//! The global index: what is installed, for people and for modules of the original, which read versions from it.
//!
//! `lastSafeVersion`, beside `packages`, names for each module the version that finished a run well last. What the original
//! left there, of whatever shape, stays until there is something to say. Keys that others wrote stay; the file is only
//! written when something in it changes.

use serde_json::{Map, Value, json};

use super::document::{DocumentError, format_like, read_object};
use super::{Catalog, CatalogEntry};
use crate::fs::{create_directory, replace_file};

impl Catalog {
    /// Writes the global index for these modules; says whether that changed it. A file that is no JSON is made anew.
    pub fn publish_index(&self, modules: &[CatalogEntry]) -> Result<bool, DocumentError> {
        let path = self.layout.global_index();
        let before = match read_object(&path) {
            Ok(before) => before,
            Err(DocumentError::Invalid { .. }) => None,
            Err(error) => return Err(error),
        };
        let mut index = before.clone().unwrap_or_default();
        if !index.get("metadata").is_some_and(Value::is_object) {
            index.insert("metadata".into(), json!({"name": "updates", "description": "Installed update modules"}));
        }
        let mut packages = match index.get("packages") {
            Some(Value::Object(packages)) => packages.clone(),
            _ => Map::new(),
        };
        packages.retain(|name, _| modules.iter().any(|module| module.name() == name));
        for module in modules {
            let package = packages.entry(module.name()).or_insert_with(|| json!({}));
            if !package.is_object() {
                *package = json!({});
            }
            if let Value::Object(package) = package {
                describe(module, package);
            }
        }
        packages.sort_keys();
        index.insert("packages".into(), Value::Object(packages));
        let safe = self.all_safe()?;
        if !safe.is_empty() {
            let mut versions = match index.get("lastSafeVersion") {
                Some(Value::Object(versions)) => versions.clone(),
                _ => Map::new(),
            };
            for (name, safe) in safe {
                if modules.iter().any(|module| module.name() == name.as_str()) {
                    versions.insert(name.to_string(), safe.version.to_string().into());
                } else {
                    versions.shift_remove(name.as_str());
                }
            }
            versions.sort_keys();
            index.insert("lastSafeVersion".into(), Value::Object(versions));
        }
        if before.as_ref() == Some(&index) {
            return Ok(false);
        }
        if let Some(folder) = path.parent() {
            create_directory(folder, 0o755)?;
        }
        replace_file(&path, &format_like("", &index), 0o644)?;
        Ok(true)
    }
}

fn describe(module: &CatalogEntry, package: &mut Map<String, Value>) {
    match module {
        CatalogEntry::Installed(module) => {
            package.insert("version".into(), module.manifest.schema_version.to_string().into());
            package.insert("enabled".into(), module.manifest.enabled.into());
            package.insert("description".into(), module.manifest.description.clone().into());
            package.shift_remove("problem");
        }
        CatalogEntry::Broken(broken) => {
            package.insert("enabled".into(), false.into());
            package.insert("problem".into(), broken.problem.clone().into());
        }
    }
}
