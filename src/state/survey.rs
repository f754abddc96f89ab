//! The walk over the declared paths of the live machine: what is there, by status alone, in the manifest's order.
//!
//! Nothing is opened but directories. Links are recorded and not followed, mounts are recorded and not crossed, and a
//! name that vanishes between listing and looking makes its directory be listed again.

use std::io;
use std::path::{Path, PathBuf};

use updates_protocol::DeclaredPath;

use super::error::StateError;
use super::manifest::{Parent, ancestors};
use crate::fs::{IoContext, Kind, Node, Root, Status, is_absence, list};

/// How often a directory is listed, or a file read, before it counts as changing.
pub(super) const TRIES: usize = 3;

/// The longest path that is walked, in bytes: sixteen times what a system call takes, so that no honest tree meets it, and
/// short enough that a tree made to be deep costs little time and memory.
const MAX_PATH: usize = 64 << 10;

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

    /// Walks all of it. A directory for which `enter` says no is reported but not listed.
    pub fn survey(&self, root: &Root, mut enter: impl FnMut(&Path) -> bool) -> Result<Vec<Found>, StateError> {
        let mut found = Vec::new();
        for declared in &self.paths {
            self.walk(root, declared, &mut enter, &mut found)?;
        }
        if !self.left_out.is_empty() {
            // A declared path inside of a left-out place was walked after its elders.
            found.sort_by(|a, b| a.path.cmp(&b.path));
        }
        Ok(found)
    }

    fn walk(
        &self,
        root: &Root,
        declared: &DeclaredPath,
        enter: &mut impl FnMut(&Path) -> bool,
        found: &mut Vec<Found>,
    ) -> Result<(), StateError> {
        if self.is_left_out(declared.as_path()) {
            // It would be writable and not come back.
            return Err(StateError::Reserved(declared.clone()));
        }
        let Some(top) = status(root, declared.as_path())? else {
            found.push(Found { path: declared.as_path().to_owned(), what: What::Absent });
            return Ok(());
        };
        let mut pending = vec![(declared.as_path().to_owned(), top)];
        while let Some((path, status)) = pending.pop() {
            if is_other_mount(&top, &status) {
                found.push(Found { path, what: What::Mount });
                continue;
            }
            if path.as_os_str().len() > MAX_PATH {
                return Err(StateError::TooDeep(declared.clone()));
            }
            if status.kind == Kind::Directory && enter(&path) {
                pending.extend(self.children(root, &path)?.into_iter().rev());
            }
            found.push(Found { path, what: What::Inode(status) });
        }
        Ok(())
    }

    fn children(&self, root: &Root, path: &Path) -> Result<Vec<(PathBuf, Status)>, StateError> {
        let directory = match root.readable(path) {
            Err(error) if is_absence(&error) || is_link(&error) => return Err(StateError::Vanishing(path.to_owned())),
            other => other.at("list", path)?,
        };
        'again: for _ in 0..TRIES {
            rustix::fs::seek(&directory, rustix::fs::SeekFrom::Start(0)).at("list", path)?;
            let names = list(&directory).at("list", path)?;
            let mut children = Vec::with_capacity(names.len());
            for name in names {
                let child = path.join(&name);
                if self.is_left_out(&child) {
                    continue;
                }
                match Status::at(&directory, &name) {
                    Err(error) if is_absence(&error) => continue 'again,
                    other => children.push((child, other.at("look at", &path.join(&name))?)),
                }
            }
            return Ok(children);
        }
        Err(StateError::Vanishing(path.to_owned()))
    }

    fn is_left_out(&self, path: &Path) -> bool {
        self.left_out.iter().any(|out| out.as_path() == path)
    }

    /// The directories above the declared paths, as they are now.
    pub fn parents(&self, root: &Root) -> Result<Vec<Parent>, StateError> {
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
fn status(root: &Root, path: &Path) -> Result<Option<Status>, StateError> {
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

fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

fn is_other_mount(top: &Status, status: &Status) -> bool {
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
