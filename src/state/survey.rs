//! What is walked, and what is found there: the declared paths, each once, without the supervisor's own places.
//!
//! The walk itself is in `walk.rs`.

use std::io;
use std::path::{Path, PathBuf};

use updates_protocol::DeclaredPath;

use super::error::StateError;
use super::manifest::{Parent, ancestors};
use super::walk::Walk;
use crate::fs::{IoContext, Kind, Node, Root, Status, is_absence};

/// How often a tree is walked, or a file read, before it counts as changing.
pub(super) const TRIES: usize = 3;

/// One path of the walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The path on the machine that modules see.
    pub path: PathBuf,
    /// What is there.
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// Nothing; only declared paths are reported so.
    Absent,
    /// Another file system.
    Mount,
    /// An inode of the tree.
    Inode(Status),
}

/// Where to walk: the declared paths, each once, and what to leave out of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Territory {
    pub paths: Vec<DeclaredPath>,
    pub left_out: Vec<DeclaredPath>,
}

impl Territory {
    /// Drops duplicates and paths that others hold already, and of `left_out` what is not within one of them.
    ///
    /// A path inside of a left-out place that is declared itself is walked: a module's own state lies so.
    pub fn new(mut paths: Vec<DeclaredPath>, mut left_out: Vec<DeclaredPath>) -> Self {
        paths.sort();
        paths.dedup_by(|later, earlier| later.as_path() == earlier.as_path());
        let holds = |outer: &DeclaredPath, inner: &DeclaredPath| {
            outer.as_path() != inner.as_path()
                && inner.is_within(outer)
                && !left_out.iter().any(|out| out.is_within(outer) && inner.is_within(out))
        };
        let kept: Vec<_> =
            paths.iter().filter(|inner| !paths.iter().any(|outer| holds(outer, inner))).cloned().collect();
        left_out.sort();
        left_out.dedup();
        left_out.retain(|out| kept.iter().any(|path| out.is_within(path)));
        Self { paths: kept, left_out }
    }

    /// Walks all of it, as far as it is asked for.
    pub fn survey<'a>(&'a self, root: &'a Root) -> Walk<'a> {
        Walk::new(self, root)
    }

    pub fn is_left_out(&self, path: &Path) -> bool {
        self.left_out.iter().any(|out| out.as_path() == path)
    }

    /// The directories above the declared paths, as they are now.
    pub fn parents(&self, root: &Root) -> Result<Vec<Parent>, StateError> {
        for declared in &self.paths {
            // Where a link leads there, this error says what to declare instead.
            status(root, declared.as_path())?;
        }
        let mut above: Vec<PathBuf> = self.paths.iter().flat_map(|path| ancestors(path.as_path())).collect();
        above.sort_unstable();
        above.dedup();
        above.iter().filter_map(|path| parent(root, path).transpose()).collect()
    }
}

fn parent(root: &Root, path: &Path) -> Result<Option<Parent>, StateError> {
    // Made of a declared path's components, so it is one.
    let Some(declared) = path.to_str().and_then(|text| DeclaredPath::new(text).ok()) else { return Ok(None) };
    let node = match root.parent(path).and_then(|(directory, name)| Node::open(directory, name)) {
        Err(error) if is_absence(&error) => {
            return Ok(Some(Parent { path: declared, owner_and_mode: None, xattrs: Vec::new() }));
        }
        other => other.at("look at", path)?,
    };
    let status = node.status().at("look at", path)?;
    if status.kind != Kind::Directory {
        return Ok(None);
    }
    let attributes = super::entry::Attributes::new(&status, node.xattrs().at("read the attributes of", path)?);
    let owner_and_mode = Some((attributes.uid, attributes.gid, attributes.mode));
    Ok(Some(Parent { path: declared, owner_and_mode, xattrs: attributes.xattrs }))
}

/// The status of a declared path; a symbolic link above it is an error that says what to declare instead.
pub(super) fn status(root: &Root, path: &Path) -> Result<Option<Status>, StateError> {
    match root.status(path) {
        Err(error) if is_link(&error) => Err(match through_link(root, path) {
            Some(error) => error,
            None => StateError::Vanishing(path.to_owned()),
        }),
        other => Ok(other.at("look at", path)?),
    }
}

fn through_link(root: &Root, path: &Path) -> Option<StateError> {
    let link = ancestors(path)
        .into_iter()
        .find(|above| matches!(root.status(above), Ok(Some(status)) if status.kind == Kind::Symlink))?;
    let (directory, name) = root.parent(&link).ok()?;
    let target = Node::open(directory, name).and_then(|node| node.link_target()).ok()?;
    let target = PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(target));
    let rest = path.strip_prefix(&link).ok()?;
    let mut instead = PathBuf::from("/");
    for component in link.parent()?.join(target).join(rest).components() {
        match component {
            std::path::Component::Normal(name) => instead.push(name),
            std::path::Component::ParentDir => {
                instead.pop();
            }
            _ => {}
        }
    }
    Some(StateError::ThroughLink { declared: path.to_owned(), link, instead })
}

pub(super) fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

pub(super) fn is_other_mount(top: &Status, status: &Status) -> bool {
    (top.mount, top.device) != (status.mount, status.device)
        // A btrfs subvolume has a device number of its own and is no mount; where the kernel tells mounts, believe it.
        && (top.mount == 0 || top.mount != status.mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(texts: &[&str]) -> Vec<DeclaredPath> {
        texts.iter().map(|text| DeclaredPath::new(text).unwrap()).collect()
    }

    // faults: 32 33
    #[test]
    fn duplicates_and_nested_paths_are_walked_once() {
        let territory = Territory::new(paths(&["/etc/x", "/etc/", "//etc", "/etcetera", "/etc"]), vec![]);
        let kept: Vec<_> = territory.paths.iter().map(|path| path.as_path().to_str().unwrap()).collect();
        assert_eq!(kept, ["/etc", "/etcetera"]);
    }

    #[test]
    fn a_state_directory_inside_of_a_left_out_place_is_still_walked() {
        let left_out = paths(&["/var/lib/updates", "/var/backups/updates"]);
        let territory = Territory::new(paths(&["/var/lib/updates/state/x", "/var/lib"]), left_out);
        assert_eq!(territory.paths, paths(&["/var/lib", "/var/lib/updates/state/x"]));
        assert_eq!(territory.left_out, paths(&["/var/lib/updates"]));
    }
}
