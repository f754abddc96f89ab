//! What the tests of slots share: a machine and a store in a temporary folder, and an observer of a tree that knows
//! nothing of the code under test.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{IFlags, ioctl_getflags};
use updates::config::Machine;
use updates::state::{Backup, RestoreError, Restored, Sealed, StateError, Store};
use updates_protocol::{DeclaredPath, ModuleName};

use crate::disk::Mount;

/// A machine and a store.
///
/// Dropped in this order: the store writes its index, mounts go, and then the folder can be removed.
pub struct Ground {
    pub store: Store,
    pub mounts: Vec<Mount>,
    pub folder: tempfile::TempDir,
}

impl Ground {
    pub fn new() -> Self {
        Self::of(tempfile::tempdir().unwrap())
    }

    /// In memory where that is possible: for tests by the thousand, which ask nothing of a disk.
    pub fn in_memory() -> Self {
        Self::of(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
    }

    pub fn of(folder: tempfile::TempDir) -> Self {
        Self::mounted(folder, Vec::new())
    }

    /// A ground in a folder of which parts are mounts.
    pub fn mounted(folder: tempfile::TempDir, mounts: Vec<Mount>) -> Self {
        fs::create_dir_all(folder.path().join("machine/etc/app")).unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        Self { store, mounts, folder }
    }

    pub fn machine(&self) -> Machine {
        Machine::Root(self.folder.path().join("machine"))
    }

    /// Where a path of the machine lies.
    pub fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join("machine").join(path.trim_start_matches('/'))
    }

    pub fn write(&self, path: &str, content: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), content).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    pub fn slot(&self) -> PathBuf {
        self.store.root().join("app_backup")
    }

    pub fn try_seal(&self, paths: &[&str]) -> Result<Sealed, StateError> {
        self.store.begin(&name("app"), &name("app"), "a test").paths(declared(paths)).seal(&self.machine())
    }

    pub fn seal(&self, paths: &[&str]) -> Backup {
        self.try_seal(paths).unwrap().into_backup()
    }

    pub fn load(&self) -> Backup {
        self.store.load(&name("app")).unwrap().unwrap()
    }

    pub fn restore(&self) -> Result<Restored, RestoreError> {
        self.load().restore(&self.machine())
    }

    pub fn observe(&self, path: &str) -> BTreeMap<PathBuf, String> {
        observe(&self.at(path))
    }
}

pub fn name(text: &str) -> ModuleName {
    text.parse().unwrap()
}

pub fn declared(paths: &[&str]) -> Vec<DeclaredPath> {
    paths.iter().map(|path| DeclaredPath::new(path).unwrap()).collect()
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Gives every file of a tree a change time that lies safely before the next backup, by the file system's own clock.
pub fn settle(ground: &Ground) {
    let probe = ground.folder.path().join("probe");
    let ctime = |path: &Path| fs::metadata(path).map(|m| (m.ctime(), m.ctime_nsec())).unwrap();
    fs::write(&probe, "").unwrap();
    let start = ctime(&probe);
    let ticks = |(seconds, nanoseconds): (i64, i64)| seconds * 1_000_000_000 + nanoseconds;
    while ticks(ctime(&probe)) - ticks(start) < 30_000_000 {
        fs::write(&probe, "").unwrap();
        std::thread::yield_now();
    }
}

/// Everything about a tree but access and inode times, as text by path.
pub fn observe(top: &Path) -> BTreeMap<PathBuf, String> {
    let mut seen = BTreeMap::new();
    let mut inodes = BTreeMap::new();
    look(top, &mut seen, &mut inodes);
    seen
}

fn look(path: &Path, seen: &mut BTreeMap<PathBuf, String>, inodes: &mut BTreeMap<u64, PathBuf>) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    let kind = metadata.file_type();
    let what = if kind.is_file() {
        let first = inodes.entry(metadata.ino()).or_insert_with(|| path.to_owned());
        let content = fs::read(path).unwrap();
        format!("file {} bytes {:?} same as {}", content.len(), &content[..content.len().min(200)], first.display())
    } else if kind.is_symlink() {
        format!("link {:?}", fs::read_link(path).unwrap())
    } else if kind.is_dir() {
        "directory".to_owned()
    } else {
        format!("fifo {} socket {} device {}", kind.is_fifo(), kind.is_socket(), metadata.rdev())
    };
    let mode = if kind.is_symlink() { 0 } else { metadata.mode() };
    let flags = if kind.is_file() || kind.is_dir() { flags(path) } else { IFlags::empty() };
    let mut xattrs: Vec<_> = xattr::list(path).map(Iterator::collect).unwrap_or_default();
    xattrs.sort();
    let xattrs: Vec<_> = xattrs.into_iter().map(|name| (xattr::get(path, &name).unwrap(), name)).collect();
    seen.insert(
        path.to_owned(),
        format!(
            "{what} {mode:o} {}:{} {}.{:09} {xattrs:?} {flags:?}",
            metadata.uid(),
            metadata.gid(),
            metadata.mtime(),
            metadata.mtime_nsec()
        ),
    );
    if kind.is_dir() {
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        for name in names {
            look(&path.join(name), seen, inodes);
        }
    }
}

/// The flags of chattr(1) that a restore answers for; none where the file system has none.
fn flags(path: &Path) -> IFlags {
    let kept = IFlags::IMMUTABLE | IFlags::APPEND | IFlags::NODUMP;
    fs::File::open(path).map_or(IFlags::empty(), |file| ioctl_getflags(file).unwrap_or(IFlags::empty()) & kept)
}
