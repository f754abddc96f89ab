//! Filling a slot: each found inode becomes an entry, and its content is linked from the former slot or copied.
//!
//! Links lead from slot to slot only. A link to a live file would be changed by whoever writes to that file in place.

use std::collections::{HashMap, hash_map};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, linkat, mkdirat, openat, symlinkat, unlinkat};
use rustix::io::Errno;

use super::bytes::Bytes;
use super::entry::{Attributes, Entry, Identity, SavedNode};
use super::error::StateError;
use super::manifest::ancestors;
use super::pool::Stop;
use super::slot::Staging;
use super::survey::{Found, TRIES, What};
use crate::fs::{self, Content, Cursor, IoContext, Kind, Node, Root, Status, is_absence};

/// Above so many files to copy, the live file systems are synced as a whole before the copying begins.
pub(super) const MANY: usize = 64;

/// Something that was found, and what a former slot knows of it.
pub(super) struct Job {
    pub found: Found,
    /// The entry of a former slot that has not moved since, and which of the slots.
    pub known: Option<(Entry, usize)>,
    /// Whether it is a further name of an inode whose content is on its way already.
    pub again: bool,
}

/// A job that is done.
pub(super) enum Done {
    /// Its entry, but for the number of its link group, and how much was copied.
    Saved(Entry, u64),
    /// A further name, with its attributes.
    Again(Found, Attributes),
}

/// What one thread saves with: its own open directories.
pub(super) struct Worker<'a> {
    live: Cursor<'a>,
    formers: Vec<(&'a Root, Cursor<'a>)>,
    staged: Cursor<'a>,
    sync_each: bool,
    stop: Stop,
}

impl<'a> Worker<'a> {
    /// `sync_each`: a live file is synced before it is read, so that a later write through a memory map has to fault and
    /// is seen by its ctime.
    pub fn new(live: &'a Root, formers: &'a [Root], staging: &'a Staging, sync_each: bool, stop: &Stop) -> Self {
        let formers = formers.iter().map(|files| (files, Cursor::new(files))).collect();
        let staged = Cursor::new(staging.files());
        Self { live: Cursor::new(live), formers, staged, sync_each, stop: stop.clone() }
    }

    /// Saves one path. The directory above it is there.
    pub fn save(&mut self, job: Job) -> Result<Done, StateError> {
        let Job { found, known, again } = job;
        let path = &found.path;
        let status = match &found.what {
            What::Absent => return Ok(Done::Saved(bare(path, SavedNode::Absent), 0)),
            What::Mount => return Ok(Done::Saved(bare(path, SavedNode::Mount), 0)),
            What::Inode(status) => *status,
        };
        if again {
            let attributes = self.attributes(path, &status, known)?;
            return Ok(Done::Again(found, attributes));
        }
        let node = match status.kind {
            Kind::File => return self.save_file(path, known),
            Kind::Directory => SavedNode::Directory,
            Kind::Symlink => self.save_symlink(path)?,
            kind => SavedNode::Special { kind, number: status.number, link_group: None },
        };
        let attributes = self.attributes(path, &status, known)?;
        Ok(Done::Saved(with(path, node, attributes, &status), 0))
    }

