//! Reading a database: one snapshot, page by page, into a file of the slot.
//!
//! A database at rest is read without a lock, and that nothing moved meanwhile is what makes the copy good. Otherwise
//! writers in WAL mode go on meanwhile; in rollback mode they wait, because a copy that starts over with each commit would
//! never end beside a busy one. Dumps of equal content are equal byte for byte, which is how content is compared.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use updates_protocol::DeclaredPath;

use super::compare::check;
use super::details::Details;
use super::place::{COMPANIONS, PATIENCE, Place, prepare};
use super::problem::{Problem, in_words};
use crate::database::{Access, DatabaseError, Dump, saved};
use crate::fs::{IoContext, Kind};

/// Pages between two looks at the clock: some megabytes.
const PAGES: i32 = 2048;

pub(in crate::database) fn require(database: &DeclaredPath, access: &Access<'_>) -> Result<(), DatabaseError> {
    ask(database, access).map_err(|problem| problem.of(database))
}

fn ask(database: &DeclaredPath, access: &Access<'_>) -> Result<(), Problem> {
    let Some(place) = Place::find(database, access)? else { return Ok(()) };
    match place.status("")? {
        None => Ok(()),
        Some(status) if status.kind != Kind::File => {
            Err(Problem::Stray { name: place.path().display().to_string(), kind: in_words(status.kind) })
        }
        Some(_) => place.require_plain(),
    }
}

pub(in crate::database) fn dump(
    database: &DeclaredPath,
    number: usize,
    directory: &Path,
    access: &Access<'_>,
) -> Result<Option<Dump>, DatabaseError> {
    take(database, number, directory, access).map_err(|problem| problem.of(database))
}

fn take(
    database: &DeclaredPath,
    number: usize,
    directory: &Path,
    access: &Access<'_>,
) -> Result<Option<Dump>, Problem> {
    let Some(place) = Place::find(database, access)? else { return Ok(None) };
    if place.status("")?.is_none() {
        return Ok(None);
    }
    place.require_plain()?;
    let details = Details::of(&place)?;
    let name = format!("db_{number}.sqlite");
    let path = directory.join(&name);
    let file = create(&path)?;
    copy(&place, &details, &file, &path, access)?;
    check(directory, &name)?;
    let dump = Dump::of(&file, name, saved::Details::Sqlite(Box::new(details))).at("read", &path)?;
    Ok(Some(dump))
}

/// Whether the database has not been written to since it was saved; tells by the status of its files alone.
pub(in crate::database) fn is_unmoved(database: &DeclaredPath, dump: Option<&Dump>, access: &Access<'_>) -> bool {
    let place = match Place::find(database, access) {
        Ok(Some(place)) => place,
        Ok(None) => return dump.is_none(),
        Err(_) => return false,
    };
    match dump.map(|dump| &dump.details) {
        None => is_absent(&place),
        Some(saved::Details::Sqlite(details)) => details.is_unmoved(&place).unwrap_or(false),
        Some(_) => false,
    }
}

/// Whether neither the database is there nor anything that SQLite would take for a part of it.
pub(super) fn is_absent(place: &Place) -> bool {
    std::iter::once("").chain(COMPANIONS).all(|suffix| matches!(place.status(suffix), Ok(None)))
}

/// About how many bytes a dump will take.
pub(in crate::database) fn estimate(database: &DeclaredPath, access: &Access<'_>) -> u64 {
    let Ok(Some(place)) = Place::find(database, access) else { return 0 };
    let size = |suffix| place.status(suffix).ok().flatten().map_or(0, |status| status.size);
    size("").saturating_add(size("-wal"))
}

/// Creates an empty file for root alone.
pub(super) fn create(path: &Path) -> Result<File, Problem> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(CWD, path, flags, Mode::from_raw_mode(0o600)).at("create", path)?))
}

/// Copies the live database, of which `before` was just taken down, into the empty file at `target`.
pub(super) fn copy(
    place: &Place,
    before: &Details,
    file: &File,
    target: &Path,
    access: &Access<'_>,
) -> Result<(), Problem> {
    place.require_plain()?;
    let patience = PATIENCE.min(access.timeout);
    if before.is_at_rest() {
        // Unlocked, so that neither a writer waits nor a file comes and goes beside the database.
        let copied = place.connect_at_rest().and_then(|source| copy_pages(&source, target, patience, access));
        if before.is_unmoved(place)? {
            return copied;
        }
        file.set_len(0).at("empty", target)?;
    }
    let aside = Aside::of(place)?;
    let source = match &aside {
        Some(aside) => aside.connect(patience)?,
        None => place.connect(patience, true)?,
    };
    copy_pages(&source, target, patience, access)
}

fn copy_pages(source: &Connection, target: &Path, patience: Duration, access: &Access<'_>) -> Result<(), Problem> {
    let failed = |error| Problem::sqlite(error, patience.as_secs());
    // Asks for no schema, which may be anything, and begins the snapshot that all pages come from.
    source.execute_batch("BEGIN").map_err(failed)?;
    source.query_row("PRAGMA schema_version", [], |_| Ok(())).map_err(failed)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut written = Connection::open_with_flags(target, flags).map_err(Problem::Sqlite)?;
    prepare(&written, patience).map_err(Problem::Sqlite)?;
    // A dump that is not finished is thrown away, and a finished one is synced with its slot.
    written.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").map_err(Problem::Sqlite)?;
    let began = Instant::now();
    let backup = Backup::new(source, &mut written).map_err(failed)?;
    loop {
        match backup.step(PAGES).map_err(failed)? {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ => return Err(Problem::Busy(patience.as_secs())),
        }
        if began.elapsed() > access.timeout {
            return Err(Problem::TooLong(access.timeout.as_secs()));
        }
        if is_interrupted(access) {
            return Err(Problem::Interrupted);
        }
    }
}

fn is_interrupted(access: &Access<'_>) -> bool {
    let Some(descriptor) = access.interrupt else { return false };
    let mut asked = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut asked, Some(&at_once)), Ok(1..)) && !asked[0].revents().is_empty()
}

/// A copy of the files of a database on a read-only file system: there SQLite can make neither the index of a log nor
/// undo a journal, and without them it would see less than what was committed. Nobody writes there, so a copy is whole.
struct Aside {
    folder: tempfile::TempDir,
}

impl Aside {
    fn of(place: &Place) -> Result<Option<Self>, Problem> {
        if !place.is_read_only()? {
            return Ok(None);
        }
        place.require_plain()?;
        let folder = temporary_folder()?;
        for suffix in ["", "-wal", "-journal"] {
            if place.status(suffix)?.is_none() {
                continue;
            }
            let target = folder.path().join(format!("copy{suffix}"));
            let mut from = place.node(suffix)?.read().at("read", place.path())?;
            io::copy(&mut from, &mut create(&target)?).at("write", &target)?;
        }
        Ok(Some(Self { folder }))
    }

    fn connect(&self, patience: Duration) -> Result<Connection, Problem> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(self.folder.path().join("copy"), flags);
        let connection = connection.map_err(Problem::Sqlite)?;
        prepare(&connection, patience).map_err(Problem::Sqlite)?;
        Ok(connection)
    }
}

/// A folder for root alone, on disk where there is one: a database may be larger than memory.
pub(super) fn temporary_folder() -> Result<tempfile::TempDir, Problem> {
    let made = tempfile::Builder::new().prefix(".updates-").tempdir_in("/var/tmp");
    let made = made.or_else(|_| tempfile::Builder::new().prefix(".updates-").tempdir());
    Ok(made.at("create a folder in", Path::new("/var/tmp"))?)
}
