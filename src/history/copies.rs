//! Copies of the database: one to try a program on, and one of each format that a newer program left behind, for an older
//! program to go back to.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use super::aside::{free_name, save, with_suffix};
use super::in_flight::{insert, read_all};
use super::schema::Format;
use super::{HistoryError, InFlight};
use crate::fs::{IoContext, remove_tree, rename_durably, sync_directory};

/// Pages that are copied without letting a writer in between.
const STEP: std::ffi::c_int = 1024;
const BUSY: Duration = Duration::from_secs(5);

/// Copies the database at `from`, also while a run writes it, to the new file `to`; nothing where there is none.
pub fn copy(from: &Path, to: &Path) -> Result<(), HistoryError> {
    if !fs::exists(from).at("look for", from)? {
        return Ok(());
    }
    copy_open(&open(from)?, from, to).map(drop)
}

/// Keeps a copy of the open database at `path` under the name of its format, before a step that older programs can't
/// follow. It replaces an older copy of the same format, and is durable when this returns.
pub(super) fn keep(connection: &Connection, path: &Path, format: i64) -> Result<(), HistoryError> {
    let new = with_suffix(path, ".format.new");
    remove_tree(&new)?;
    drop(copy_open(connection, path, &new)?);
    put(&new, &with_suffix(path, &format!(".format-{format}")))
}

/// Puts the newest copy that can be read here in the place of the database at `path`, which can't, with the modules in
/// flight that the latter names. Returns what a person should know; `None` where there is no such copy.
///
/// Killed anywhere, the next open finds the one or the other whole.
pub(super) fn take_back(path: &Path) -> Result<Option<String>, HistoryError> {
    let Some(copy) = newest_readable(path)? else { return Ok(None) };
    let failed = |source| HistoryError::Database { action: "take back a copy of", path: path.to_owned(), source };
    // Its log is folded in and gone with this: beside another file it would be read as that one's.
    let newer = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    newer.busy_timeout(BUSY).map_err(failed)?;
    newer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(failed)?;
    let readable = read_all(&newer).is_ok();
    newer.close().map_err(|(_, error)| failed(error))?;
    let log = with_suffix(path, "-wal");
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Ok(None);
    }
    let in_flight = save(path);
    let back = with_suffix(path, ".format.new");
    remove_tree(&back)?;
    let connection = copy_open(&open(&copy)?, &copy, &back)?;
    replace_in_flight(&connection, &in_flight).map_err(failed)?;
    connection.close().map_err(|(_, error)| failed(error))?;
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let kept = free_name(path, &format!(".newer-{now}"));
    fs::hard_link(path, &kept).at("keep as", &kept)?;
    remove_tree(&with_suffix(path, "-shm"))?;
    remove_tree(&log)?;
    put(&back, path)?;
    let lost = if readable { "" } else { "; which modules were running could not be read from it" };
    Ok(Some(format!(
        "a newer version of updates has changed the database to a format that this one can't read; it was moved to {}, \
         and the copy that was kept for this version, {}, is used; {} modules that were running come along{lost}",
        kept.display(),
        copy.display(),
        in_flight.len(),
    )))
}

fn newest_readable(path: &Path) -> Result<Option<PathBuf>, HistoryError> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(None);
    };
    let prefix = format!("{name}.format-");
    let mut found: Vec<(i64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder).at("read", folder)? {
        let entry = entry.at("read", folder)?.file_name();
        let Some(number) = entry.to_str().and_then(|name| name.strip_prefix(&prefix)?.parse().ok()) else { continue };
        let copy = folder.join(&entry);
        // One that is damaged is none.
        if open(&copy).is_ok_and(|copy| Format::of(&copy).is_ok_and(Format::is_readable) && read_all(&copy).is_ok()) {
            found.push((number, copy));
        }
    }
    Ok(found.into_iter().max().map(|(_, copy)| copy))
}

/// What was running when the copy was made has been settled since; what runs now is what the newer one names.
fn replace_in_flight(connection: &Connection, entries: &[InFlight]) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute("DELETE FROM in_flight", [])?;
    entries.iter().try_for_each(|entry| insert(&transaction, entry))?;
    transaction.commit()
}

fn open(path: &Path) -> Result<Connection, HistoryError> {
    let failed = |source| HistoryError::Database { action: "open", path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    Ok(connection)
}

/// Copies into the new file `to`, and returns it open. It has no log beside it, and stays one file until it is renamed.
fn copy_open(from: &Connection, path: &Path, to: &Path) -> Result<Connection, HistoryError> {
    // Never readable by others, like what it is made from.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).at("create", to)?;
    let failed = |source| HistoryError::Database { action: "copy", path: path.to_owned(), source };
    let mut target = Connection::open(to).map_err(failed)?;
    let backup = Backup::new(from, &mut target).map_err(failed)?;
    backup.run_to_completion(STEP, Duration::from_millis(5), None).map_err(failed)?;
    drop(backup);
    target.pragma_update(None, "journal_mode", "DELETE").map_err(failed)?;
    Ok(target)
}

/// Makes `new` durable and renames it to `path`.
fn put(new: &Path, path: &Path) -> Result<(), HistoryError> {
    fs::File::open(new).and_then(|file| file.sync_all()).at("write", new)?;
    rename_durably(new, path)?;
    sync_directory(path.parent().unwrap_or(Path::new("/")))?;
    Ok(())
}
