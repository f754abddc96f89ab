//! Builds the module's file tree in an empty root, mount by mount as planned, and makes it the only one.
//!
//! The new root is attached on top of the machine's own `/`. Look-ups that start at `/` don't cross that mount, so the
//! machine stays reachable by its paths until the end, wherever a source lies: nothing covers `/tmp` or any other
//! place while sources are still needed. `seal` then leaves the machine behind.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, unlinkat};
use rustix::io::Errno;
use rustix::mount::{
    MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_change, move_mount,
    open_tree, unmount,
};
use updates_protocol::{Access, Enforcement, Mount, ProtectProc, SetupFailure};

use super::failure::{OrFail, refused};
use super::filesystems::{overlay, tmpfs};
use super::links::follow;
use super::target::{Kind, Links, Root, kind_of};
use crate::kernel::mount_setattr;

pub(super) const HARMLESS: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);
pub(super) const READ_ONLY: MountAttrFlags = HARMLESS.union(MountAttrFlags::MOUNT_ATTR_RDONLY);
const HOMES: [&str; 2] = ["/root", "/home"];
const SCRATCH: &str = ".scratch";
/// What the root's own file system may take, in bytes: planned files, and whatever the module puts into `/dev/shm`.
const ROOT_SIZE: u64 = 64 << 20;

/// A file tree that is being built.
#[derive(Debug)]
#[must_use]
pub(super) struct FileTree {
    pub(super) root: Root,
    scratch: Scratch,
    /// What the module can write that lasts, on the machine.
    writable_sources: Vec<PathBuf>,
    /// Directories that are mounted on themselves.
    pub(super) pinned: Vec<PathBuf>,
    summary: Summary,
}

/// What the finished tree is like.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Summary {
    read_only: usize,
    writable: Vec<PathBuf>,
    private_tmp: bool,
    /// Those that are empty, but for what was declared in them.
    homes: Vec<PathBuf>,
    hidden: usize,
    devices: bool,
    proc: Option<ProtectProc>,
}

impl FileTree {
    /// Applies `mounts` in their order.
    pub(super) fn build(mounts: &[Mount]) -> Result<Self, SetupFailure> {
        // Nothing that is mounted here may show outside, and pivot_root(2) refuses shared mounts.
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .or_fail("mounts", || "making / private (a user namespace without its rights?)".to_owned())?;
        // Not `nodev`, because `/dev` lies in it.
        let mount = tmpfs(ROOT_SIZE, 0o755, MountAttrFlags::MOUNT_ATTR_NOSUID)?;
        move_mount(&mount, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .or_fail("mounts", || "attaching the new root".to_owned())?;
        let (sources, targets) = mounts.iter().filter_map(lasting).unzip();
        let scratch = Scratch::new(&mount)?;
        let root = Root::new(mount, targets)?;
        let (pinned, summary) = (Vec::new(), Summary::default());
        let mut tree = Self { scratch, root, writable_sources: sources, pinned, summary };
        for mount in mounts {
            tree.apply(mount)?;
        }
        Ok(tree)
    }

    fn apply(&mut self, mount: &Mount) -> Result<(), SetupFailure> {
        match mount {
            Mount::Bind { target, access: Access::ReadOnly, .. }
            | Mount::Overlay { target, work: None, .. }
            | Mount::File { target, .. }
            // It covers a directory of which something alone is shown, the supervisor's state among them.
            | Mount::Tmpfs { target, .. }
            | Mount::Inaccessible { target } => self.pin_above(target)?,
            _ => {}
        }
        match mount {
            Mount::Bind { source, target, access } => self.bind(source, target, *access),
            Mount::Overlay { layers, work, target } => {
                match work {
                    Some(_) => self.summary.writable.push(target.clone()),
                    None => self.summary.read_only += 1,
                }
                let place = self.root.place(target, Kind::Directory, Links::Follow)?;
                self.attach(&overlay(layers, work.as_deref())?, &place, target)
            }
            Mount::Symlink { content, target } => self.root.symlink(content, target),
            Mount::Tmpfs { target, size, mode } => {
                self.summary.private_tmp |= target == Path::new("/tmp");
                self.tmpfs(target, *size, *mode)
            }
            Mount::Directory { target } => {
                if HOMES.iter().any(|home| target == Path::new(home)) {
                    self.summary.homes.push(target.clone());
                }
                self.root.place(target, Kind::Directory, Links::Follow).map(drop)
            }
            Mount::File { target, content } => {
                let place = self.root.place(target, Kind::File, Links::Follow)?;
                let file = self.scratch.file(content.as_bytes())?;
                self.attach(&clone_of(&file, READ_ONLY, target)?, &place, target)
            }
            Mount::Inaccessible { target } => {
                self.summary.hidden += 1;
                self.mask(target)
            }
            Mount::Proc { protect } => {
                self.summary.proc = Some(*protect);
                self.mount_proc(*protect)
            }
            Mount::Dev => {
                self.summary.devices = true;
                self.mount_dev()
            }
        }
    }

    fn bind(&mut self, source: &Path, target: &Path, access: Access) -> Result<(), SetupFailure> {
        // A module could have replaced a part of the way by a link, in an earlier run; to something writable another
        // module could have, too.
        let (links, attributes) = match access {
            Access::ReadOnly => (Links::FollowUnplanted, READ_ONLY),
            Access::ReadWrite => (Links::Refuse, HARMLESS),
        };
        let opened = match open_source(source, Links::Refuse) {
            Err(Errno::LOOP) if links == Links::FollowUnplanted => {
                let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                    .or_fail("mounts", || "opening /".to_owned())?;
                follow(root.as_fd(), source, &self.writable_sources)
            }
            opened => opened,
        };
        let opened = opened.map_err(|error| source_failure(source, error))?;
        let place = self.root.place(target, kind_of(&opened, source)?, links)?;
        self.attach(&clone_of(&opened, attributes, source)?, &place, target)?;
        match access {
            Access::ReadOnly => self.summary.read_only += 1,
            Access::ReadWrite => self.summary.writable.push(target.to_owned()),
        }
        Ok(())
    }

    pub(super) fn tmpfs(&mut self, target: &Path, size: u64, mode: u32) -> Result<(), SetupFailure> {
        let place = self.root.place(target, Kind::Directory, Links::Follow)?;
        let mount = tmpfs(size, mode, HARMLESS)?;
        self.attach(&mount, &place, target)?;
        self.root.adopt(&mount, target)
    }

    /// Puts something empty and unreadable over `target`, if that exists.
    pub(super) fn mask(&mut self, target: &Path) -> Result<(), SetupFailure> {
        let place = match self.root.find(target, Links::Follow) {
            Ok(place) => place,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(error) => return Err(error).or_fail("mounts", || format!("hiding {}", target.display())),
        };
        let empty = self.scratch.empty(kind_of(&place, target)?)?;
        let attributes = READ_ONLY.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);
        self.attach(&clone_of(&empty, attributes, target)?, &place, target)
    }

