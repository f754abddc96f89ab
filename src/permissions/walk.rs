//! The walk over targets, while a module may be changing what is walked over.
//!
//! Everything is reached from a declared path by openat2(2) that crosses neither links nor mounts, and looked at and
//! changed through the one descriptor that was opened: a link or folder swapped in between leads nowhere new. What lies
//! on another mount is not in the module's checkpoint, so it could not be taken back.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::apply::Planned;
use super::scope::top;
use super::{Owners, PermissionError, PermissionTarget, Scope, TargetType};
use crate::fs::{IoContext, Kind, Node, Status, list};

/// Directories below a recursive target are entered this deep at most; each holds a descriptor open.
const DEEPEST: usize = 128;
/// Files and folders that one request looks at.
const MOST: u64 = 1_000_000;
/// Differences that are listed one by one; more are counted.
const LISTED: usize = 1_000;

/// One look at targets, or one change of them.
pub(super) struct Walk<'a> {
    scope: &'a Scope<'a>,
    /// Files with several names: how many there are, and those that were met. Of a change: as the look found them.
    links: HashMap<(u64, u64), Links>,
    change: bool,
    entries: u64,
    /// How many differ, or were changed.
    pub(super) changed: u64,
    pub(super) listed: Vec<Planned>,
}

struct Links {
    count: u32,
    met: HashSet<PathBuf>,
    /// Where one is that differs.
    differs: Option<PathBuf>,
}

/// A target whose names have become numbers.
struct Wanted<'a> {
    target: &'a PermissionTarget,
    uid: u32,
    gid: u32,
}

impl<'a> Walk<'a> {
    /// Looks at all targets and changes nothing. A mistake in any of them is an error.
    pub(super) fn look(scope: &'a Scope<'a>, targets: &[PermissionTarget]) -> Result<Self, PermissionError> {
        let (links, listed) = (HashMap::new(), Vec::new());
        let mut walk = Walk { scope, links, change: false, entries: 0, changed: 0, listed };
        walk.all(targets)?;
        for links in walk.links.values_mut() {
            let elsewhere = u64::from(links.count) > links.met.len() as u64;
            if let Some(path) = links.differs.take_if(|_| elsewhere) {
                return Err(PermissionError::Shared(path));
            }
        }
        Ok(walk)
    }

    /// Changes what differs now. What the look before did not allow is not changed.
    pub(super) fn change(mut self, targets: &[PermissionTarget]) -> Result<Self, PermissionError> {
        self.listed.clear();
        (self.change, self.entries, self.changed) = (true, 0, 0);
        self.all(targets)?;
        Ok(self)
    }

    fn all(&mut self, targets: &[PermissionTarget]) -> Result<(), PermissionError> {
        let owners = Owners::of(self.scope.machine);
        for target in targets {
            let path = target.path.as_path();
            let owner = |source| PermissionError::Owner { path: path.to_owned(), source };
            check_mode(target)?;
            let (uid, gid) = (owners.user(&target.owner).map_err(owner)?, owners.group(&target.group).map_err(owner)?);
            let node = Node::from_descriptor(self.open(target)?);
            let status = node.status().at("look at", path)?;
            check_kind(target, status.kind)?;
            if self.is_closed(path, &status) {
                return Err(PermissionError::Closed(path.to_owned()));
            }
            self.visit(&Wanted { target, uid, gid }, &node, &status, path, 0)?;
        }
        Ok(())
    }

