//! Small things that are remembered of self-updates, each a file of one text: what was in use before, what a person
//! pinned, and what the guard or a rollback leaves for the next run to tell.

use std::fs;

use updates_protocol::SchemaVersion;

use crate::config::Layout;
use crate::fs::{IoContext, PathError, create_directory, remove_tree, replace_file, sync_directory};

/// What is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// The version before the one in use; without it the installed program was.
    Previous,
    /// The version that a person wants, and no other.
    Pin,
    /// What happened, for the next run to tell.
    Tell,
}

impl Note {
    fn file(self) -> &'static str {
        match self {
            Note::Previous => "previous",
            Note::Pin => "pin",
            Note::Tell => "note",
        }
    }
}

/// The remembered texts below one root.
#[derive(Debug, Clone, Copy)]
pub struct Notes<'a>(pub &'a Layout);

impl Notes<'_> {
    /// The text, without blanks around it. An empty one is none.
    pub fn text(self, note: Note) -> Result<Option<String>, PathError> {
        let path = self.0.self_update().join(note.file());
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned()).filter(|text| !text.is_empty())),
            Err(error) if crate::fs::is_absence(&error) => Ok(None),
            Err(error) => Err(error).at("read", &path),
        }
    }

    /// The text as a version; one that is none is as if it were not there.
    pub fn version(self, note: Note) -> Result<Option<SchemaVersion>, PathError> {
        Ok(self.text(note)?.and_then(|text| text.parse().ok()))
    }

    /// Remembers a text, durably; `None` forgets.
    pub fn set(self, note: Note, text: Option<&str>) -> Result<(), PathError> {
        let folder = self.0.self_update();
        let path = folder.join(note.file());
        match text {
            Some(text) => {
                create_directory(&folder, 0o700)?;
                replace_file(&path, format!("{text}\n").as_bytes(), 0o600)
            }
            None if path.symlink_metadata().is_ok() => {
                remove_tree(&path)?;
                sync_directory(&folder)
            }
            None => Ok(()),
        }
    }
}