    /// Moves a detached mount to its place.
    pub(super) fn attach(&self, mount: &OwnedFd, place: &OwnedFd, target: &Path) -> Result<(), SetupFailure> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(mount, "", place, "", flags).or_fail("mounts", || format!("mounting {}", target.display()))
    }

    /// Makes the tree the root of this namespace, lets go of the machine's, and takes the right to write to it.
    pub(super) fn seal(self) -> Result<Summary, SetupFailure> {
        self.scratch.remove()?;
        mount_setattr(self.root.as_fd(), MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into(), false)
            .or_fail("mounts", || "making the root read-only".to_owned())?;
        rustix::process::fchdir(self.root.as_fd()).or_fail("mounts", || "entering the new root".to_owned())?;
        // Stacks the old root on top of the new one, as pivot_root(2) describes; taking it off needs no directory.
        match rustix::process::pivot_root(".", ".") {
            Err(Errno::INVAL) => {
                return refused("mounts", "pivot_root is not possible: the root of the runner is no mount (a chroot?)");
            }
            other => other.or_fail("mounts", || "pivot_root".to_owned())?,
        }
        unmount(".", UnmountFlags::DETACH).or_fail("mounts", || "leaving the machine's root".to_owned())?;
        rustix::process::chdir("/").or_fail("mounts", || "entering /".to_owned())?;
        Ok(self.summary)
    }
}

impl Summary {
    pub(super) fn report(&self, enforcement: &mut Enforcement) {
        let writable: Vec<String> = self.writable.iter().map(|path| path.display().to_string()).collect();
        let mut but = if writable.is_empty() { "nothing".to_owned() } else { writable.join(", ") };
        if but.len() > 1000 {
            but = format!("{} paths", writable.len());
        }
        enforcement.enforced("read_only_machine", format!("{} read-only mounts; writable: {but}", self.read_only));
        if self.private_tmp {
            enforcement.enforced("private_tmp", "tmpfs");
        }
        if !self.homes.is_empty() {
            let homes: Vec<String> = self.homes.iter().map(|path| path.display().to_string()).collect();
            enforcement.enforced("protect_home", format!("{} empty but for what is declared", homes.join(" and ")));
        }
        if self.hidden > 0 {
            enforcement.enforced("inaccessible_paths", format!("{} covered", self.hidden));
        }
        if self.devices {
            enforcement.enforced("private_devices", "tmpfs with the harmless devices");
        }
        if let Some(protect) = self.proc {
            enforcement.enforced("private_proc", "of the own pid namespace; kernel settings read-only");
            let hidepid = match protect {
                ProtectProc::Default => return,
                ProtectProc::Noaccess => "hidepid=noaccess",
                ProtectProc::Invisible => "hidepid=invisible",
                ProtectProc::Ptraceable => "hidepid=ptraceable",
            };
            enforcement.enforced("protect_proc", hidepid);
        }
    }
}

