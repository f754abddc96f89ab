//! Privileges that appeared on files since a slot was made: bits and capabilities that let whoever runs a file be somebody
//! else. They would outlive the sandbox that the module ran in.
//!
//! A second wall: the system call filter refuses to set them. Only what moved since the slot, or since a moment where there
//! is no slot, is opened.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use updates_protocol::DeclaredPath;

use super::backup::{Backup, machine_root};
use super::bytes::Bytes;
use super::entry::{Attributes, Entry};
use super::error::StateError;
use super::survey::{Found, TRIES, Territory, What};
use crate::config::Machine;
use crate::database;
use crate::fs::{self, IoContext, Kind, Node, Root, Status, Time, is_racy};

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
        let began = self.manifest().header.began;
        let territory = self.territory();
        let mut entries = self.entries()?.peekable();
        for found in territory.survey(root) {
            let Found { path, what } = found?;
            while let Some(passed) = entries.next_if(|entry| entry.as_ref().map_or(true, |entry| entry.path < path)) {
                passed?;
            }
            let saved = entries.next_if(|entry| entry.as_ref().is_ok_and(|entry| entry.path == path)).transpose()?;
            let saved = saved.as_ref();
            let What::Inode(status) = what else { continue };
            if status.kind != Kind::File {
                continue;
            }
            if saved.is_some_and(|entry| entry.is_unmoved(&status, began)) {
                continue;
            }
            let saved =
                saved.filter(|entry| is_same_owners(entry, &status)).and_then(|entry| entry.attributes.as_ref());
            if let Some(privilege) = gained(root, &path, &status, saved)? {
                return Ok(Some(Gained { path, privilege }));
            }
        }
        // What the walk leaves out is saved as a database, and has no business with privileges at all.
        let own = self.manifest().header.databases.iter().flat_map(|saved| database::own_files(&saved.database));
        for path in own.map(|own| own.as_path().to_owned()) {
            // Below a planted link lies what is not this module's.
            let status = match root.status(&path) {
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => continue,
                other => other.at("look at", &path)?,
            };
            let Some(status) = status.filter(|status| status.kind == Kind::File) else { continue };
            if let Some(privilege) = gained(root, &path, &status, None)? {
                return Ok(Some(Gained { path, privilege }));
            }
        }
        Ok(None)
    }
}

/// Takes setuid bits, setgid bits and file capabilities off every file below `paths` that changed since `since`, and returns
/// what they were taken off. For paths without a slot, which nothing else puts right.
pub fn take_privileges(
    machine: &Machine,
    paths: &[DeclaredPath],
    since: SystemTime,
) -> Result<Vec<Gained>, StateError> {
    let root = machine_root(machine)?;
    let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let since = Time { seconds: since.as_secs().cast_signed(), nanoseconds: since.subsec_nanos() };
    let mut taken = Vec::new();
    let territory = Territory::new(paths.to_vec(), Vec::new());
    for found in territory.survey(&root) {
        let Found { path, what } = found?;
        let What::Inode(status) = what else { continue };
        // A file may carry a time of just before, by the kernel's coarse clock.
        if status.kind != Kind::File || !is_racy(status.ctime, since) {
            continue;
        }
        if let Some(privilege) = gained(&root, &path, &status, None)? {
            let opened = root.parent(&path).and_then(|(directory, name)| Node::open(directory, name));
            let node = opened.at("open", &path)?;
            // To the same owner: the kernel takes bits and capabilities away with it, see chown(2).
            node.set_owner(status.uid, status.gid).at("take privileges off", &path)?;
            node.set_mode(status.mode & !(SETUID | SETGID)).at("take privileges off", &path)?;
            taken.push(Gained { path, privilege });
        }
    }
    Ok(taken)
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

    #[test]
    fn without_a_slot_privileges_are_taken_off_what_changed_and_nothing_else() {
        let world = World::new();
        // Long enough that the coarse clock of the kernel has moved on.
        let before = fs_time(&world.at("bin/setuid"));
        while fs_time(&world.at("bin/plain")) < before + 0.1 {
            std_fs::write(world.at("bin/plain"), "new").unwrap();
        }
        let later = SystemTime::now();
        mode(&world.at("bin/plain"), 0o6755);
        let machine = Machine::Root(world.root.path().to_owned());
        let paths = [DeclaredPath::new("/srv/app").unwrap()];
        let taken = take_privileges(&machine, &paths, later).unwrap();
        assert_eq!(taken.len(), 1, "{taken:?}");
        assert_eq!(std_fs::metadata(world.at("bin/plain")).unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(std_fs::metadata(world.at("bin/setuid")).unwrap().permissions().mode() & 0o7777, 0o4755);
        let value = [1, 0, 0, 2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        xattr::set(world.at("bin/plain"), "security.capability", &value).unwrap();
        assert_eq!(take_privileges(&machine, &paths, later).unwrap().len(), 1);
        assert!(xattr::get(world.at("bin/plain"), "security.capability").unwrap().is_none());
    }

    fn fs_time(path: &Path) -> f64 {
        use std::os::unix::fs::MetadataExt;
        let found = std_fs::metadata(path).unwrap();
        found.ctime() as f64 + found.ctime_nsec() as f64 / 1e9
    }
}
