//! Judging: whether a dump is a sound database, and whether the live one still is what its dump says.

use std::fs::File;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Mode, OFlags};
use updates_protocol::DeclaredPath;

use super::details::Details;
use super::dump::{copy, create, is_absent, is_unmoved, temporary_folder};
use super::place::{PATIENCE, Place, prepare};
use super::problem::Problem;
use crate::database::{Access, DatabaseError, Dump, saved};
use crate::fs::{IoContext, Kind};

/// Opens a file that nobody writes to, without making SQLite's companions beside it.
pub(super) fn open_dump(directory: &Path, name: &str) -> Result<Connection, Problem> {
    use std::os::fd::AsRawFd;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let held = rustix::fs::open(directory, flags, Mode::empty()).at("open", directory)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // Through the descriptor, so that no character of the path means something in the URI. SQLite resolves it at once.
    let uri = format!("file:/proc/self/fd/{}/{name}?immutable=1", held.as_raw_fd());
    let connection = Connection::open_with_flags(uri, flags).map_err(Problem::Sqlite)?;
    prepare(&connection, PATIENCE).map_err(Problem::Sqlite)?;
    Ok(connection)
}

/// Checks the structure of a dump, so that what can't be read again is found while the live database is there.
///
/// What a row says against a CHECK or NOT NULL is the application's affair, and functions, collations and modules that
/// only it has can't be called here: neither is damage.
pub(super) fn check(directory: &Path, name: &str) -> Result<(), Problem> {
    let connection = open_dump(directory, name)?;
    let mut said = Vec::new();
    let asked = connection.execute_batch("PRAGMA ignore_check_constraints = ON").and_then(|()| {
        let mut statement = connection.prepare("PRAGMA quick_check(20)")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        for row in rows {
            said.push(row?);
        }
        Ok(())
    });
    match asked.map_err(|error| Problem::sqlite(error, PATIENCE.as_secs())) {
        Err(Problem::Sqlite(error)) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::Unknown) => {}
        other => other?,
    }
    match said.into_iter().find(|line| is_structural(line)) {
        Some(line) => Err(Problem::Damaged(line.lines().next_back().unwrap_or_default().to_owned())),
        None => Ok(()),
    }
}

/// Whether a line of PRAGMA quick_check is about pages; see checkAppendMsg() and "integrity_check" in SQLite's source.
fn is_structural(line: &str) -> bool {
    ["*** in database", "Tree ", "Page ", "Freelist", "row ", "Rowid ", "database disk image"]
        .iter()
        .any(|begin| line.starts_with(begin))
}

/// Checks what a hash does not: that the dump ends where its header says.
pub(in crate::database) fn verify(database: &DeclaredPath, dump: &Dump, directory: &Path) -> Result<(), DatabaseError> {
    let whole = || {
        let header = header(&directory.join(&dump.file))?;
        if header.size() == dump.size { Ok(()) } else { Err(Problem::Damaged("it is cut off".to_owned())) }
    };
    whole().map_err(|problem| problem.of(database))
}

/// What the first bytes of a database say; see <https://www.sqlite.org/fileformat.html>, 1.3.
pub(super) struct Header {
    page_size: u64,
    pages: u64,
    /// Whether it is in WAL mode.
    pub wal: bool,
}

impl Header {
    fn size(&self) -> u64 {
        self.page_size.saturating_mul(self.pages)
    }
}

/// The header of a dump.
pub(super) fn header(path: &Path) -> Result<Header, Problem> {
    use std::os::unix::fs::FileExt;
    let mut bytes = [0; 100];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut bytes, 0));
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Err(Problem::NotADatabase),
        other => other.at("read", path)?,
    }
    if !bytes.starts_with(b"SQLite format 3\0") {
        return Err(Problem::NotADatabase);
    }
    let page_size = match u16::from_be_bytes([bytes[16], bytes[17]]) {
        1 => 65536,
        size => u64::from(size),
    };
    let pages = u32::from_be_bytes([bytes[28], bytes[29], bytes[30], bytes[31]]);
    Ok(Header { page_size, pages: u64::from(pages), wal: bytes[19] == 2 })
}

/// Whether the live database is what its dump says; `None` where it can't be read now.
pub(in crate::database) fn is_as_saved(
    database: &DeclaredPath,
    dump: Option<&Dump>,
    access: &Access<'_>,
) -> Option<bool> {
    if !access.by_content && is_unmoved(database, dump, access) {
        return Some(true);
    }
    let place = match Place::find(database, access) {
        Ok(Some(place)) => place,
        Ok(None) => return Some(dump.is_none()),
        Err(_) => return None,
    };
    let Some(dump) = dump else { return Some(is_absent(&place)) };
    match holds(&place, dump, access) {
        Ok(same) => Some(same),
        Err(problem) if problem.is_unusable() => Some(false),
        Err(_) => None,
    }
}

/// Dumps of equal content are equal, so the live database is dumped once more, beside.
fn holds(place: &Place, dump: &Dump, access: &Access<'_>) -> Result<bool, Problem> {
    let saved::Details::Sqlite(details) = &dump.details else { return Ok(false) };
    if !matches!(place.status("")?, Some(status) if status.kind == Kind::File) || place.ownership()? != details.owner {
        return Ok(false);
    }
    let folder = temporary_folder()?;
    let path = folder.path().join("copy");
    let file = create(&path)?;
    copy(place, &Details::of(place)?, &file, &path, access)?;
    let now = Dump::of(&file, dump.file.clone(), dump.details.clone()).at("read", &path)?;
    Ok(now.sha256 == dump.sha256)
}
