//! Finds the place of a mount inside the new root, and makes it where the tree there is the sandbox's own.
//!
//! Every look-up is openat2(2) below the new root: whatever links a module left behind, they lead nowhere else. What is
//! missing is only ever created in file systems that this sandbox made, never on the machine.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};
use rustix::io::Errno;
use updates_protocol::SetupFailure;

use super::failure::{OrFail, refused};
use super::links::follow;

const PLACE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// What a missing target becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

/// Whether a link on the way to the target is followed, inside the new root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    Follow,
    /// Only where the module can't write.
    FollowUnplanted,
    Refuse,
}

/// The new root and the file systems in it that the sandbox made.
#[derive(Debug)]
pub(super) struct Root {
    mount: OwnedFd,
    own: Vec<u64>,
    /// What the module can write that lasts, inside.
    writable: Vec<PathBuf>,
}

/// Refuses targets that could not be reached by going down from the root.
pub(super) fn check_target(target: &Path) -> Result<(), SetupFailure> {
    let mut components = target.components();
    let rooted = components.next() == Some(Component::RootDir);
    if rooted && components.clone().count() > 0 && components.all(|c| matches!(c, Component::Normal(_))) {
        return Ok(());
    }
    refused("plan", format!("target {}: must be absolute, without '..', and not the root itself", target.display()))
}

impl Root {
    /// `mount` is the new root's own file system.
    pub(super) fn new(mount: OwnedFd, writable: Vec<PathBuf>) -> Result<Self, SetupFailure> {
        let mut root = Self { own: Vec::new(), mount, writable };
        let device = device(root.mount.as_fd(), Path::new("/"))?;
        root.own.push(device);
        Ok(root)
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.mount.as_fd()
    }

    /// What the module can write that lasts.
    pub(super) fn writable(&self) -> &[PathBuf] {
        &self.writable
    }

    /// Notes that the file system behind `mount` is the sandbox's own.
    pub(super) fn adopt(&mut self, mount: &OwnedFd, target: &Path) -> Result<(), SetupFailure> {
        let device = device(mount.as_fd(), target)?;
        self.own.push(device);
        Ok(())
    }

    /// The place of `target`, which must exist.
    pub(super) fn find(&self, target: &Path, links: Links) -> Result<OwnedFd, Errno> {
        let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match links {
            Links::Follow => {}
            Links::FollowUnplanted => return follow(self.mount.as_fd(), target, &self.writable),
            Links::Refuse => resolve |= ResolveFlags::NO_SYMLINKS,
        }
        openat2(&self.mount, target, PLACE, Mode::empty(), resolve)
    }

    /// The place of `target`, made when it is missing.
    pub(super) fn place(&self, target: &Path, kind: Kind, links: Links) -> Result<OwnedFd, SetupFailure> {
        // Most directories of the root are made here, and the root itself is surely the sandbox's own.
        if kind == Kind::Directory && target.parent() == Some(Path::new("/")) {
            match target.file_name().map(|name| mkdirat(&self.mount, name, Mode::from_raw_mode(0o755))) {
                None | Some(Ok(()) | Err(Errno::EXIST)) => {}
                Some(error) => error.or_fail("mounts", || format!("creating {}", target.display()))?,
            }
        }
        match self.find(target, links) {
            Ok(place) => Ok(place),
            Err(Errno::NOENT) => self.make(target, kind, links),
            Err(Errno::LOOP) if links != Links::Follow => refused(
                "mounts",
                format!("{} is reached through a symbolic link; name the path that it leads to", target.display()),
            ),
            Err(error) => Err(error).or_fail("mounts", || format!("target {}", target.display())),
        }
    }

    /// A new symbolic link in the sandbox's own tree.
    pub(super) fn symlink(&self, content: &Path, target: &Path) -> Result<(), SetupFailure> {
        let (parent, name) = self.parent(target)?;
        rustix::fs::symlinkat(content, &parent, name)
            .or_fail("mounts", || format!("symbolic link {}", target.display()))
    }

    /// The directory in which `target` is to be made, one of the sandbox's own, and the last component.
    pub(super) fn parent<'t>(&self, target: &'t Path) -> Result<(OwnedFd, &'t std::ffi::OsStr), SetupFailure> {
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return refused("mounts", format!("{} has no parent", target.display()));
        };
        let place = self.place(parent, Kind::Directory, Links::Follow)?;
        self.require_own(&place, parent, target)?;
        Ok((place, name))
    }

    fn make(&self, target: &Path, kind: Kind, links: Links) -> Result<OwnedFd, SetupFailure> {
        let about = || format!("creating {}", target.display());
        let (mut place, existing) = self.deepest(target, links)?;
        self.require_own(&place, &existing, target)?;
        let missing = target.strip_prefix(&existing).or_fail("mounts", about)?;
        let mut names = missing.iter().peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() && kind == Kind::File {
                let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                openat(&place, name, create, Mode::from_raw_mode(0o444)).or_fail("mounts", about)?;
            } else {
                mkdirat(&place, name, Mode::from_raw_mode(0o755)).or_fail("mounts", about)?;
            }
            place = openat(&place, name, PLACE | OFlags::NOFOLLOW, Mode::empty()).or_fail("mounts", about)?;
        }
        Ok(place)
    }

    // The nearest ancestor that exists; the root always does.
    fn deepest(&self, target: &Path, links: Links) -> Result<(OwnedFd, PathBuf), SetupFailure> {
        for ancestor in target.ancestors().skip(1) {
            match self.find(ancestor, links) {
                Ok(place) => return Ok((place, ancestor.to_owned())),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error).or_fail("mounts", || format!("target {}", ancestor.display())),
            }
        }
        refused("mounts", format!("{}: not an absolute path", target.display()))
    }

    /// Refuses to make `target` in a file system of the machine.
    pub(super) fn require_own(&self, place: &OwnedFd, existing: &Path, target: &Path) -> Result<(), SetupFailure> {
        if self.own.contains(&device(place.as_fd(), existing)?) {
            return Ok(());
        }
        refused(
            "mounts",
            format!(
                "{} does not exist, and {} is the machine's: create it there first",
                target.display(),
                existing.display()
            ),
        )
    }
}

/// Whether what `fd` refers to is a directory.
pub(super) fn kind_of(fd: &OwnedFd, path: &Path) -> Result<Kind, SetupFailure> {
    let status = rustix::fs::fstat(fd).or_fail("mounts", || format!("{}", path.display()))?;
    let directory = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
    Ok(if directory { Kind::Directory } else { Kind::File })
}

// Each file system in memory has a device number of its own, so this tells the sandbox's apart from all others.
fn device(fd: BorrowedFd<'_>, path: &Path) -> Result<u64, SetupFailure> {
    Ok(rustix::fs::fstat(fd).or_fail("mounts", || format!("{}", path.display()))?.st_dev)
}
