//! A database that is no longer sound: kept under another name, with the modules in flight read from it first.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::InFlight;
use super::in_flight::read_each;
use crate::fs::{IoContext, PathError, sync_directory};

/// Moves the database at `path` and its companions to names that are free. Returns the new name, and what it still says
/// about modules in flight.
pub(super) fn move_aside(path: &Path) -> Result<(PathBuf, Vec<InFlight>), PathError> {
    let saved = save(path);
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let kept = free_name(path, &format!(".corrupt-{now}"));
    // The companions first: a new database must never find the log of the old one.
    for companion in ["-wal", "-shm", ""] {
        let from = with_suffix(path, companion);
        if fs::exists(&from).at("look for", &from)? {
            fs::rename(&from, with_suffix(&kept, companion)).at("move aside", &from)?;
        }
    }
    if let Some(directory) = path.parent() {
        sync_directory(directory)?;
    }
    Ok((kept, saved))
}

// Best effort by nature: whatever can't be read is what the supervisor finds in the checkpoints themselves.
pub(super) fn save(path: &Path) -> Vec<InFlight> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|connection| read_each(&connection))
        .unwrap_or_default()
}

/// The path with a suffix, and a number after it where that name is taken.
pub(super) fn free_name(path: &Path, suffix: &str) -> PathBuf {
    (0u32..)
        .map(|count| with_suffix(path, &if count == 0 { suffix.to_owned() } else { format!("{suffix}.{count}") }))
        .find(|name| !name.exists())
        .unwrap_or_else(|| with_suffix(path, suffix))
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
