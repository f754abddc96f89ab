//! Versions that failed and are not tried again: one durable list, by module and content.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use updates_protocol::{MAX_MANIFEST, ModuleName, SchemaVersion};

use super::Catalog;
use super::document::{DocumentError, format_like, read_bounded};
use crate::fs::{create_directory, replace_file};

// A repository that goes to and fro between bad versions must not fill the file.
const MAX_PER_MODULE: usize = 16;

// The run lock keeps other processes out; modules that fail side by side are threads of this one.
static WRITING: Mutex<()> = Mutex::new(());

/// A version that is not installed again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The version, for people.
    pub version: SchemaVersion,
    /// Its content, as the source names it: this is what is held. The same version with other content is another one.
    pub tree: String,
    /// Why, in one sentence.
    pub reason: String,
    /// When, RFC 3339, UTC.
    pub since: String,
}

/// Everything that is held, by module; the latest last.
type List = BTreeMap<ModuleName, Vec<Held>>;

impl Catalog {
    fn held_path(&self) -> PathBuf {
        self.layout.catalog().join("held.json")
    }

    /// Everything that is held, by module.
    pub fn all_held(&self) -> Result<BTreeMap<ModuleName, Vec<Held>>, DocumentError> {
        let path = self.held_path();
        let Some(bytes) = read_bounded(&path, 16 * MAX_MANIFEST)? else { return Ok(List::new()) };
        serde_json::from_slice(&bytes).map_err(|error| {
            DocumentError::invalid(&path, format!("is no list of held versions: {error}; remove it to try them again"))
        })
    }

    /// Why this content of the module is held, if it is.
    pub fn held(&self, name: &ModuleName, tree: &str) -> Result<Option<Held>, DocumentError> {
        let list = self.all_held()?;
        Ok(list.get(name).and_then(|held| held.iter().find(|held| held.tree == tree).cloned()))
    }

    /// Remembers that this content failed. It is tried again when it changes, or after [`Catalog::unhold`].
    pub fn hold(&self, name: &ModuleName, held: Held) -> Result<(), DocumentError> {
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list = self.all_held()?;
        let of_module = list.entry(name.clone()).or_default();
        of_module.retain(|other| other.tree != held.tree);
        of_module.push(held);
        let excess = of_module.len().saturating_sub(MAX_PER_MODULE);
        of_module.drain(..excess);
        self.write_held(&list)
    }

    /// Forgets what is held of a module, by a person's word, and returns it.
    pub fn unhold(&self, name: &ModuleName) -> Result<Vec<Held>, DocumentError> {
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list = self.all_held()?;
        let Some(held) = list.remove(name) else { return Ok(Vec::new()) };
        self.write_held(&list)?;
        Ok(held)
    }

    /// Forgets that this content of the module failed: a person wants it all the same, or it has run well since.
    pub fn unhold_content(&self, name: &ModuleName, tree: &str) -> Result<(), DocumentError> {
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list = self.all_held()?;
        let Some(of_module) = list.get_mut(name).filter(|held| held.iter().any(|held| held.tree == tree)) else {
            return Ok(());
        };
        of_module.retain(|held| held.tree != tree);
        list.retain(|_, held| !held.is_empty());
        self.write_held(&list)
    }

    fn write_held(&self, list: &List) -> Result<(), DocumentError> {
        create_directory(&self.layout.catalog(), 0o700)?;
        Ok(replace_file(&self.held_path(), &format_like("", list), 0o600)?)
    }
}
