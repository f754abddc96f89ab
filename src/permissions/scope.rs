//! Within which paths, and until when, targets are put right.

use std::path::Path;
use std::time::Instant;

use updates_protocol::DeclaredPath;

use crate::config::Machine;
use crate::fs::{PathError, Root};

/// The bounds of one request.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// Whose files.
    pub machine: &'a Machine,
    /// Each target lies within one of these, and is reached from it without crossing a link or a mount.
    pub declared: &'a [DeclaredPath],
    /// What is left alone inside of them.
    pub closed: &'a Closed,
    /// When to give up.
    pub until: Instant,
    /// Whether nobody wants it any more.
    pub is_cancelled: &'a dyn Fn() -> bool,
}

/// Paths inside of declared ones that are not to be changed, known by name and by inode: a module can rename a folder
/// above one.
#[derive(Debug, Clone, Default)]
pub struct Closed {
    paths: Vec<DeclaredPath>,
    inodes: Vec<(u64, u64)>,
}

impl Closed {
    /// To be called before the module runs. What is not there is known by its name alone.
    pub fn find(machine: &Machine, paths: impl Iterator<Item = DeclaredPath>) -> Result<Self, PathError> {
        let paths: Vec<DeclaredPath> = paths.collect();
        if paths.is_empty() {
            return Ok(Self::default());
        }
        let root = Root::open(top(machine))?;
        let inodes = paths.iter().filter_map(|path| root.status(path.as_path()).ok().flatten());
        let inodes = inodes.map(|status| (status.device, status.inode)).collect();
        Ok(Self { paths, inodes })
    }

    pub(super) fn holds(&self, path: &Path, inode: (u64, u64)) -> bool {
        self.inodes.contains(&inode) || self.paths.iter().any(|closed| path.starts_with(closed.as_path()))
    }
}

pub(super) fn top(machine: &Machine) -> &Path {
    match machine {
        Machine::Host => Path::new("/"),
        Machine::Root(root) => root,
    }
}