    fn save_symlink(&mut self, path: &Path) -> Result<SavedNode, StateError> {
        let node = self.open(path)?;
        let target = match node.link_target() {
            // It is no link any more.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput || is_absence(&error) => {
                return Err(StateError::Vanishing(path.to_owned()));
            }
            other => other.at("read the link", path)?,
        };
        let (directory, name) = self.staged.parent(path).at("save", path)?;
        symlinkat(target.as_slice(), directory, name).at("save", path)?;
        Ok(SavedNode::Symlink { target: Bytes(target), link_group: None })
    }

    fn save_file(&mut self, path: &Path, known: Option<(Entry, usize)>) -> Result<Done, StateError> {
        if let Some((entry, from)) = known
            && let Some(entry) = self.reuse(path, entry, from)?
        {
            return Ok(Done::Saved(entry, 0));
        }
        let (content, attributes, status) = self.copy(path)?;
        let size = content.size;
        Ok(Done::Saved(with(path, saved_file(content, None), attributes, &status), size))
    }

    /// Links the content of a former slot, whose entry says that the live file is still the same.
    fn reuse(&mut self, path: &Path, mut entry: Entry, from: usize) -> Result<Option<Entry>, StateError> {
        let SavedNode::File { content, link_group } = &mut entry.node else { return Ok(None) };
        let Some((_, cursor)) = self.formers.get_mut(from) else { return Ok(None) };
        let Ok((directory, name)) = cursor.parent(path) else { return Ok(None) };
        // A former slot that lost something is no reason to fail: the live file is there to be read.
        if !Status::at(directory, name).is_ok_and(|saved| saved.kind == Kind::File && saved.size == content.size) {
            return Ok(None);
        }
        let (staged, new) = self.staged.parent(path).at("save", path)?;
        *link_group = None;
        match linkat(directory, name, staged, new, AtFlags::empty()) {
            Ok(()) => Ok(Some(entry)),
            Err(error @ (Errno::NOSPC | Errno::DQUOT)) => Err(error).at("save", path)?,
            // Too many links, another file system, or one without links.
            Err(_) => Ok(None),
        }
    }

    fn copy(&mut self, path: &Path) -> Result<(Content, Attributes, Status), StateError> {
        let node = self.open(path)?;
        for _ in 0..TRIES {
            if node.status().at("look at", path)?.kind != Kind::File {
                return Err(StateError::Vanishing(path.to_owned()));
            }
            let source = node.read().at("read", path)?;
            if self.sync_each {
                sync_data(&source).at("sync", path)?;
            }
            let before = node.status().at("look at", path)?;
            let (directory, name) = self.staged.parent(path).at("save", path)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let target = File::from(openat(directory, name, flags, Mode::from_raw_mode(0o600)).at("save", path)?);
            let copied = fs::copy(&source, &before, &target, || self.stop.is_set());
            let xattrs = node.xattrs().at("read the attributes of", path)?;
            if before.is_unmoved(&node.status().at("look at", path)?) {
                return Ok((copied.at("save", path)?, Attributes::new(&before, xattrs), before));
            }
            unlinkat(directory, name, AtFlags::empty()).at("save", path)?;
        }
        Err(StateError::Changing(path.to_owned()))
    }

    fn attributes(
        &mut self,
        path: &Path,
        status: &Status,
        known: Option<(Entry, usize)>,
    ) -> Result<Attributes, StateError> {
        if let Some(known) = known.and_then(|(entry, _)| entry.attributes) {
            return Ok(known);
        }
        let xattrs = self.open(path)?.xattrs().at("read the attributes of", path)?;
        Ok(Attributes::new(status, xattrs))
    }

    fn open(&mut self, path: &Path) -> Result<Node, StateError> {
        match self.live.parent(path).and_then(|(directory, name)| Node::open(directory, name)) {
            Err(error) if is_absence(&error) => Err(StateError::Vanishing(path.to_owned())),
            other => Ok(other.at("open", path)?),
        }
    }
}

/// An inode with several names.
struct Names {
    first: PathBuf,
    /// Its number in the slot, once it is saved, and the content of a file, which its names share there.
    saved: Option<(u32, Option<Content>)>,
    /// Names that are still to come, if none lies elsewhere.
    left: u32,
}

/// What keeps the order: directories are made before what they hold, and further names after the first.
pub(super) struct Order<'a> {
    staging: &'a Staging,
    staged: Cursor<'a>,
    names: HashMap<(u64, u64), Names>,
    numbers: u32,
    written: Written,
}

/// What is new below the staging's files.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The first of it.
    pub paths: Vec<PathBuf>,
    /// Whether there is more, so that everything has to be synced.
    pub more: bool,
}

impl Written {
    /// Up to how many files and directories are synced one by one; with more, one syncfs(2) is cheaper.
    const FEW: usize = 16;

    fn add(&mut self, path: &Path) {
        if self.paths.len() < Self::FEW { self.paths.push(path.to_owned()) } else { self.more = true }
    }
}

impl<'a> Order<'a> {
    pub fn new(staging: &'a Staging) -> Self {
        let (staged, names) = (Cursor::new(staging.files()), HashMap::new());
        Self { staging, staged, names, numbers: 0, written: Written::default() }
    }

