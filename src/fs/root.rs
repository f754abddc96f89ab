//! Walks below one directory that no symbolic link can lead astray.
//!
//! Every directory is opened with openat2(2), `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS`, and what is done to a file
//! is done relative to its directory's descriptor. Paths are those of the tree (`/etc/x` lies in `etc` of the root) and
//! may be longer than `PATH_MAX`. Needs Linux 5.6.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, RawDir, ResolveFlags, openat2};
use rustix::io::Errno;

use super::{IoContext, PathError, Status};

/// openat2(2) takes paths of less than `PATH_MAX`, 4,096 bytes; longer ones are walked in pieces.
const PIECE: usize = 4000;

/// A directory, held open, whose tree is walked.
#[derive(Debug)]
pub struct Root {
    descriptor: OwnedFd,
    path: PathBuf,
}

impl Root {
    /// Opens `path`, which is trusted and may itself be reached through links.
    pub fn open(path: &Path) -> Result<Root, PathError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(path, flags, Mode::empty()).at("open", path)?;
        Ok(Root { descriptor, path: path.to_owned() })
    }

    /// Takes a directory that is open already; `path` is for messages.
    pub fn from_descriptor(descriptor: OwnedFd, path: PathBuf) -> Root {
        Root { descriptor, path }
    }

    /// The root's own path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where `path` of the tree lies, for messages.
    pub fn locate(&self, path: &Path) -> PathBuf {
        self.path.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A handle to the directory at `path`, good for `*at` calls but neither for listing nor for syncing.
    ///
    /// The error is `ELOOP` where a component is a symbolic link, `ENOTDIR` where one is another kind of file.
    pub fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        self.descend(path, OFlags::PATH)
    }

    /// The directory at `path`, opened for listing and syncing.
    pub fn readable(&self, path: &Path) -> io::Result<OwnedFd> {
        self.descend(path, OFlags::RDONLY)
    }

    fn descend(&self, path: &Path, last: OFlags) -> io::Result<OwnedFd> {
        let mut pieces = pieces(path)?;
        let end = pieces.pop().unwrap_or_else(|| PathBuf::from("."));
        let mut at: Option<OwnedFd> = None;
        for piece in pieces {
            at = Some(step(at.as_ref().unwrap_or(&self.descriptor).as_fd(), &piece, OFlags::PATH)?);
        }
        step(at.as_ref().unwrap_or(&self.descriptor).as_fd(), &end, last)
    }

    /// A handle to the directory that holds `path`, and the name there. The root itself has the name `.`.
    pub fn parent<'a>(&self, path: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok((self.directory(parent)?, name)),
            _ => Ok((self.directory(Path::new("/"))?, OsStr::new("."))),
        }
    }

    /// The status of what is at `path`; `None` where nothing is, or where a component above is no directory.
    pub fn status(&self, path: &Path) -> io::Result<Option<Status>> {
        match self.parent(path).and_then(|(directory, name)| Status::at(directory, name)) {
            Ok(status) => Ok(Some(status)),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether an error says that nothing is there: `ENOENT`, or `ENOTDIR` further up.
pub fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The names in a directory, sorted by their bytes, without `.` and `..`.
pub fn list(directory: impl AsFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    let mut buffer = Vec::with_capacity(32 * 1024);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name.to_vec()));
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn step(from: BorrowedFd<'_>, path: &Path, access: OFlags) -> io::Result<OwnedFd> {
    // Not O_NOFOLLOW: with O_PATH it would take hold of a link at the end, and the answer be ENOTDIR for ELOOP.
    let flags = access | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(from, path, flags, Mode::empty(), resolve) {
            // The kernel could not rule out a rename beside the walk; openat2(2) says to try again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

fn pieces(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut pieces: Vec<PathBuf> = Vec::new();
    for component in path.components() {
        let name = match component {
            Component::RootDir | Component::CurDir => continue,
            Component::Normal(name) => name,
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::INVAL.into()),
        };
        match pieces.last_mut() {
            Some(piece) if piece.as_os_str().as_bytes().len() + name.len() < PIECE => piece.push(name),
            _ => pieces.push(PathBuf::from(name)),
        }
    }
    Ok(pieces)
}

/// A walker that keeps the directory it opened last, for work that goes through a tree in order.
#[derive(Debug)]
pub struct Cursor<'a> {
    root: &'a Root,
    at: Option<(PathBuf, OwnedFd)>,
}

impl<'a> Cursor<'a> {
    /// Starts at no directory.
    pub fn new(root: &'a Root) -> Self {
        Self { root, at: None }
    }

    /// A handle to the directory at `path`, opened afresh only if the last one asked for was another.
    pub fn directory(&mut self, path: &Path) -> io::Result<BorrowedFd<'_>> {
        if self.at.as_ref().is_none_or(|(at, _)| at != path) {
            self.at = None;
            self.at = Some((path.to_owned(), self.root.directory(path)?));
        }
        match &self.at {
            Some((_, descriptor)) => Ok(descriptor.as_fd()),
            None => Err(Errno::BADF.into()),
        }
    }

    /// A handle to the directory that holds `path`, and the name there.
    pub fn parent<'p>(&mut self, path: &'p Path) -> io::Result<(BorrowedFd<'_>, &'p OsStr)> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok((self.directory(parent)?, name)),
            _ => Ok((self.directory(Path::new("/"))?, OsStr::new("."))),
        }
    }

    /// Forgets the directory, because it may have been replaced.
    pub fn forget(&mut self) {
        self.at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_symbolic_link_on_the_way_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("real/deep")).unwrap();
        symlink("real", folder.path().join("link")).unwrap();
        let root = Root::open(folder.path()).unwrap();
        assert!(root.directory(Path::new("/real/deep")).is_ok());
        for path in ["/link", "/link/deep"] {
            let error = root.directory(Path::new(path)).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::LOOP.raw_os_error()), "{path}: {error}");
        }
        assert!(root.directory(Path::new("/../etc")).is_err());
    }

    #[test]
    fn a_path_longer_than_the_kernel_takes_is_walked_in_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        let mut path = PathBuf::from("/");
        for _ in 0..30 {
            let name = "x".repeat(200);
            rustix::fs::mkdirat(root.directory(&path).unwrap(), name.as_str(), Mode::RWXU).unwrap();
            path.push(name);
        }
        assert!(path.as_os_str().len() > 4096);
        assert_eq!(root.status(&path).unwrap().unwrap().kind, super::super::Kind::Directory);
        super::super::remove_all(&root, Path::new("/").join("x".repeat(200)).as_path()).unwrap();
        assert!(list(root.readable(Path::new("/")).unwrap()).unwrap().is_empty());
    }
}
