//! Filling a slot: each found inode becomes an entry, and its content is linked from the former slot or copied.
//!
//! Links lead from slot to slot only. A link to a live file would be changed by whoever writes to that file in place.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, linkat, mkdirat, openat, symlinkat, unlinkat};

use super::bytes::Bytes;
use super::entry::{Attributes, Entry, Identity, SavedNode};
use super::error::StateError;
use super::manifest::{Manifest, ancestors};
use super::slot::Staging;
use super::survey::{Found, TRIES, What};
use crate::fs::{self, Content, Cursor, IoContext, Kind, Node, Root, Status, is_absence};

/// Above so many files to copy, the live file systems are synced as a whole before the copying begins.
pub(super) const MANY: usize = 64;

/// The former slot of the same name.
pub(super) struct Former<'a> {
    pub manifest: &'a Manifest,
    pub files: &'a Root,
}

impl Former<'_> {
    /// The entry of a live inode that has not moved since the former slot was made.
    pub fn unmoved(&self, path: &Path, status: &Status) -> Option<&Entry> {
        self.manifest.entry(path).filter(|entry| entry.is_unmoved(status, self.manifest.header.began))
    }
}

/// The first name of an inode that has several.
struct Linked {
    number: u32,
    first: PathBuf,
    content: Content,
}

/// A slot being filled.
pub(super) struct Saver<'a> {
    live: Cursor<'a>,
    former: Option<&'a Former<'a>>,
    linked_from: Option<Cursor<'a>>,
    staging: &'a Staging,
    staged: Cursor<'a>,
    sync_each: bool,
    links: HashMap<(u64, u64), Linked>,
    /// Entries so far.
    pub entries: Vec<Entry>,
    /// What is new below the staging's files.
    pub written: Vec<PathBuf>,
}

impl<'a> Saver<'a> {
    /// Begins with nothing. `sync_each`: a live file is synced before it is read, so that a later write through a
    /// memory map has to fault and is seen by its ctime.
    pub fn new(live: &'a Root, former: Option<&'a Former<'a>>, staging: &'a Staging, sync_each: bool) -> Self {
        Self {
            live: Cursor::new(live),
            former,
            linked_from: former.map(|former| Cursor::new(former.files)),
            staging,
            staged: Cursor::new(staging.files()),
            sync_each,
            links: HashMap::new(),
            entries: Vec::new(),
            written: Vec::new(),
        }
    }

    /// Saves one path. Paths come in the order of the walk.
    pub fn save(&mut self, found: &Found) -> Result<(), StateError> {
        let path = &found.path;
        let entry = match &found.what {
            What::Absent => bare(path, SavedNode::Absent),
            What::Mount => bare(path, SavedNode::Mount),
            What::Inode(status) => match status.kind {
                Kind::File => self.save_file(path, status)?,
                Kind::Directory => self.save_directory(path, status)?,
                Kind::Symlink => self.save_symlink(path, status)?,
                kind => {
                    let node = SavedNode::Special { kind, number: status.number };
                    let attributes = self.attributes(path, status)?;
                    with(path, node, attributes, status)
                }
            },
        };
        self.entries.push(entry);
        Ok(())
    }

    fn save_directory(&mut self, path: &Path, status: &Status) -> Result<Entry, StateError> {
        let attributes = self.attributes(path, status)?;
        if path.parent().is_some() {
            self.make_room(path)?;
            let (directory, name) = self.staged.parent(path).at("save", path)?;
            mkdirat(directory, name, Mode::RWXU).at("save", path)?;
            self.written.push(path.to_owned());
        }
        Ok(with(path, SavedNode::Directory, attributes, status))
    }

    fn save_symlink(&mut self, path: &Path, status: &Status) -> Result<Entry, StateError> {
        let node = self.open(path)?;
        let target = match node.link_target() {
            // It is no link any more.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput || is_absence(&error) => {
                return Err(StateError::Vanishing(path.to_owned()));
            }
            other => other.at("read the link", path)?,
        };
        let attributes = self.attributes(path, status)?;
        self.make_room(path)?;
        let (directory, name) = self.staged.parent(path).at("save", path)?;
        symlinkat(target.as_slice(), directory, name).at("save", path)?;
        Ok(with(path, SavedNode::Symlink { target: Bytes(target) }, attributes, status))
    }

    fn save_file(&mut self, path: &Path, status: &Status) -> Result<Entry, StateError> {
        self.make_room(path)?;
        let inode = (status.device, status.inode);
        if status.links > 1
            && let Some(linked) = self.links.get(&inode)
        {
            let (first, node) = (linked.first.clone(), saved_file(linked.content.clone(), Some(linked.number)));
            let attributes = self.attributes(path, status)?;
            link(self.staging.files(), &first, &mut self.staged, path).at("save", path)?;
            self.written.push(path.to_owned());
            return Ok(with(path, node, attributes, status));
        }
        let (content, attributes, status) = match self.reuse(path, status)? {
            Some((content, attributes)) => (content, attributes, *status),
            None => self.copy(path)?,
        };
        self.written.push(path.to_owned());
        let mut group = None;
        if status.links > 1 {
            let number = u32::try_from(self.links.len()).unwrap_or(u32::MAX);
            group = Some(number);
            let linked = Linked { number, first: path.to_owned(), content: content.clone() };
            self.links.insert((status.device, status.inode), linked);
        }
        Ok(with(path, saved_file(content, group), attributes, &status))
    }

    /// Links the content of the former slot if the live file is still the same.
    fn reuse(&mut self, path: &Path, status: &Status) -> Result<Option<(Content, Attributes)>, StateError> {
        let Some(former) = self.former else { return Ok(None) };
        let Some(entry) = former.unmoved(path, status) else { return Ok(None) };
        let (SavedNode::File { content, .. }, Some(attributes)) = (&entry.node, &entry.attributes) else {
            return Ok(None);
        };
        let Some(cursor) = &mut self.linked_from else { return Ok(None) };
        let saved = cursor.parent(path).and_then(|(directory, name)| Status::at(directory, name));
        // A former slot that lost something is no reason to fail: the live file is there to be read.
        if !saved.is_ok_and(|saved| saved.kind == Kind::File && saved.size == content.size) {
            return Ok(None);
        }
        match link(former.files, path, &mut self.staged, path) {
            Ok(()) => Ok(Some((content.clone(), attributes.clone()))),
            // Too many links, or a file system without them.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(error).at("save", path)?,
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
            let copied = fs::copy(&source, &before, &target);
            let xattrs = node.xattrs().at("read the attributes of", path)?;
            if before.is_unmoved(&node.status().at("look at", path)?) {
                return Ok((copied.at("save", path)?, Attributes::new(&before, xattrs), before));
            }
            unlinkat(directory, name, AtFlags::empty()).at("save", path)?;
        }
        Err(StateError::Changing(path.to_owned()))
    }

    fn attributes(&mut self, path: &Path, status: &Status) -> Result<Attributes, StateError> {
        let known =
            self.former.and_then(|former| former.unmoved(path, status)).and_then(|entry| entry.attributes.clone());
        if let Some(known) = known {
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
                    self.written.push(above);
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

fn link(from: &Root, old: &Path, to: &mut Cursor<'_>, new: &Path) -> io::Result<()> {
    let (old_directory, old_name) = from.parent(old)?;
    let (new_directory, new_name) = to.parent(new)?;
    Ok(linkat(old_directory, old_name, new_directory, new_name, AtFlags::empty())?)
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