    /// Opens a target from the declared path that it lies in.
    fn open(&self, target: &PermissionTarget) -> Result<OwnedFd, PermissionError> {
        let path = target.path.as_path();
        let holds = |declared: &&updates_protocol::DeclaredPath| target.path.is_within(declared);
        let declared =
            self.scope.declared.iter().filter(holds).max_by_key(|declared| declared.as_path().as_os_str().len());
        let Some(declared) = declared else { return Err(PermissionError::Undeclared(path.to_owned())) };
        let top = top(self.scope.machine);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, top, flags, Mode::empty()).at("open", top)?;
        let start = step(&root, declared.relative(), ResolveFlags::empty()).at("open", path)?;
        match path.strip_prefix(declared.as_path()) {
            Ok(rest) if !rest.as_os_str().is_empty() => Ok(step(&start, rest, ResolveFlags::NO_XDEV).at("open", path)?),
            _ => Ok(start),
        }
    }

    fn visit(
        &mut self,
        wanted: &Wanted<'_>,
        node: &Node,
        status: &Status,
        path: &Path,
        depth: usize,
    ) -> Result<(), PermissionError> {
        self.entries += 1;
        if self.entries > MOST {
            return Err(PermissionError::TooMany { path: wanted.target.path.as_path().to_owned(), most: MOST });
        }
        if Instant::now() >= self.scope.until || (self.scope.is_cancelled)() {
            return Err(PermissionError::OutOfTime(path.to_owned()));
        }
        let differs = wanted.differs(status);
        if status.kind == Kind::File && status.links > 1 {
            self.meet(status, path, differs)?;
        }
        if differs {
            self.changed += 1;
            if self.change {
                put_right(wanted, node, path)?;
            } else if self.listed.len() < LISTED {
                self.listed.push(wanted.planned(status, path));
            }
        }
        if wanted.target.recursive && status.kind == Kind::Directory {
            self.enter(wanted, node, path, depth)?;
        }
        Ok(())
    }

    fn enter(&mut self, wanted: &Wanted<'_>, node: &Node, path: &Path, depth: usize) -> Result<(), PermissionError> {
        if depth >= DEEPEST {
            return Err(PermissionError::TooDeep { path: path.to_owned(), deepest: DEEPEST });
        }
        let names = match node.read().and_then(list) {
            // Removed since it was opened.
            Err(error) if crate::fs::is_absence(&error) => return Ok(()),
            other => other.at("list", path)?,
        };
        for name in names {
            let child = path.join(&name);
            let child_node = match step_to(node, &name) {
                // Gone since it was listed, or another mount.
                Err(Errno::NOENT | Errno::XDEV) => continue,
                other => Node::from_descriptor(other.at("open", &child)?),
            };
            let status = child_node.status().at("look at", &child)?;
            let passed_over = matches!(status.kind, Kind::Symlink | Kind::BlockDevice | Kind::CharDevice);
            if !passed_over && !self.is_closed(&child, &status) {
                self.visit(wanted, &child_node, &status, &child, depth + 1)?;
            }
        }
        Ok(())
    }

    /// A file with several names is changed only if all of them lie within the targets: else it is somebody else's too.
    fn meet(&mut self, status: &Status, path: &Path, differs: bool) -> Result<(), PermissionError> {
        let inode = (status.device, status.inode);
        if self.change {
            let known = self.links.get(&inode);
            let whole = known
                .is_some_and(|links| links.count == status.links && links.met.len() as u64 == u64::from(links.count));
            return if whole || !differs { Ok(()) } else { Err(PermissionError::Shared(path.to_owned())) };
        }
        let links = self.links.entry(inode).or_insert_with(|| Links { count: 0, met: HashSet::new(), differs: None });
        links.count = links.count.max(status.links);
        links.met.insert(path.to_owned());
        if differs {
            links.differs.get_or_insert_with(|| path.to_owned());
        }
        Ok(())
    }

    fn is_closed(&self, path: &Path, status: &Status) -> bool {
        self.scope.closed.holds(path, (status.device, status.inode))
    }
}

fn check_mode(target: &PermissionTarget) -> Result<(), PermissionError> {
    let (path, mode) = (target.path.as_path().to_owned(), target.mode);
    match mode {
        _ if mode > 0o7777 => Err(PermissionError::Mode { path, mode }),
        _ if mode & 0o6000 != 0 => Err(PermissionError::Privileged { path, mode }),
        _ if mode & 0o1000 != 0 && target.recursive => Err(PermissionError::Sticky { path, mode }),
        _ => Ok(()),
    }
}

fn check_kind(target: &PermissionTarget, kind: Kind) -> Result<(), PermissionError> {
    let path = target.path.as_path().to_owned();
    match (target.target_type, kind) {
        (_, Kind::BlockDevice | Kind::CharDevice) => Err(PermissionError::Device(path)),
        (TargetType::File, kind) if kind != Kind::File => Err(PermissionError::Type { path, expected: "file" }),
        (TargetType::Directory, kind) if kind != Kind::Directory => {
            Err(PermissionError::Type { path, expected: "directory" })
        }
        (_, kind) if target.mode & 0o1000 != 0 && kind != Kind::Directory => {
            Err(PermissionError::Sticky { path, mode: target.mode })
        }
        _ => Ok(()),
    }
}

impl Wanted<'_> {
    fn differs(&self, status: &Status) -> bool {
        (status.uid, status.gid, status.mode) != (self.uid, self.gid, self.target.mode)
    }

    fn planned(&self, status: &Status, path: &Path) -> Planned {
        Planned {
            path: path.to_owned(),
            from: format!("{}:{} {:04o}", status.uid, status.gid, status.mode),
            to: format!("{}:{} {:04o}", self.uid, self.gid, self.target.mode),
        }
    }
}

/// The owner first: chown(2) clears the setuid bits that the file may have had, so that they never get a new owner.
fn put_right(wanted: &Wanted<'_>, node: &Node, path: &Path) -> Result<(), PermissionError> {
    node.set_owner(wanted.uid, wanted.gid).at("change the owner of", path)?;
    Ok(node.set_mode(wanted.target.mode).at("change the mode of", path)?)
}

fn step_to(directory: &Node, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(directory, name.as_ref(), flags, ResolveFlags::NO_XDEV)
}

fn step(from: &OwnedFd, path: &Path, further: ResolveFlags) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    open(from, path, OFlags::PATH | OFlags::CLOEXEC, further)
}

fn open(from: impl AsFd, path: &Path, flags: OFlags, further: ResolveFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | further;
    loop {
        match openat2(&from, path, flags, Mode::empty(), resolve) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}
