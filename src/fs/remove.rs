//! Removing what lies in a tree, without following a link and without reaching into another file system.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use super::{Flags, Kind, Node, Root, Status, is_absence, list};

/// Removes what is at `path` of the tree, with everything below it. Nothing there is no error.
///
/// Immutable and append-only flags are cleared on the way. A mount below is left alone, and the error is then `EBUSY`.
/// The depth is not bounded by the number of descriptors: two are open at a time.
pub fn remove_all(root: &Root, path: &Path) -> io::Result<()> {
    let mut pending = vec![(path.to_owned(), false)];
    let mut mount = None;
    while let Some((path, emptied)) = pending.pop() {
        let (parent, name) = match root.parent(&path) {
            Err(error) if is_absence(&error) => continue,
            other => other?,
        };
        let status = match Status::at(&parent, name) {
            Err(error) if is_absence(&error) => continue,
            other => other?,
        };
        if *mount.get_or_insert(status.mount) != status.mount {
            return Err(Errno::BUSY.into());
        }
        unlock(&parent, name, &status)?;
        let flag = if status.kind == Kind::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        match unlinkat(&parent, name, flag) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) if !emptied => {
                let children = list(root.readable(&path)?)?;
                pending.push((path.clone(), true));
                pending.extend(children.into_iter().map(|name| (path.join(name), false)));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn unlock(parent: &impl std::os::fd::AsFd, name: &std::ffi::OsStr, status: &Status) -> io::Result<()> {
    if status.flags.forbid_changes() && matches!(status.kind, Kind::File | Kind::Directory) {
        Node::open(parent, name)?.set_flags(Flags::default())?;
    }
    Ok(())
}

/// Removes `name` from an open directory, with everything below it.
pub fn remove_all_at(directory: BorrowedFd<'_>, name: &std::ffi::OsStr) -> io::Result<()> {
    let root = Root::from_descriptor(directory.try_clone_to_owned()?, PathBuf::new());
    remove_all(&root, &Path::new("/").join(name))
}
