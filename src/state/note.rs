//! What a slot could not take with it, said by name rather than passed over.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

use super::backup::Backup;
use super::entry::SavedNode;
use super::error::StateError;

/// Something about a slot that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Another file system is mounted here; it was not saved and a restore leaves it alone.
    Mount(PathBuf),
    /// The file has a further name outside of the declared paths; a restore of its content parts the two.
    LinkedOutside(PathBuf),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Mount(path) => write!(f, "{} is a mount of its own and was not saved", path.display()),
            Note::LinkedOutside(path) => {
                write!(f, "{} has a further name outside of the declared paths", path.display())
            }
        }
    }
}

impl Backup {
    /// What was not saved, or will not come back entirely, in the order of the walk.
    pub fn notes(&self) -> Result<Vec<Note>, StateError> {
        let mut inside: HashMap<u32, u32> = HashMap::new();
        for entry in self.entries()? {
            if let SavedNode::File { link_group: Some(group), .. } = entry?.node {
                *inside.entry(group).or_insert(0) += 1;
            }
        }
        let mut notes = Vec::new();
        for entry in self.entries()? {
            let entry = entry?;
            match entry.node {
                SavedNode::Mount => notes.push(Note::Mount(entry.path)),
                SavedNode::File { link_group: Some(group), .. }
                    if entry.seen.is_some_and(|seen| seen.links > inside.get(&group).copied().unwrap_or(0)) =>
                {
                    notes.push(Note::LinkedOutside(entry.path));
                }
                _ => {}
            }
        }
        Ok(notes)
    }
}
