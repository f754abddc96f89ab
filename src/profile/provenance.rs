//! Where each setting of a profile came from: a plain value that is carried along while layers are laid over each other.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use updates_protocol::ProfileName;

/// Who set something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Origin {
    /// Nobody: it holds where nothing else is said.
    BuiltIn,
    /// A profile of the chain that the module's profile extends.
    Profile {
        /// Its name.
        profile: ProfileName,
        /// Its file.
        file: PathBuf,
    },
    /// A field of the module's manifest, the local settings laid over it included.
    Manifest {
        /// Dotted path of the field.
        field: String,
    },
    /// The supervisor itself; nothing changes it.
    Supervisor,
}

/// The origin of each key, and in lists of each element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    keys: BTreeMap<&'static str, Vec<(Option<String>, Origin)>>,
}

impl Provenance {
    /// Who decided `key`, or in a list, who had the last word.
    pub fn of(&self, key: &str) -> &Origin {
        self.keys.get(key).and_then(|set| set.last()).map_or(&Origin::BuiltIn, |(_, origin)| origin)
    }

    /// Who added `item` to the list `key`, or else decided the list.
    pub fn of_item(&self, key: &str, item: &str) -> &Origin {
        let set = self.keys.get(key).into_iter().flatten();
        set.rev().find(|(known, _)| known.as_deref() == Some(item)).map_or_else(|| self.of(key), |(_, origin)| origin)
    }

    pub(super) fn replace(&mut self, key: &'static str, origin: &Origin) {
        self.keys.insert(key, vec![(None, origin.clone())]);
    }

    pub(super) fn add(&mut self, key: &'static str, item: String, origin: &Origin) {
        self.keys.entry(key).or_default().push((Some(item), origin.clone()));
    }
}
