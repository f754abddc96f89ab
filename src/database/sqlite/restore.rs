//! Putting an SQLite database back: in one transaction below whoever has it open, or, where nothing there can be opened
//! as a database, as a file in its place.
//!
//! The transaction is SQLite's own, so a kill leaves the live database as it was. A file in its place is complete before
//! it gets the name, and what lay beside the old one is gone by then: no log ever meets a database that is not its own.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use rustix::fs::{Mode, OFlags, StatVfsMountFlags, mkdirat, openat, renameat};
use updates_protocol::DeclaredPath;

use super::compare::{header, open_dump};
use super::details::{Details, Ownership};
use super::place::{COMPANIONS, PATIENCE, Place};
use super::problem::Problem;
use crate::database::{Access, DatabaseError, Dump, saved};
use crate::fs::{Content, Flags, IoContext, Kind, Node, PathError, Root, copy_checked, remove_all_at, sha256};

/// Asks before anything is changed. What the files' own restore may yet put right is no reason to refuse.
pub(in crate::database) fn require_restore(database: &DeclaredPath, access: &Access<'_>) -> Result<(), DatabaseError> {
    let writable = || {
        let root = Root::open(access.root)?;
        let mut above = database.as_path().ancestors().skip(1);
        let Some((path, directory)) = above.find_map(|path| Some((path, root.directory(path).ok()?))) else {
            return Ok(());
        };
        let space = rustix::fs::fstatvfs(&directory).at("look at", path)?;
        if space.f_flag.contains(StatVfsMountFlags::RDONLY) { Err(Problem::ReadOnly) } else { Ok(()) }
    };
    writable().map_err(|problem| problem.of(database))
}

pub(in crate::database) fn restore(
    database: &DeclaredPath,
    dump: Option<&Dump>,
    directory: &Path,
    access: &Access<'_>,
) -> Result<(), DatabaseError> {
    let done = match dump.map(|dump| (dump, &dump.details)) {
        None => remove(database, access),
        Some((dump, saved::Details::Sqlite(details))) => put_back(database, dump, details, directory, access),
        Some(_) => Err(Problem::NotADatabase),
    };
    done.map_err(|problem| problem.of(database))
}

/// Removes what was not there when the backup was made. The database goes first: what is left beside an absent one,
/// SQLite ignores, and the next restore removes.
fn remove(database: &DeclaredPath, access: &Access<'_>) -> Result<(), Problem> {
    let Some(place) = Place::find(database, access)? else { return Ok(()) };
    for suffix in std::iter::once("").chain(COMPANIONS) {
        if place.status(suffix)?.is_some() {
            clear(&place, suffix)?;
            place.sync()?;
        }
    }
    Ok(())
}

fn clear(place: &Place, suffix: &str) -> Result<(), PathError> {
    remove_all_at(place.directory().as_fd(), &place.name(suffix)).at("remove", place.path())
}

fn put_back(
    database: &DeclaredPath,
    dump: &Dump,
    details: &Details,
    directory: &Path,
    access: &Access<'_>,
) -> Result<(), Problem> {
    // Its errors are not the live database's, which only those may cost its file.
    let opened =
        header(&directory.join(&dump.file)).and_then(|header| Ok((header.wal, open_dump(directory, &dump.file)?)));
    let (is_wal, source) = opened.map_err(|problem| Problem::Dump(Box::new(problem)))?;
    make_parents(database, &details.parents, access)?;
    let missing = || rustix::io::Errno::NOENT;
    let place = Place::find(database, access)?.ok_or_else(missing).at("open", database.as_path())?;
    let temporary = temporary(place.path());
    remove_all_at(place.directory().as_fd(), temporary.as_ref()).at("clear the way of", place.path())?;
    let done = match place.status("")? {
        Some(status) if status.kind == Kind::File && !is_anothers(&status, details) => {
            overwrite(&place, &source, is_wal, details, access)
        }
        _ => Err(Problem::NotADatabase),
    };
    match done {
        Err(problem) if problem.is_unusable() => replace(&place, &temporary, dump, details, directory)?,
        other => other?,
    }
    details.owner.seal(&place.node("")?, place.path())?;
    Ok(place.sync()?)
}

/// A planted link: the inode has further names and is not the one that was saved, so writing to it would change a file
/// that is none of this database's.
fn is_anothers(status: &crate::fs::Status, details: &Details) -> bool {
    let saved = details.seen[0].as_ref().map(|seen| (seen.device, seen.inode));
    status.links > 1 && saved != Some((status.device, status.inode))
}