/// Opens a path of the machine without following magic links, nor, for something writable, any other link.
pub(super) fn open_source(path: &Path, links: Links) -> Result<OwnedFd, Errno> {
    let resolve = if links == Links::Follow { ResolveFlags::NO_MAGICLINKS } else { ResolveFlags::NO_SYMLINKS };
    openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// What the module can write and what is there when it is gone, as source and target.
pub(super) fn lasting(mount: &Mount) -> Option<(PathBuf, PathBuf)> {
    match mount {
        Mount::Bind { source, target, access: Access::ReadWrite } => Some((source.clone(), target.clone())),
        Mount::Overlay { layers, work: Some(_), target } => Some((layers.first()?.clone(), target.clone())),
        _ => None,
    }
}

pub(super) fn source_failure(path: &Path, error: Errno) -> SetupFailure {
    let reason = match error {
        Errno::LOOP => format!(
            "{} is reached through a symbolic link that a module could have made; name the path that it leads to",
            path.display()
        ),
        error => format!("source {}: {error}", path.display()),
    };
    SetupFailure { step: "mounts".to_owned(), reason }
}

/// A detached copy of the mount at `source` and of everything below it, with `attributes` added to each.
pub(super) fn clone_of(source: &OwnedFd, attributes: MountAttrFlags, path: &Path) -> Result<OwnedFd, SetupFailure> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(source, "", flags).or_fail("mounts", || format!("cloning {}", path.display()))?;
    mount_setattr(tree.as_fd(), attributes.bits().into(), true)
        .or_fail("mounts", || format!("restricting {}", path.display()))?;
    Ok(tree)
}

/// A directory in the new root for files that are bound elsewhere. It is removed before the module starts; the files
/// live on in their mounts.
#[derive(Debug)]
struct Scratch {
    root: OwnedFd,
    directory: OwnedFd,
    names: Vec<(String, Kind)>,
}

impl Scratch {
    fn new(root: &OwnedFd) -> Result<Self, SetupFailure> {
        let about = || "scratch directory".to_owned();
        mkdirat(root, SCRATCH, Mode::from_raw_mode(0o700)).or_fail("mounts", about)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(root, SCRATCH, flags, Mode::empty()).or_fail("mounts", about)?;
        let root = root.try_clone().or_fail("mounts", about)?;
        Ok(Self { root, directory, names: Vec::new() })
    }

    fn file(&mut self, content: &[u8]) -> Result<OwnedFd, SetupFailure> {
        let name = format!("{}", self.names.len());
        self.create(&name, 0o444, content)?;
        self.names.push((name.clone(), Kind::File));
        self.open(&name)
    }

    // One of each kind serves all masks.
    fn empty(&mut self, kind: Kind) -> Result<OwnedFd, SetupFailure> {
        let name = if kind == Kind::File { "file" } else { "directory" };
        if !self.names.iter().any(|(made, _)| made == name) {
            match kind {
                Kind::File => self.create(name, 0, b"")?,
                Kind::Directory => mkdirat(&self.directory, name, Mode::empty())
                    .or_fail("mounts", || "scratch directory".to_owned())?,
            }
            self.names.push((name.to_owned(), kind));
        }
        self.open(name)
    }

    fn create(&self, name: &str, mode: u32, content: &[u8]) -> Result<(), SetupFailure> {
        let about = || "scratch file".to_owned();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = openat(&self.directory, name, flags, Mode::from_raw_mode(mode)).or_fail("mounts", about)?;
        std::io::Write::write_all(&mut std::fs::File::from(file), content).or_fail("mounts", about)
    }

    fn open(&self, name: &str) -> Result<OwnedFd, SetupFailure> {
        openat(&self.directory, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .or_fail("mounts", || "scratch file".to_owned())
    }

    fn remove(&self) -> Result<(), SetupFailure> {
        let about = || "removing the scratch directory".to_owned();
        for (name, kind) in &self.names {
            let flags = if *kind == Kind::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            unlinkat(&self.directory, name.as_str(), flags).or_fail("mounts", about)?;
        }
        unlinkat(&self.root, SCRATCH, AtFlags::REMOVEDIR).or_fail("mounts", about)
    }
}
