//! The last safe version of each module: the one that finished a run well last, with the content that it had.
//!
//! Each has a file of its own where no module can write, so that modules which end side by side don't meet. The global
//! index repeats the versions for people and for modules of the original; nothing is read from there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use updates_protocol::{MAX_MANIFEST, ModuleName, SchemaVersion};

use super::Catalog;
use super::document::{DocumentError, format_like, read_bounded};
use super::place::list;
use crate::fs::{create_directory, replace_file};

/// A version that has finished a run well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Safe {
    /// The version.
    pub version: SchemaVersion,
    /// Its content, as the source names it, by which it can come back without a tag; absent where the catalog did not
    /// install it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<String>,
    /// When it first did so, RFC 3339, UTC.
    pub since: String,
}

impl Catalog {
    pub(super) fn safe_folder(&self) -> PathBuf {
        self.layout.catalog().join("safe")
    }

    /// The last safe version of `name`; none for a module that has not run well yet.
    pub fn last_safe(&self, name: &ModuleName) -> Result<Option<Safe>, DocumentError> {
        let path = self.safe_folder().join(format!("{name}.json"));
        let Some(bytes) = read_bounded(&path, MAX_MANIFEST)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let way_out = "remove it; the next good run writes it anew";
            DocumentError::invalid(&path, format!("is no last safe version: {error}; {way_out}"))
        })
    }

    /// Remembers durably that this version has finished a run well. Nothing is written when it is the one that is known.
    pub fn note_safe(
        &self,
        name: &ModuleName,
        version: &SchemaVersion,
        tree: Option<&str>,
    ) -> Result<(), DocumentError> {
        // One that can't be read is what a new one is for.
        let known = self.last_safe(name).ok().flatten();
        if known.is_some_and(|known| known.version == *version && known.tree.as_deref() == tree) {
            return Ok(());
        }
        create_directory(&self.layout.catalog(), 0o700)?;
        create_directory(&self.safe_folder(), 0o700)?;
        let safe = Safe { version: version.clone(), tree: tree.map(str::to_owned), since: now() };
        let path = self.safe_folder().join(format!("{name}.json"));
        Ok(replace_file(&path, &format_like("", &safe), 0o600)?)
    }

    /// Every last safe version that can be read, by module.
    pub(super) fn all_safe(&self) -> Result<BTreeMap<ModuleName, Safe>, DocumentError> {
        let names = list(&self.safe_folder())?;
        let names = names.iter().filter_map(|file| file.strip_suffix(".json")?.parse::<ModuleName>().ok());
        Ok(names.filter_map(|name| self.last_safe(&name).ok().flatten().map(|safe| (name, safe))).collect())
    }
}

pub(super) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
