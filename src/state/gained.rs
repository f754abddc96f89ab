//! Privileges that appeared on files since a slot was made: bits and capabilities that let whoever runs a file be somebody
//! else. They would outlive the sandbox that the module ran in.
//!
//! A second wall: the system call filter refuses to set them. Only what moved since the slot is opened.

use std::fmt;
use std::path::{Path, PathBuf};

use super::backup::{Backup, machine_root};
use super::bytes::Bytes;
use super::entry::{Attributes, Entry};
use super::error::StateError;
use super::survey::{Found, TRIES, What};
use crate::config::Machine;
use crate::fs::{self, IoContext, Kind, Node, Root, Status};

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
/// Where file capabilities are kept; see capabilities(7).
const CAPABILITIES: &[u8] = b"security.capability";

/// A file that lends a privilege that it did not lend before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gained {
    /// The path on the machine that modules see.
    pub path: PathBuf,
    /// What it lends: `a setuid bit`, `a setgid bit` or `file capabilities`.
    pub privilege: &'static str,
}

impl fmt::Display for Gained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has got {}", self.path.display(), self.privilege)
    }
}

impl Backup {
    /// The first file below the declared paths, in the order of a walk, that lends more than when the slot was made.
    pub fn gained(&self, machine: &Machine) -> Result<Option<Gained>, StateError> {
        let root = machine_root(machine)?;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.look(&root) {
                Err(StateError::Vanishing(_)) if tries < TRIES => {}
                other => return other,
            }
        }
    }

    fn look(&self, root: &Root) -> Result<Option<Gained>, StateError> {
        let manifest = self.manifest();
        for Found { path, what } in self.territory().survey(root, |_| true)? {
            let What::Inode(status) = what else { continue };
            if status.kind != Kind::File {
                continue;
            }
            let saved = manifest.entry(&path);
            if saved.is_some_and(|entry| entry.is_unmoved(&status, manifest.header.began)) {
                continue;
            }
            let saved =
                saved.filter(|entry| is_same_owners(entry, &status)).and_then(|entry| entry.attributes.as_ref());
            if let Some(privilege) = gained(root, &path, &status, saved)? {
                return Ok(Some(Gained { path, privilege }));
            }
        }
        Ok(None)
    }
}

/// A bit means another thing once the file belongs to somebody else.
fn is_same_owners(entry: &Entry, status: &Status) -> bool {
    entry.attributes.as_ref().is_some_and(|saved| (saved.uid, saved.gid) == (status.uid, status.gid))
}

fn gained(
    root: &Root,
    path: &Path,
    status: &Status,
    saved: Option<&Attributes>,
) -> Result<Option<&'static str>, StateError> {
    let new = status.mode & !saved.map_or(0, |saved| saved.mode);
    if new & SETUID != 0 {
        return Ok(Some("a setuid bit"));
    }
    // Without the right to execute for the group the bit means mandatory locking, which Linux no longer has.
    if new & SETGID != 0 && status.mode & 0o010 != 0 {
        return Ok(Some("a setgid bit"));
    }
    let node = match root.parent(path).and_then(|(directory, name)| Node::open(directory, name)) {
        // Gone since the walk: a service that runs may be at work here.
        Err(error) if fs::is_absence(&error) => return Ok(None),
        other => other.at("open", path)?,
    };
    let live = node.xattrs().at("read the attributes of", path)?;
    let Some((_, live)) = live.into_iter().find(|(name, _)| name == CAPABILITIES) else { return Ok(None) };
    let before = saved.and_then(|saved| saved.xattrs.iter().find(|(Bytes(name), _)| name == CAPABILITIES));
    let grew = before.is_none_or(|(_, Bytes(before))| *before != live);
    Ok(grew.then_some("file capabilities"))
}

#[cfg(test)]
mod tests {
    use std::fs as std_fs;
    use std::os::unix::fs::{PermissionsExt, chown};

    use updates_protocol::DeclaredPath;

    use super::super::Store;
    use super::*;

    struct World {
        root: tempfile::TempDir,
        _checkpoints: tempfile::TempDir,
        backup: Backup,
    }

    fn mode(path: &Path, mode: u32) {
        std_fs::set_permissions(path, std_fs::Permissions::from_mode(mode)).unwrap();
    }

    impl World {
        fn new() -> Self {
            let (root, checkpoints) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            std_fs::create_dir_all(root.path().join("srv/app/bin")).unwrap();
            for name in ["plain", "setuid"] {
                std_fs::write(root.path().join("srv/app/bin").join(name), "#!/bin/sh\n").unwrap();
            }
            mode(&root.path().join("srv/app/bin/setuid"), 0o4755);
            let name = "app".parse().unwrap();
            let backup = Store::open(checkpoints.path())
                .unwrap()
                .begin(&name, &name, "")
                .paths([DeclaredPath::new("/srv/app").unwrap()])
                .seal(&Machine::Root(root.path().to_owned()))
                .unwrap()
                .into_backup();
            Self { root, _checkpoints: checkpoints, backup }
        }

        fn at(&self, path: &str) -> PathBuf {
            self.root.path().join("srv/app").join(path)
        }

        fn gained(&self) -> Option<String> {
            let found = self.backup.gained(&Machine::Root(self.root.path().to_owned())).unwrap();
            found.map(|gained| gained.to_string())
        }
    }

    #[test]
    fn what_was_there_before_and_ordinary_changes_are_nothing_new() {
        let world = World::new();
        assert_eq!(world.gained(), None);
        mode(&world.at("bin/plain"), 0o755);
        std_fs::write(world.at("bin/new"), "").unwrap();
        std_fs::create_dir(world.at("shared")).unwrap();
        mode(&world.at("shared"), 0o2775);
        assert_eq!(world.gained(), None);
    }

    #[test]
    fn a_bit_on_a_known_file_is_found() {
        let world = World::new();
        mode(&world.at("bin/plain"), 0o4755);
        assert_eq!(world.gained().unwrap(), "/srv/app/bin/plain has got a setuid bit");
        mode(&world.at("bin/plain"), 0o2755);
        assert_eq!(world.gained().unwrap(), "/srv/app/bin/plain has got a setgid bit");
    }

    #[test]
    fn a_bit_on_a_new_file_deep_in_new_folders_is_found() {
        let world = World::new();
        std_fs::create_dir_all(world.at("a/b/c")).unwrap();
        std_fs::write(world.at("a/b/c/shell"), "").unwrap();
        mode(&world.at("a/b/c/shell"), 0o4711);
        assert_eq!(world.gained().unwrap(), "/srv/app/a/b/c/shell has got a setuid bit");
    }

    #[test]
    fn a_setuid_file_that_comes_to_belong_to_another_lends_something_new() {
        let world = World::new();
        chown(world.at("bin/setuid"), Some(1), Some(1)).unwrap();
        mode(&world.at("bin/setuid"), 0o4755);
        assert_eq!(world.gained().unwrap(), "/srv/app/bin/setuid has got a setuid bit");
    }

    #[test]
    fn file_capabilities_are_found() {
        let world = World::new();
        // cap_setuid+ep, as setcap(8) writes it: VFS_CAP_REVISION_2 with the effective bit, see capabilities(7).
        let value = [1, 0, 0, 2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        xattr::set(world.at("bin/plain"), "security.capability", &value).unwrap();
        assert_eq!(world.gained().unwrap(), "/srv/app/bin/plain has got file capabilities");
    }
}
