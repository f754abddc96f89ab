//! An update module as a value: its manifest and its files, written wherever a test wants it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Map, Value, json};

/// A module to be.
#[derive(Debug, Clone)]
pub struct Module {
    pub name: String,
    manifest: Map<String, Value>,
    raw_manifest: Option<Vec<u8>>,
    files: BTreeMap<String, (Vec<u8>, u32)>,
}

impl Module {
    /// Only an `index.json`.
    pub fn new(name: &str, version: &str) -> Self {
        let Value::Object(manifest) =
            json!({"metadata": {"schema_version": version, "name": name, "description": format!("Fixture {name}")}})
        else {
            unreachable!("the literal above is an object")
        };
        Self { name: name.to_owned(), manifest, raw_manifest: None, files: BTreeMap::new() }
    }

    /// A Python module with `code` as its `index.py`.
    pub fn python(name: &str, version: &str, code: &str) -> Self {
        Self::new(name, version).file("index.py", code)
    }

    /// An executable module with `script` as its `index`.
    pub fn executable(name: &str, version: &str, script: &str) -> Self {
        Self::new(name, version).file_with_mode("index", script, 0o755)
    }

    /// A Python module that returns success and does nothing.
    pub fn idle(name: &str, version: &str) -> Self {
        Self::python(name, version, "def main(args=None):\n    return {\"success\": True}\n")
    }

    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.file_with_mode(path, content, 0o644)
    }

    pub fn file_with_mode(mut self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Self {
        self.files.insert(path.to_owned(), (content.as_ref().to_owned(), mode));
        self
    }

    /// Sets `configuration.backup_paths`.
    pub fn declares(self, paths: &[&str]) -> Self {
        self.set("configuration", "backup_paths", json!(paths))
    }

    pub fn metadata(self, key: &str, value: Value) -> Self {
        self.set("metadata", key, value)
    }

    pub fn sandbox(self, key: &str, value: Value) -> Self {
        self.set("sandbox", key, value)
    }

    pub fn configuration(self, key: &str, value: Value) -> Self {
        self.set("configuration", key, value)
    }

    /// Sets `object.key`.
    pub fn set(mut self, object: &str, key: &str, value: Value) -> Self {
        self.manifest.entry(object).or_insert_with(|| json!({}))[key] = value;
        self
    }

    /// Takes `metadata.key` away.
    pub fn without_metadata(mut self, key: &str) -> Self {
        self.manifest["metadata"].as_object_mut().unwrap().shift_remove(key);
        self
    }

    /// Replaces the whole `index.json`.
    pub fn manifest_bytes(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.raw_manifest = Some(bytes.as_ref().to_owned());
        self
    }

    /// The `index.json` as it will be written.
    pub fn index_json(&self) -> Vec<u8> {
        match &self.raw_manifest {
            Some(bytes) => bytes.clone(),
            None => format!("{}\n", serde_json::to_string_pretty(&self.manifest).unwrap()).into_bytes(),
        }
    }

    /// Writes the module's folder into `modules`, in place of what is there.
    pub fn write_into(&self, modules: &Path) {
        let folder = modules.join(&self.name);
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("index.json"), self.index_json()).unwrap();
        for (path, (content, mode)) in &self.files {
            let file = folder.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, content).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(*mode)).unwrap();
        }
    }
}
