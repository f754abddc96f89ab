//! Follows symbolic links that the machine has, and none that a module could have planted.
//!
//! Something read-only may lie behind a link, as what is below `/var/run` does. But where a module can write, it may have
//! left a link in an earlier run, to be shown through it what the profile hides. So links are followed one at a time, and
//! one that lies in a writable place of the plan ends the set-up. Each is read through the descriptor that it was
//! recognised by, so that none can change meanwhile.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat, openat2, readlinkat};
use rustix::io::Errno;

/// As many as the kernel follows, see path_resolution(7).
const MAX_LINKS: usize = 40;
const PLACE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// Opens the absolute `path` below `root`, at which `..` stops and absolute links begin anew. `writable` are the places,
/// as absolute paths below `root` too: a link in one of them is ELOOP, as one too many is.
pub(super) fn follow(root: BorrowedFd<'_>, path: &Path, writable: &[PathBuf]) -> Result<OwnedFd, Errno> {
    // Nearly every path has no link at all.
    let inside = path.strip_prefix("/").unwrap_or(path);
    let inside = if inside.as_os_str().is_empty() { Path::new(".") } else { inside };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    match openat2(root, inside, PLACE, Mode::empty(), resolve) {
        Err(Errno::LOOP) => Walk::new(root, writable)?.to(path),
        opened => opened,
    }
}

struct Walk<'a> {
    root: BorrowedFd<'a>,
    writable: &'a [PathBuf],
    /// Where it has come to, and the path of that, free of links.
    reached: OwnedFd,
    path: PathBuf,
}

impl<'a> Walk<'a> {
    fn new(root: BorrowedFd<'a>, writable: &'a [PathBuf]) -> Result<Self, Errno> {
        let reached = openat(root, ".", PLACE | OFlags::DIRECTORY, Mode::empty())?;
        Ok(Self { root, writable, reached, path: PathBuf::from("/") })
    }

    fn to(mut self, path: &Path) -> Result<OwnedFd, Errno> {
        let mut names = VecDeque::new();
        self.turn(path, &mut names)?;
        let mut links = 0;
        while let Some(name) = names.pop_front() {
            if name == ".." {
                // From the root and anew: what `..` of a descriptor is may have been moved meanwhile.
                let parent = self.path.parent().map(Path::to_owned).unwrap_or_default();
                let mut again = names_of(&parent);
                again.append(&mut names);
                names = again;
                self.restart()?;
                continue;
            }
            let next = openat(&self.reached, &name, PLACE | OFlags::NOFOLLOW, Mode::empty())?;
            let kind = FileType::from_raw_mode(rustix::fs::fstat(&next)?.st_mode);
            if kind != FileType::Symlink {
                self.path.push(&name);
                self.reached = next;
                continue;
            }
            links += 1;
            if links > MAX_LINKS || self.writable.iter().any(|place| self.path.starts_with(place)) {
                return Err(Errno::LOOP);
            }
            let content = readlinkat(next.as_fd(), "", Vec::new())?;
            self.turn(Path::new(&OsString::from_vec(content.into_bytes())), &mut names)?;
        }
        Ok(self.reached)
    }

    // What comes next, before what was still ahead.
    fn turn(&mut self, path: &Path, ahead: &mut VecDeque<OsString>) -> Result<(), Errno> {
        if path.is_absolute() {
            self.restart()?;
        }
        let mut names = names_of(path);
        names.append(ahead);
        *ahead = names;
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Errno> {
        self.reached = openat(self.root, ".", PLACE | OFlags::DIRECTORY, Mode::empty())?;
        self.path = PathBuf::from("/");
        Ok(())
    }
}

fn names_of(path: &Path) -> VecDeque<OsString> {
    let name = |component| match component {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(OsStr::new("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(name).map(OsStr::to_owned).collect()
}
