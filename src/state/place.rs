//! Putting one saved inode in its place: made under a temporary name beside it, given its metadata, renamed over.
//!
//! Nothing is ever written through a live name. What is in the way is unlinked by that rename, be it a FIFO, a device,
//! or a further name of somebody else's file; a directory in the way is swapped out and removed.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, linkat, mkdirat, mknodat, openat, renameat, renameat_with, symlinkat,
    unlinkat,
};
use rustix::io::Errno;
use updates_protocol::ModuleName;

use super::MAX_FAILURES;
use super::entry::{Attributes, Entry, SavedNode};
use super::error::RestoreProblem;
use super::pool;
use crate::fs::{
    Cursor, Flags, IoContext, Kind, Node, PathError, Root, Status, copy_checked, is_absence, remove_all_at, sha256,
};

/// So many files, or bytes of them, are made before they are synced together and renamed; it bounds the memory and the
/// space that a restore takes.
const BATCH: usize = 4096;
const BATCH_BYTES: u64 = 512 << 20;

/// A file that stands under its temporary name.
struct Staged {
    path: PathBuf,
    flags: Flags,
}

/// Puts inodes in their places.
pub(super) struct Placer<'a> {
    root: &'a Root,
    live: Cursor<'a>,
    files: &'a Root,
    slot: &'a ModuleName,
    batch: bool,
    /// Files that are to be made together.
    waiting: Vec<Entry>,
    bytes: u64,
    staged: Vec<Staged>,
    flags: Vec<(PathBuf, Flags)>,
    /// One open directory of each file system that was written to; opened first, so that no error of it is missed.
    written: Vec<(u64, OwnedFd, PathBuf)>,
}

impl<'a> Placer<'a> {
    /// Takes content from `files`. `batch`: many are coming, so sync them together.
    pub fn new(root: &'a Root, files: &'a Root, slot: &'a ModuleName, batch: bool) -> Self {
        let live = Cursor::new(root);
        let (waiting, staged, flags, written) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { root, live, files, slot, batch, waiting, bytes: 0, staged, flags, written }
    }

    /// Puts an entry in its place, whatever is there now. A file may only be there after [`Placer::flush`].
    pub fn place(&mut self, entry: Entry) -> Result<(), PathError> {
        let path = &entry.path;
        let (Some(attributes), Some(_)) = (&entry.attributes, &entry.seen) else { return Ok(()) };
        self.remember_file_system(path)?;
        if let SavedNode::File { content, .. } = &entry.node {
            self.bytes = self.bytes.saturating_add(content.size);
            self.waiting.push(entry);
            if self.batch && self.waiting.len() < BATCH && self.bytes < BATCH_BYTES {
                return Ok(());
            }
            return self.flush().into_iter().next().map_or(Ok(()), Err);
        }
        let temporary = temporary(self.slot, path);
        let (directory, name) = self.live.parent(path).at("open", path)?;
        remove_all_at(directory, temporary.as_ref()).at("clear the way of", path)?;
        let temporary = temporary.as_str();
        match &entry.node {
            SavedNode::Absent | SavedNode::Mount => return Ok(()),
            SavedNode::Directory => {
                mkdirat(directory, temporary, Mode::RWXU).at("create", path)?;
                put(directory, temporary, name, true).at("put back", path)?;
                // A directory of this name may be the one that is held open.
                self.live.forget();
                return Ok(());
            }
            SavedNode::Symlink { target, .. } => {
                symlinkat(target.0.as_slice(), directory, temporary).at("create", path)?;
            }
            SavedNode::Special { kind, number, .. } => {
                let mode = Mode::from_raw_mode(0o600);
                mknodat(directory, temporary, file_type(*kind), mode, *number).at("create", path)?;
            }
            // Made with others, above.
            SavedNode::File { .. } => return Ok(()),
        }
        let node = Node::open(directory, temporary.as_ref()).at("open", path)?;
        set_attributes(&node, attributes, path)?;
        put(directory, temporary, name, false).at("put back", path)
    }

