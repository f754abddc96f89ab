//! What a slot could not take with it, said by name rather than passed over.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::backup::Backup;
use super::entry::SavedNode;
use super::error::StateError;
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
    pub fn notes(&self) -> Result<Vec<Note>, StateError> {
        let mut inside: HashMap<u32, u32> = HashMap::new();
        for entry in self.entries()? {
            if let SavedNode::File { link_group: Some(group), .. } = entry?.node {
                *inside.entry(group).or_insert(0) += 1;
            }
        }
        let files = self.files().ok();
        let mut notes = Vec::new();
        for entry in self.entries()? {
            let entry = entry?;
            let SavedNode::File { link_group, .. } = entry.node else {
                if entry.node == SavedNode::Mount {
                    notes.push(Note::Mount(entry.path));
                }
                continue;
            };
            let inside = link_group.and_then(|group| inside.get(&group)).copied().unwrap_or(0);
            if link_group.is_some() && entry.seen.is_some_and(|seen| seen.links > inside) {
                notes.push(Note::LinkedOutside(entry.path.clone()));
            }
            let logged = files.as_ref().zip(logged_file(&entry.path));
            if let Some((_, database)) = logged.filter(|(files, database)| begins_like_a_database(files, database)) {
                notes.push(Note::UndeclaredDatabase(database));
            }
        }
        Ok(notes)
    }
}

/// The file whose write-ahead log this would be, by SQLite's way of naming it.
fn logged_file(path: &Path) -> Option<PathBuf> {
    let bytes = path.as_os_str().as_bytes().strip_suffix(b"-wal")?;
    Some(PathBuf::from(OsStr::from_bytes(bytes)))
}

/// See <https://www.sqlite.org/fileformat.html>, 1.3.1. A file that can't be read is left for a verification to tell.
fn begins_like_a_database(files: &Root, path: &Path) -> bool {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let mut begin = [0; MAGIC.len()];
    let opened = files.parent(path).and_then(|(directory, name)| Node::open(directory, name)?.read());
    opened.and_then(|file| file.read_exact_at(&mut begin, 0)).is_ok() && begin == *MAGIC
}
