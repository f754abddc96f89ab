//! A root of its own with a catalog in it, and short words for what tests do there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use updates::catalog::{Catalog, CatalogEntry, Installed, StageError, Staged, Swapped};
use updates::config::Layout;
use updates_protocol::{ModuleName, SchemaVersion};

pub struct World {
    folder: TempDir,
    pub catalog: Catalog,
}

pub fn name(text: &str) -> ModuleName {
    text.parse().unwrap()
}

pub fn version(text: &str) -> SchemaVersion {
    text.parse().unwrap()
}

pub fn document(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

pub fn index_text(name: &str, version: &str, extra: Value) -> String {
    let mut index = serde_json::json!({"metadata": {"schema_version": version, "name": name}});
    index.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    serde_json::to_string_pretty(&index).unwrap()
}

/// Writes a module of which each file holds its version.
pub fn write_module(folder: &Path, index: &str, version: &str) -> io::Result<()> {
    fs::write(folder.join("index.json"), index)?;
    fs::create_dir(folder.join("components"))?;
    for file in ["index.py", "maintenance.py", "components/a.py", "components/b.py"] {
        fs::write(folder.join(file), version)?;
    }
    Ok(())
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&Layout::new(folder.path()));
        Self { folder, catalog }
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn modules(&self) -> PathBuf {
        self.root().join("usr/local/lib/updates/modules")
    }

    pub fn folder(&self, name: &str) -> PathBuf {
        self.modules().join(name)
    }

    /// What lies hidden beside the modules.
    pub fn hidden(&self) -> Vec<String> {
        let names = fs::read_dir(self.modules()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with('.')).collect()
    }

    pub fn module(&self, module: &str) -> Installed {
        match self.catalog.module(&name(module)) {
            Some(CatalogEntry::Installed(module)) => *module,
            other => panic!("{other:?}"),
        }
    }

    /// A module as a person would put it there.
    pub fn put(&self, module: &str, index: &Value) {
        fs::create_dir_all(self.folder(module)).unwrap();
        fs::write(self.folder(module).join("index.json"), serde_json::to_string_pretty(index).unwrap()).unwrap();
    }

    pub fn edit(&self, module: &str, change: impl FnOnce(&mut Value)) {
        let path = self.folder(module).join("index.json");
        let mut index = document(&path);
        change(&mut index);
        fs::write(&path, serde_json::to_string_pretty(&index).unwrap()).unwrap();
    }

    pub fn settings(&self, module: &str, text: &str) {
        let folder = self.root().join("etc/updates/modules.d");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{module}.json")), text).unwrap();
    }

    pub fn stage_text(&self, module: &str, index: &str) -> Result<Staged<'_>, StageError> {
        self.catalog.stage(&name(module), Some("tree"), |folder| write_module(folder, index, "x"))
    }

    pub fn install(&self, module: &str, version: &str) -> Swapped {
        let index = index_text(module, version, serde_json::json!({}));
        let tree = format!("tree-of-{version}");
        let staged = self.catalog.stage(&name(module), Some(&tree), |folder| write_module(folder, &index, version));
        staged.unwrap().commit().unwrap()
    }
}