    /// Makes the files that wait, on all processors, under their temporary names.
    fn make(&mut self) -> Vec<PathError> {
        let waiting = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        let next = AtomicUsize::new(0);
        let work = || {
            let (mut live, mut saved) = (Cursor::new(self.root), Cursor::new(self.files));
            let (mut made, mut failures) = (Vec::new(), Vec::new());
            while let Some(entry) = waiting.get(next.fetch_add(1, Ordering::Relaxed)) {
                match make(&mut live, &mut saved, self.slot, entry, !self.batch) {
                    Ok(flags) => made.push(Staged { path: entry.path.clone(), flags }),
                    Err(error) => failures.push(error),
                }
            }
            (made, failures)
        };
        let threads = pool::threads(waiting.len() as u64);
        let parts: Vec<_> = if threads == 1 {
            vec![work()]
        } else {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
            })
        };
        let (made, failures): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        self.staged.extend(made.into_iter().flatten());
        failures.into_iter().flatten().collect()
    }

    /// Makes the files that wait, makes them durable and renames them to their places; says which could not be.
    pub fn flush(&mut self) -> Vec<PathError> {
        let mut failures = self.make();
        let staged = std::mem::take(&mut self.staged);
        if self.batch && !staged.is_empty() {
            // Without their content on disk nothing is renamed: the old files are better than empty new ones.
            if let Err(error) = self.sync_all() {
                failures.push(error);
                return failures;
            }
        }
        for Staged { path, flags } in staged {
            let temporary = temporary(self.slot, &path);
            let put = self.live.parent(&path).and_then(|(directory, name)| put(directory, &temporary, name, false));
            match put.at("put back", &path) {
                Ok(()) if flags != Flags::default() => self.flags.push((path, flags)),
                Ok(()) => {}
                Err(error) => failures.push(error),
            }
        }
        failures
    }

    /// Sets an inode's metadata where it stands.
    pub fn fix(&mut self, entry: &Entry) -> Result<(), PathError> {
        let Some(attributes) = &entry.attributes else { return Ok(()) };
        let path = &entry.path;
        self.remember_file_system(path)?;
        let (directory, name) = self.live.parent(path).at("open", path)?;
        let node = Node::open(directory, name).at("open", path)?;
        let status = node.status().at("look at", path)?;
        if status.flags.forbid_changes() {
            node.set_flags(Flags::default()).at("make changeable", path)?;
        }
        // The access time is the live one's own: nobody wrote it.
        set_attributes(&node, &Attributes { atime: status.atime, ..attributes.clone() }, path)?;
        if matches!(status.kind, Kind::File) && !self.batch {
            rustix::fs::fsync(node.read().at("open", path)?).at("sync", path)?;
        }
        if attributes.flags != Flags::default() || status.flags.nodump {
            self.flags.push((path.clone(), attributes.flags));
        }
        Ok(())
    }

    /// Makes `path` a further name of `first`.
    pub fn link(&mut self, first: &Path, path: &Path) -> Result<(), PathError> {
        self.remember_file_system(path)?;
        let temporary = temporary(self.slot, path);
        let (from, first_name) = self.root.parent(first).at("open", first)?;
        unlock(from.as_fd(), first_name).at("make changeable", first)?;
        let (directory, name) = self.live.parent(path).at("open", path)?;
        remove_all_at(directory, temporary.as_ref()).at("clear the way of", path)?;
        linkat(&from, first_name, directory, temporary.as_str(), AtFlags::empty()).at("link", path)?;
        put(directory, &temporary, name, false).at("put back", path)?;
        // A rename between two names of one inode does nothing, rename(2) says.
        match unlinkat(directory, temporary.as_str(), AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            other => other.at("tidy up beside", path),
        }
    }

    /// Sets the flags that would have stood in the way.
    pub fn set_flags(&mut self, failures: &mut Vec<RestoreProblem>, total: &mut usize) {
        for (path, flags) in std::mem::take(&mut self.flags) {
            let node = self.root.parent(&path).and_then(|(directory, name)| Node::open(directory, name));
            if let Err(error) = node.and_then(|node| node.set_flags(flags)).at("set the flags of", &path) {
                *total += 1;
                if failures.len() < MAX_FAILURES {
                    failures.push(error.into());
                }
            }
        }
    }

    /// Makes everything durable on every file system that was written to.
    pub fn sync_all(&mut self) -> Result<(), PathError> {
        for (_, directory, path) in &self.written {
            rustix::fs::syncfs(directory).at("sync", path)?;
        }
        Ok(())
    }

    fn remember_file_system(&mut self, path: &Path) -> Result<(), PathError> {
        self.remember(path.parent().unwrap_or(Path::new("/")))
    }

    /// Takes note of the file system of a directory that is about to change, for [`Placer::sync_all`].
    pub fn remember(&mut self, path: &Path) -> Result<(), PathError> {
        let directory = self.live.directory(path).at("open", path)?;
        let device = Status::at(directory, "".as_ref()).at("look at", path)?.device;
        if self.written.iter().all(|(known, ..)| *known != device) {
            self.written.push((device, self.root.readable(path).at("open", path)?, path.to_owned()));
        }
        Ok(())
    }
}