    /// What has to be there before a job is handed to a worker. Says whether it is a further name of one before.
    pub fn prepare(&mut self, found: &Found) -> Result<bool, StateError> {
        let What::Inode(status) = &found.what else { return Ok(false) };
        let path = &found.path;
        match status.kind {
            Kind::Directory if path.parent().is_some() => {
                self.make_room(path)?;
                let (directory, name) = self.staged.parent(path).at("save", path)?;
                mkdirat(directory, name, Mode::RWXU).at("save", path)?;
                self.written.add(path);
            }
            Kind::File | Kind::Symlink => self.make_room(path)?,
            _ => {}
        }
        if status.kind != Kind::File || status.links < 2 {
            return Ok(false);
        }
        match self.names.entry((status.device, status.inode)) {
            hash_map::Entry::Occupied(_) => Ok(true),
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert(Names { first: path.clone(), saved: None, left: status.links });
                Ok(false)
            }
        }
    }

    /// Completes what a worker has done. Comes in the order of the walk.
    pub fn complete(&mut self, done: Done) -> Result<Entry, StateError> {
        match done {
            Done::Saved(mut entry, _) => {
                let Some(seen) = entry.seen.filter(|_| entry.node.link_group_mut().is_some()) else { return Ok(entry) };
                if entry.node.kind() == Some(Kind::File) {
                    self.written.add(&entry.path);
                }
                if seen.links > 1 {
                    let number = self.number(&entry, &seen);
                    entry.node.link_group_mut().map(|group| group.replace(number));
                }
                Ok(entry)
            }
            Done::Again(found, attributes) => {
                let Found { path, what: What::Inode(status) } = found else {
                    return Err(StateError::Vanishing(found.path));
                };
                let inode = (status.device, status.inode);
                // Without a first name it was another inode when it was read.
                let Some(Names { first, saved: Some((number, Some(content))), left }) = self.names.get_mut(&inode)
                else {
                    return Err(StateError::Vanishing(path));
                };
                let (old_directory, old_name) = self.staging.files().parent(first).at("save", &path)?;
                let (directory, name) = self.staged.parent(&path).at("save", &path)?;
                linkat(old_directory, old_name, directory, name, AtFlags::empty()).at("save", &path)?;
                self.written.add(&path);
                let node = saved_file(content.clone(), Some(*number));
                *left = left.saturating_sub(1);
                if *left == 0 {
                    // Every name was seen; nothing has to be remembered of it.
                    self.names.remove(&inode);
                }
                Ok(with(&path, node, attributes, &status))
            }
        }
    }

    /// The number of an inode's names. Of what is no file, each name stands in the slot by itself.
    fn number(&mut self, entry: &Entry, seen: &Identity) -> u32 {
        let (inode, next) = ((seen.device, seen.inode), self.numbers);
        let content = match &entry.node {
            SavedNode::File { content, .. } => Some(content),
            _ => None,
        };
        let fresh = || Names { first: entry.path.clone(), saved: None, left: seen.links };
        let names = self.names.entry(inode).or_insert_with(fresh);
        names.left = names.left.saturating_sub(1);
        let (number, _) = *names.saved.get_or_insert_with(|| (next, content.cloned()));
        if names.left == 0 {
            self.names.remove(&inode);
        }
        if number == next {
            self.numbers = next.saturating_add(1);
        }
        number
    }

    /// What is new, when all is done.
    pub fn written(self) -> Written {
        self.written
    }

    /// Makes the directories above a declared path, which are no entries of their own.
    fn make_room(&mut self, path: &Path) -> Result<(), StateError> {
        let Some(parent) = path.parent() else { return Ok(()) };
        match self.staged.directory(parent) {
            Err(error) if is_absence(&error) => {}
            other => return Ok(other.map(drop).at("save", path)?),
        }
        for above in ancestors(path) {
            let (directory, name) = self.staged.parent(&above).at("save", path)?;
            match mkdirat(directory, name, Mode::RWXU) {
                Err(rustix::io::Errno::EXIST) => {}
                other => {
                    other.at("save", path)?;
                    self.written.add(&above);
                }
            }
        }
        Ok(())
    }
}

/// Writes out what a memory map or a buffered write left. A file system that is read-only has nothing to write.
fn sync_data(file: &File) -> io::Result<()> {
    match rustix::fs::fdatasync(file) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::ROFS) => Ok(()),
        other => Ok(other?),
    }
}

fn saved_file(content: Content, link_group: Option<u32>) -> SavedNode {
    SavedNode::File { content, link_group }
}

fn bare(path: &Path, node: SavedNode) -> Entry {
    Entry { path: path.to_owned(), node, attributes: None, seen: None }
}

fn with(path: &Path, node: SavedNode, attributes: Attributes, status: &Status) -> Entry {
    Entry { path: path.to_owned(), node, attributes: Some(attributes), seen: Some(Identity::of(status)) }
}
