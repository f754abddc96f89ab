//! Where an SQLite database lies: reached without following a link, held by its directory, opened through that.
//!
//! Nobody else is trusted to leave the names alone meanwhile. What SQLite opens lies in the directory that was walked to,
//! is no link, and is not waited for.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::StatVfsMountFlags;
use updates_protocol::DeclaredPath;

use super::beneath;
use super::details::Ownership;
use super::problem::{Problem, in_words};
use crate::database::Access;
use crate::fs::{IoContext, Kind, Node, PathError, Root, Status, is_absence};

/// What SQLite keeps beside a database; see <https://www.sqlite.org/tempfiles.html>.
pub(super) const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// How long a lock is waited for when a database is read, and when it is put back.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// The file and what SQLite keeps beside it.
pub(in crate::database) fn own_files(database: &DeclaredPath) -> Vec<DeclaredPath> {
    let suffixes = std::iter::once("").chain(COMPANIONS);
    suffixes.filter_map(|suffix| DeclaredPath::new(&format!("{database}{suffix}")).ok()).collect()
}

/// The directory of a database, held open, and the database's name there.
#[derive(Debug)]
pub(super) struct Place {
    root: Root,
    path: PathBuf,
    directory: OwnedFd,
    name: OsString,
}

impl Place {
    /// Walks to the directory; `None` where it does not exist.
    pub fn find(database: &DeclaredPath, access: &Access<'_>) -> Result<Option<Place>, PathError> {
        let path = database.as_path().to_owned();
        let root = Root::open(access.root)?;
        let (directory, name) = match root.parent(&path) {
            Err(error) if is_absence(&error) => return Ok(None),
            other => other.at("open", &path)?,
        };
        let name = name.to_owned();
        Ok(Some(Place { root, path, directory, name }))
    }

    /// The database's path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// The name of one of its files.
    pub fn name(&self, suffix: &str) -> OsString {
        let mut name = self.name.clone();
        name.push(suffix);
        name
    }

    /// The status of one of its files; `None` where nothing is.
    pub fn status(&self, suffix: &str) -> Result<Option<Status>, PathError> {
        match Status::at(&self.directory, &self.name(suffix)) {
            Err(error) if is_absence(&error) => Ok(None),
            other => other.map(Some).at("look at", &self.path),
        }
    }

    /// A handle to one of its files.
    pub fn node(&self, suffix: &str) -> Result<Node, PathError> {
        Node::open(&self.directory, &self.name(suffix)).at("open", &self.path)
    }

    pub fn ownership(&self) -> Result<Ownership, PathError> {
        Ownership::of(&self.node("")?).at("read the attributes of", &self.path)
    }

    /// Of the directories above, outermost first, without the root.
    pub fn parents(&self) -> Result<Vec<Ownership>, PathError> {
        let mut above: Vec<&Path> = self.path.ancestors().skip(1).filter(|above| above.parent().is_some()).collect();
        above.reverse();
        let read = |path: &Path| {
            let opened = self.root.parent(path).and_then(|(directory, name)| Node::open(directory, name));
            opened.and_then(|node| Ownership::of(&node)).at("read the attributes of", path)
        };
        above.into_iter().map(read).collect()
    }

    pub fn is_read_only(&self) -> Result<bool, PathError> {
        let space = rustix::fs::fstatvfs(&self.directory).at("look at", &self.path)?;
        Ok(space.f_flag.contains(StatVfsMountFlags::RDONLY))
    }

    /// Refuses what SQLite should not be let near: something else than a file, or a companion that is another file's
    /// further name, whose owner and mode SQLite would change.
    pub fn require_plain(&self) -> Result<(), Problem> {
        for suffix in std::iter::once("").chain(COMPANIONS) {
            let Some(status) = self.status(suffix)? else { continue };
            if status.kind != Kind::File || (status.links > 1 && !suffix.is_empty()) {
                let name = self.name(suffix).to_string_lossy().into_owned();
                return Err(Problem::Stray { name, kind: in_words(status.kind) });
            }
        }
        Ok(())
    }

    /// Opens the database. The connection must not outlive this.
    ///
    /// A journal that a crashed writer left is rolled back, as any reader does; a write-ahead log that is there stays.
    pub fn connect(&self, patience: Duration, keep_log: bool) -> Result<Connection, Problem> {
        self.require_plain()?;
        if !beneath::register() {
            return Err(Problem::Unsupported);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let path = beneath::path(&self.directory, &self.name);
        let connection = Connection::open_with_flags_and_vfs(path, flags, beneath::NAME);
        let connection = connection.map_err(|error| Problem::sqlite(error, patience.as_secs()))?;
        prepare(&connection, patience).map_err(|error| Problem::sqlite(error, patience.as_secs()))?;
        let keep = keep_log && self.status("-wal")?.is_some();
        let set = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep);
        set.map_err(Problem::Sqlite)?;
        Ok(connection)
    }

    /// Opens the database as a file that nobody writes to. The caller has seen to that, and sees whether it was true.
    pub fn connect_at_rest(&self) -> Result<Connection, Problem> {
        if !beneath::register() {
            return Err(Problem::Unsupported);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let uri = format!("file:{}?immutable=1", escaped(&beneath::path(&self.directory, &self.name)));
        let connection = Connection::open_with_flags_and_vfs(uri, flags, beneath::NAME).map_err(Problem::Sqlite)?;
        prepare(&connection, PATIENCE).map_err(Problem::Sqlite)?;
        Ok(connection)
    }

    /// Makes names and removals durable.
    pub fn sync(&self) -> Result<(), PathError> {
        let directory = rustix::fs::openat(
            self.directory.as_fd(),
            OsStr::new("."),
            rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        );
        directory.and_then(rustix::fs::fsync).at("sync the directory of", &self.path)
    }
}

/// What every connection needs: patience, and no trust in what a schema says.
pub(super) fn prepare(connection: &Connection, patience: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(patience)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    Ok(())
}

/// A path in a URI: every byte that could mean something there as its number; see <https://www.sqlite.org/uri.html>.
fn escaped(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let bytes = path.as_os_str().as_bytes().iter();
    bytes.map(|&byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
