//! The walk over the declared paths of the live machine: what is there, by status alone, in the manifest's order.
//!
//! Nothing is opened but directories. Links are recorded and not followed, mounts are recorded and not crossed, and a
//! name that vanishes between listing and looking makes its directory be listed again. What is held are the names of the
//! directories on the way down, never the whole tree.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use updates_protocol::DeclaredPath;

use super::error::StateError;
use super::survey::{Found, Territory, What, is_link, is_other_mount, status};
use crate::fs::{IoContext, Kind, Names, Root, Status, is_absence};

/// How often one directory is listed anew because a name of it has vanished.
const RELISTS: usize = 64;

/// So many directories on the way down are kept open; those above are opened again when the walk is back.
const HELD: usize = 16;

/// The longest path that is walked, in bytes: sixteen times what a system call takes, so that no honest tree meets it, and
/// short enough that a tree made to be deep costs little time and memory.
const MAX_PATH: usize = 64 << 10;

/// A walk on its way.
pub(super) struct Walk<'a> {
    territory: &'a Territory,
    root: &'a Root,
    /// Declared paths that are still to come, the next one last.
    coming: Vec<&'a DeclaredPath>,
    /// Trees being walked: one, and above it one that lies in a place that was left out of it.
    trees: Vec<Tree<'a>>,
}

struct Tree<'a> {
    declared: &'a DeclaredPath,
    top: Status,
    frames: Vec<Frame>,
    /// A directory that was reported last and is listed next.
    enter: Option<PathBuf>,
    /// Found already, and reported after another tree.
    held: Option<Found>,
}

/// A directory whose names are being looked at.
struct Frame {
    path: PathBuf,
    directory: Option<OwnedFd>,
    names: Names,
    next: usize,
    relists: usize,
}

impl<'a> Walk<'a> {
    pub fn new(territory: &'a Territory, root: &'a Root) -> Self {
        let mut coming: Vec<_> = territory.paths.iter().collect();
        coming.sort_by(|a, b| b.as_path().cmp(a.as_path()));
        Self { territory, root, coming, trees: Vec::new() }
    }

    /// Passes over what is below the directory that was reported last, and only after one was.
    pub fn pass_over(&mut self) {
        if let Some(tree) = self.trees.last_mut() {
            tree.enter = None;
        }
    }

    fn advance(&mut self) -> Result<Option<Found>, StateError> {
        loop {
            let Some(tree) = self.trees.last_mut() else {
                match self.coming.pop() {
                    None => return Ok(None),
                    Some(declared) => match self.begin(declared)? {
                        Some(absent) => return Ok(Some(absent)),
                        None => continue,
                    },
                }
            };
            let found = match tree.held.take() {
                Some(found) => found,
                None => match tree.step(self.root, self.territory)? {
                    Some(found) => found,
                    None => {
                        self.trees.pop();
                        continue;
                    }
                },
            };
            // Declared inside of a place that this tree leaves out: it comes in between.
            if let Some(declared) = self.coming.pop_if(|declared| declared.as_path() < found.path.as_path()) {
                tree.held = Some(found);
                if let Some(absent) = self.begin(declared)? {
                    return Ok(Some(absent));
                }
                continue;
            }
            return Ok(Some(found));
        }
    }

    fn begin(&mut self, declared: &'a DeclaredPath) -> Result<Option<Found>, StateError> {
        let path = declared.as_path().to_owned();
        if self.territory.is_left_out(&path) {
            // It would be writable and not come back.
            return Err(StateError::Reserved(declared.clone()));
        }
        let Some(top) = status(self.root, &path)? else { return Ok(Some(Found { path, what: What::Absent })) };
        let held = Some(Found { path, what: What::Inode(top) });
        self.trees.push(Tree { declared, top, frames: Vec::new(), enter: None, held });
        if top.kind == Kind::Directory
            && let Some(tree) = self.trees.last_mut()
        {
            tree.enter = Some(declared.as_path().to_owned());
        }
        Ok(None)
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Found, StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.advance().transpose()?;
        if found.is_err() {
            (self.trees, self.coming) = (Vec::new(), Vec::new());
        }
        Some(found)
    }
}

impl Tree<'_> {
    fn step(&mut self, root: &Root, territory: &Territory) -> Result<Option<Found>, StateError> {
        if let Some(path) = self.enter.take() {
            if let Some(above) = self.frames.len().checked_sub(HELD).and_then(|at| self.frames.get_mut(at)) {
                above.directory = None;
            }
            self.frames.push(Frame::open(root, path)?);
        }
        loop {
            let Some(frame) = self.frames.last_mut() else { return Ok(None) };
            let Some(name) = frame.names.get(frame.next) else {
                self.frames.pop();
                continue;
            };
            let path = frame.path.join(name);
            if territory.is_left_out(&path) {
                frame.next += 1;
                continue;
            }
            let name = name.to_owned();
            let status = match Status::at(frame.directory(root)?, &name) {
                Err(error) if is_absence(&error) => {
                    frame.list_again(root, &name)?;
                    continue;
                }
                other => other.at("look at", &path)?,
            };
            frame.next += 1;
            if is_other_mount(&self.top, &status) {
                return Ok(Some(Found { path, what: What::Mount }));
            }
            if path.as_os_str().len() > MAX_PATH {
                return Err(StateError::TooDeep(self.declared.clone()));
            }
            if status.kind == Kind::Directory {
                self.enter = Some(path.clone());
            }
            return Ok(Some(Found { path, what: What::Inode(status) }));
        }
    }
}

impl Frame {
    fn open(root: &Root, path: PathBuf) -> Result<Frame, StateError> {
        let directory = open(root, &path)?;
        let names = Names::list(&directory).at("list", &path)?;
        Ok(Frame { path, directory: Some(directory), names, next: 0, relists: 0 })
    }

    fn directory(&mut self, root: &Root) -> Result<BorrowedFd<'_>, StateError> {
        if self.directory.is_none() {
            self.directory = Some(open(root, &self.path)?);
        }
        self.directory.as_ref().map(AsFd::as_fd).ok_or_else(|| StateError::Vanishing(self.path.clone()))
    }

    /// Goes on with what is there now behind `vanished`. A name that has come to stand before it may be the same file
    /// under a new name, and was not looked at: then all is to be walked again.
    fn list_again(&mut self, root: &Root, vanished: &OsStr) -> Result<(), StateError> {
        self.relists += 1;
        if self.relists > RELISTS {
            return Err(StateError::Vanishing(self.path.clone()));
        }
        let path = self.path.clone();
        let directory = self.directory(root)?;
        rustix::fs::seek(directory, rustix::fs::SeekFrom::Start(0)).at("list", &path)?;
        let names = Names::list(directory).at("list", &path)?;
        let next = names.position(vanished);
        if !(0..next).filter_map(|at| names.get(at)).all(|name| self.names.contains(name)) {
            return Err(StateError::Vanishing(path));
        }
        (self.names, self.next) = (names, next);
        Ok(())
    }
}

fn open(root: &Root, path: &Path) -> Result<OwnedFd, StateError> {
    match root.readable(path) {
        Err(error) if is_absence(&error) || is_link(&error) => Err(StateError::Vanishing(path.to_owned())),
        other => Ok(other.at("list", path)?),
    }
}
