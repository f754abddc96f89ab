//! What a slot could not take with it, said by name rather than passed over.

use std::collections::HashMap;
use std::fmt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::backup::Backup;
use super::entry::{Entry, SavedNode};
use crate::fs::{Node, Root};

/// Something about a slot that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Another file system is mounted here; it was not saved and a restore leaves it alone.
    Mount(PathBuf),
    /// The file has a further name outside of the declared paths; a restore of its content parts the two.
    LinkedOutside(PathBuf),
    /// An SQLite database that was in use. It was copied like any file, which may have caught it between two writes.
    UndeclaredDatabase(PathBuf),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Mount(path) => write!(f, "{} is a mount of its own and was not saved", path.display()),
            Note::LinkedOutside(path) => {
                write!(f, "{} has a further name outside of the declared paths", path.display())
            }
            Note::UndeclaredDatabase(path) => write!(
                f,
                "{} is an SQLite database in use and was copied as a plain file, which may be torn; declare it under databases",
                path.display()
            ),
        }
    }
}

impl Backup {
    /// What was not saved, or will not come back entirely, in the order of the walk.
    pub fn notes(&self) -> Vec<Note> {
        let entries = &self.manifest().entries;
        let mut inside: HashMap<u32, u32> = HashMap::new();
        for entry in entries {
            if let SavedNode::File { link_group: Some(group), .. } = entry.node {
                *inside.entry(group).or_insert(0) += 1;
            }
        }
        let files = self.files().ok();
        let notes = entries.iter().filter_map(|entry| match entry.node {
            SavedNode::File { .. } if files.as_ref().is_some_and(|files| self.is_database_in_use(files, entry)) => {
                Some(Note::UndeclaredDatabase(entry.path.clone()))
            }
            SavedNode::Mount => Some(Note::Mount(entry.path.clone())),
            SavedNode::File { link_group: Some(group), .. }
                if entry.seen.is_some_and(|seen| seen.links > inside.get(&group).copied().unwrap_or(0)) =>
            {
                Some(Note::LinkedOutside(entry.path.clone()))
            }
            _ => None,
        });
        notes.collect()
    }

    /// Whether a saved file begins like an SQLite database, and a write-ahead log lay beside it.
    fn is_database_in_use(&self, files: &Root, entry: &Entry) -> bool {
        let mut log = entry.path.clone().into_os_string();
        log.push("-wal");
        let is_file = |entry: &Entry| matches!(entry.node, SavedNode::File { .. });
        self.manifest().entry(log.as_ref()).is_some_and(is_file) && begins_like_a_database(files, &entry.path)
    }
}

/// See <https://www.sqlite.org/fileformat.html>, 1.3.1. A file that can't be read is left for a verification to tell.
fn begins_like_a_database(files: &Root, path: &Path) -> bool {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let mut begin = [0; MAGIC.len()];
    let opened = files.parent(path).and_then(|(directory, name)| Node::open(directory, name)?.read());
    opened.and_then(|file| file.read_exact_at(&mut begin, 0)).is_ok() && begin == *MAGIC
}