/// Makes one file under its temporary name.
fn make(
    live: &mut Cursor<'_>,
    saved: &mut Cursor<'_>,
    slot: &ModuleName,
    entry: &Entry,
    sync: bool,
) -> Result<Flags, PathError> {
    let path = &entry.path;
    let (SavedNode::File { content, .. }, Some(attributes)) = (&entry.node, &entry.attributes) else {
        return Ok(Flags::default());
    };
    let temporary = temporary(slot, path);
    let temporary = temporary.as_str();
    let (directory, _) = live.parent(path).at("open", path)?;
    remove_all_at(directory, temporary.as_ref()).at("clear the way of", path)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = File::from(openat(directory, temporary, flags, Mode::from_raw_mode(0o600)).at("create", path)?);
    let source = saved.parent(path).and_then(|(directory, name)| Node::open(directory, name)?.read());
    copy_checked(&source.at("read the saved", path)?, content, &target).at("write", path)?;
    let node = Node::open(directory, temporary.as_ref()).at("open", path)?;
    set_attributes(&node, attributes, path)?;
    if sync {
        target.sync_all().at("write", path)?;
    }
    Ok(attributes.flags)
}

/// The name under which something is made before it takes its place: the same for the same place each time, so that a
/// repeated restore finds what a killed one left.
pub(super) fn temporary(slot: &ModuleName, path: &Path) -> String {
    let digest = sha256(path.as_os_str().as_bytes());
    format!(".updates-restore.{slot}.{}", &digest[..16])
}

/// Gives an inode its metadata. The kernel clears setuid and capabilities with the owner, and the group bits of the
/// mode are the mask of an ACL: owner, then mode, then extended attributes, and times after all of them.
pub(super) fn set_attributes(node: &Node, attributes: &Attributes, path: &Path) -> Result<(), PathError> {
    let status = node.status().at("look at", path)?;
    // What is made in a directory without dump(8) starts without it as well; the other flags come last.
    if status.flags.nodump && !attributes.flags.nodump {
        node.set_flags(Flags { nodump: false, ..status.flags }).at("set the flags of", path)?;
    }
    if (status.uid, status.gid) != (attributes.uid, attributes.gid) {
        node.set_owner(attributes.uid, attributes.gid).at("set the owner of", path)?;
    }
    if status.kind != Kind::Symlink {
        node.set_mode(attributes.mode).at("set the mode of", path)?;
    }
    node.set_xattrs(&attributes.raw_xattrs()).at("set the attributes of", path)?;
    node.set_times(attributes.atime, attributes.mtime).at("set the times of", path)
}

/// Renames `temporary` over `name`. What is there may be of another type.
pub(super) fn put(
    directory: impl AsFd + Copy,
    temporary: &str,
    name: &std::ffi::OsStr,
    is_directory: bool,
) -> std::io::Result<()> {
    let there = match Status::at(directory, name) {
        Err(error) if is_absence(&error) => return Ok(renameat(directory, temporary, directory, name)?),
        other => other?,
    };
    if there.flags.forbid_changes() {
        unlock(directory, name)?;
    }
    if !is_directory && there.kind != Kind::Directory {
        return Ok(renameat(directory, temporary, directory, name)?);
    }
    match renameat_with(directory, temporary, directory, name, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            remove_all_at(directory.as_fd(), name)?;
            Ok(renameat(directory, temporary, directory, name)?)
        }
        other => {
            other?;
            remove_all_at(directory.as_fd(), temporary.as_ref())
        }
    }
}

fn unlock(directory: impl AsFd, name: &std::ffi::OsStr) -> std::io::Result<()> {
    let node = Node::open(directory, name)?;
    let status = node.status()?;
    if status.flags.forbid_changes() && matches!(status.kind, Kind::File | Kind::Directory) {
        return node.set_flags(Flags::default());
    }
    Ok(())
}

fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::Fifo => FileType::Fifo,
        Kind::Socket => FileType::Socket,
        Kind::CharDevice => FileType::CharacterDevice,
        Kind::BlockDevice => FileType::BlockDevice,
    }
}