fn make_parents(database: &DeclaredPath, saved: &[Ownership], access: &Access<'_>) -> Result<(), Problem> {
    let root = Root::open(access.root)?;
    let mut above: Vec<&Path> = database.as_path().ancestors().skip(1).filter(|path| path.parent().is_some()).collect();
    above.reverse();
    for (path, ownership) in above.into_iter().zip(saved) {
        if root.status(path).at("look at", path)?.is_some() {
            continue;
        }
        let (directory, name) = root.parent(path).at("open", path)?;
        mkdirat(&directory, name, Mode::RWXU).at("create", path)?;
        let node = Node::open(&directory, name).at("open", path)?;
        ownership.give(&node).at("set the owner of", path)?;
        ownership.seal(&node, path)?;
        let above = path.parent().unwrap_or(Path::new("/"));
        root.readable(above).and_then(|directory| Ok(rustix::fs::fsync(directory)?)).at("sync", above)?;
    }
    Ok(())
}

/// Writes the dump's pages over the live ones, in one transaction.
fn overwrite(
    place: &Place,
    source: &Connection,
    is_wal: bool,
    details: &Details,
    access: &Access<'_>,
) -> Result<(), Problem> {
    // First of all: what SQLite makes beside the database gets the database's owner and mode.
    details.owner.give(&place.node("")?).at("set the owner of", place.path())?;
    let patience = PATIENCE.min(access.timeout);
    let mut live = place.connect(patience, false)?;
    let failed = |error| Problem::sqlite(error, patience.as_secs());
    match write_pages(source, &mut live, patience) {
        // In WAL mode a database keeps the size of its pages; only out of it can that change.
        Err(Problem::Sqlite(error)) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ReadOnly) => {
            leave_wal(&live).map_err(failed)?;
            write_pages(source, &mut live, patience)?;
        }
        other => other?,
    }
    if !is_wal {
        match leave_wal(&live).map_err(failed) {
            Err(Problem::Busy(_)) => return Err(Problem::KeptInWal),
            other => other?,
        }
    }
    drop(live);
    for suffix in COMPANIONS {
        if place.status(suffix)?.is_some_and(|status| status.kind == Kind::File && status.links == 1) {
            let node = place.node(suffix)?;
            let (uid, gid, mode) = (details.owner.uid, details.owner.gid, details.owner.mode);
            node.set_owner(uid, gid).and_then(|()| node.set_mode(mode)).at("set the owner of", place.path())?;
        }
    }
    Ok(())
}

fn write_pages(source: &Connection, live: &mut Connection, patience: Duration) -> Result<(), Problem> {
    let failed = |error| Problem::sqlite(error, patience.as_secs());
    let began = Instant::now();
    loop {
        let backup = Backup::new(source, live).map_err(failed)?;
        // All in one step: between steps SQLite would let go of the source, and there is nothing to ask for any more.
        match backup.step(-1).map_err(failed)? {
            StepResult::Done => return Ok(()),
            _ if began.elapsed() < patience => {}
            _ => return Err(Problem::Busy(patience.as_secs())),
        }
    }
}

/// Leaves WAL mode, which takes that nobody else has the database open.
fn leave_wal(live: &Connection) -> rusqlite::Result<()> {
    let mode: String = live.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if mode == "wal" {
        live.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    }
    Ok(())
}

/// Puts a file in the database's place. Killed before the rename, the name still holds what is no database.
fn replace(place: &Place, temporary: &str, dump: &Dump, details: &Details, slot: &Path) -> Result<(), Problem> {
    let (directory, path) = (place.directory(), place.path());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = File::from(openat(directory, temporary, flags, Mode::RUSR | Mode::WUSR).at("create", path)?);
    let saved = slot.join(&dump.file);
    let content = Content { size: dump.size, sha256: dump.sha256.clone(), segments: None };
    let source = File::open(&saved).at("read", &saved)?;
    copy_checked(&source, &content, &target).at("write", path)?;
    let node = Node::open(directory, temporary.as_ref()).at("open", path)?;
    details.owner.give(&node).at("set the owner of", path)?;
    target.sync_all().at("write", path)?;
    for suffix in COMPANIONS {
        clear(place, suffix)?;
    }
    place.sync()?;
    match place.status("")? {
        Some(status) if status.kind == Kind::Directory => clear(place, "")?,
        Some(status) if status.kind == Kind::File && status.flags.forbid_changes() => {
            place.node("")?.set_flags(Flags::default()).at("make changeable", path)?;
        }
        _ => {}
    }
    // A temporary file that stays behind is removed by the next restore.
    Ok(renameat(directory, temporary, directory, place.name("")).at("put back", path)?)
}

/// The same for the same database each time, so that a repeated restore finds what a killed one left.
fn temporary(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    format!(".updates-restore.{}", &sha256(path.as_os_str().as_bytes())[..16])
}
