//! Handing a tree over to another owner, without following a link out of it.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Uid, chownat};

use super::{Kind, Root, Status, is_absence, list};

/// Gives `path` of the tree, and everything below it on the same file system, to user `uid` and group `gid`. What
/// belongs to them already is left as it is, and so is a file with several names: another of them may lie elsewhere.
pub fn give(root: &Root, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let mut pending: Vec<PathBuf> = vec![path.to_owned()];
    let mut mount = None;
    while let Some(path) = pending.pop() {
        let (parent, name) = match root.parent(&path) {
            Err(error) if is_absence(&error) => continue,
            other => other?,
        };
        let status = match Status::at(&parent, name) {
            Err(error) if is_absence(&error) => continue,
            other => other?,
        };
        let elsewhere = *mount.get_or_insert(status.mount) != status.mount;
        if elsewhere || (status.kind != Kind::Directory && status.links > 1) {
            continue;
        }
        if (status.uid, status.gid) != (uid, gid) {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            chownat(&parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if status.kind == Kind::Directory {
            pending.extend(list(root.readable(&path)?)?.into_iter().map(|name| path.join(name)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn a_tree_is_handed_over_without_what_a_link_or_a_second_name_leads_to() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root gives files away");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("state/deep")).unwrap();
        fs::write(at("state/deep/file"), "").unwrap();
        fs::write(at("linked"), "").unwrap();
        fs::write(at("named"), "").unwrap();
        symlink("../linked", at("state/link")).unwrap();
        fs::hard_link(at("named"), at("state/second")).unwrap();
        give(&Root::open(folder.path()).unwrap(), Path::new("/state"), 70_000, 70_001).unwrap();
        let owner = |name: &str| fs::symlink_metadata(at(name)).map(|found| (found.uid(), found.gid())).unwrap();
        for given in ["state", "state/deep", "state/deep/file", "state/link"] {
            assert_eq!(owner(given), (70_000, 70_001), "{given}");
        }
        for kept in ["linked", "named", "state/second"] {
            assert_eq!(owner(kept), (0, 0), "{kept}");
        }
    }
}
