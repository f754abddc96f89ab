//! A small tree with every kind of entry, the same tree after a module has been at it, and what may be left when a
//! backup or a restore between the two was struck down.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{CWD, FileType, IFlags, Mode, ioctl_getflags, ioctl_setflags, mknodat};
use updates::fs::{Root, remove_all};
use updates::state::Backup;

use crate::ground::{Ground, is_root, name};

/// How many children are struck at the same time.
const THREADS: usize = 2;

/// A ground whose tree is as it was made, with a slot of just that.
pub struct Scene {
    pub ground: Ground,
    pub old: Backup,
    pub before: BTreeMap<PathBuf, String>,
}

impl Scene {
    pub fn new() -> Self {
        Self::on(Ground::in_memory())
    }

    pub fn on(ground: Ground) -> Self {
        furnish(&ground);
        let before = ground.observe("/etc/app");
        let old = ground.seal(&["/etc/app"]);
        Self { ground, old, before }
    }

    /// The tree as a module leaves it; every kind of difference is in it.
    pub fn disturbed() -> (Self, BTreeMap<PathBuf, String>) {
        Self::new().disturb()
    }

    /// Does what a module might do.
    pub fn disturb(self) -> (Self, BTreeMap<PathBuf, String>) {
        let scene = self;
        disturb(&scene.ground);
        let after = scene.ground.observe("/etc/app");
        (scene, after)
    }

    /// The slot is the one that was there or holds what is live now; nothing unfinished stays beside it.
    #[track_caller]
    pub fn assert_old_or_new(&self, what: &str) {
        let ground = &self.ground;
        ground.store.recover().unwrap_or_else(|error| panic!("{what}: {error}"));
        let backup = ground.store.load(&name("app")).unwrap_or_else(|error| panic!("{what}: {error}"));
        let backup = backup.unwrap_or_else(|| panic!("{what}: the slot is gone"));
        backup.verify().unwrap_or_else(|error| panic!("{what}: {error}"));
        if backup.info().checksum != self.old.info().checksum {
            let machine = ground.machine();
            let plan = backup.plan(&machine).unwrap();
            assert!(plan.is_empty(), "{what}: a slot that is neither old nor new: {:?}", plan.differences());
        }
        let names = fs::read_dir(ground.store.root()).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = names.filter(|name| name != "app_backup" && name != "module_backups.json").collect();
        assert!(left.is_empty(), "{what}: {left:?} stays");
    }

    /// Every path is as it was or as the module left it, but for times and attributes on the way.
    #[track_caller]
    pub fn assert_nothing_lost(&self, after: &BTreeMap<PathBuf, String>, what: &str) {
        for (path, found) in self.ground.observe("/etc/app") {
            let temporary = path.to_string_lossy().contains(".updates-restore.");
            let known = [self.before.get(&path), after.get(&path)];
            let same = known.into_iter().flatten().any(|text| held(text) == held(&found));
            assert!(temporary || same, "{what}: {} is {found}, and was {known:?}", path.display());
        }
        for path in self.before.keys().filter(|path| after.contains_key(*path)) {
            assert!(fs::symlink_metadata(path).is_ok(), "{what}: {} is lost", path.display());
        }
    }

    /// A restore now, with nothing in its way, ends with the tree as it was.
    #[track_caller]
    pub fn assert_restores(&self, what: &str) {
        self.ground.restore().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_same(&self.before, &self.ground.observe("/etc/app"), what);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // The temporary folder can't remove what is immutable.
        if let Ok(root) = Root::open(self.ground.folder.path()) {
            drop(remove_all(&root, Path::new("/machine")));
        }
    }
}

/// Kind and content of what an observer saw, without its metadata and the name of its first link.
fn held(text: &str) -> &str {
    text.split_once(" same as").map_or_else(|| text.split(' ').next().unwrap_or(text), |(content, _)| content)
}

#[track_caller]
pub fn assert_same(before: &BTreeMap<PathBuf, String>, after: &BTreeMap<PathBuf, String>, what: &str) {
    let paths = before.keys().chain(after.keys());
    let differing: Vec<_> = paths.filter(|path| before.get(*path) != after.get(*path)).collect();
    let shown = differing.first().map(|path| (path, before.get(*path), after.get(*path)));
    assert!(differing.is_empty(), "{what}: {differing:?} differ, the first: {shown:#?}");
}

/// Runs `case` with 1, 2, 3 and so on until it says that there is no such call, and counts those there were.
pub fn at_each_call(case: impl Fn(usize) -> bool + Sync) -> usize {
    let (next, reached) = (AtomicUsize::new(1), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while case(next.fetch_add(1, Ordering::Relaxed)) {
                    reached.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    reached.into_inner()
}

fn furnish(ground: &Ground) {
    let at = |path: &str| ground.at("/etc/app").join(path);
    for file in ["plain", "same", "gone", "deep/er/file", "becomes-directory", "becomes-link", "locked"] {
        ground.write(&format!("/etc/app/{file}"), file);
    }
    // Large enough for a second read, and to be shared where the file system can.
    fs::write(at("large"), vec![7; 150 << 10]).unwrap();
    let sparse = File::create(at("sparse")).unwrap();
    sparse.write_at(b"data", 1 << 20).unwrap();
    sparse.set_len(4 << 20).unwrap();
    fs::write(at("linked"), "linked").unwrap();
    fs::hard_link(at("linked"), at("linked-again")).unwrap();
    fs::hard_link(at("linked"), at("linked-thrice")).unwrap();
    symlink("plain", at("link")).unwrap();
    fs::create_dir_all(at("empty")).unwrap();
    fs::create_dir_all(at("becomes-file/inside")).unwrap();
    mknodat(CWD, at("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    drop(std::os::unix::net::UnixListener::bind(at("socket")).unwrap());
    fs::set_permissions(at("plain"), Permissions::from_mode(0o4711)).unwrap();
    if is_root() {
        let null = rustix::fs::makedev(1, 3);
        mknodat(CWD, at("null"), FileType::CharacterDevice, Mode::from_raw_mode(0o600), null).unwrap();
        std::os::unix::fs::chown(at("plain"), Some(1234), Some(2345)).unwrap();
        lock(&at("locked"), IFlags::IMMUTABLE);
    }
    // Not every file system that a temporary folder may lie on has them.
    drop(xattr::set(at("same"), "user.note", b"one"));
}

fn disturb(ground: &Ground) {
    let at = |path: &str| ground.at("/etc/app").join(path);
    fs::write(at("plain"), "other").unwrap();
    fs::set_permissions(at("same"), Permissions::from_mode(0o600)).unwrap();
    drop(xattr::set(at("same"), "user.note", b"two"));
    fs::remove_file(at("gone")).unwrap();
    fs::remove_dir_all(at("deep")).unwrap();
    fs::remove_file(at("becomes-directory")).unwrap();
    ground.write("/etc/app/becomes-directory/x", "x");
    fs::remove_file(at("becomes-link")).unwrap();
    symlink("..", at("becomes-link")).unwrap();
    fs::remove_dir_all(at("becomes-file")).unwrap();
    fs::write(at("becomes-file"), "file").unwrap();
    fs::write(at("large"), "small").unwrap();
    File::options().write(true).open(at("sparse")).unwrap().write_at(b"x", 2 << 20).unwrap();
    fs::remove_file(at("linked-again")).unwrap();
    fs::write(at("linked-again"), "linked").unwrap();
    fs::remove_file(at("link")).unwrap();
    fs::remove_file(at("fifo")).unwrap();
    fs::write(at("fifo"), "no pipe").unwrap();
    fs::remove_dir(at("empty")).unwrap();
    ground.write("/etc/app/planted/deep/file", "planted");
    ground.write("/etc/app/planted-file", "planted");
    if is_root() {
        lock(&at("locked"), IFlags::empty());
        fs::write(at("locked"), "changed").unwrap();
        lock(&at("planted-file"), IFlags::IMMUTABLE);
        lock(&at("large"), IFlags::APPEND);
    }
}

/// Sets the flags of chattr(1), where the file system has them.
pub fn lock(path: &Path, flags: IFlags) {
    let file = File::open(path).unwrap();
    if let Ok(before) = ioctl_getflags(&file) {
        let kept = before.difference(IFlags::IMMUTABLE | IFlags::APPEND);
        ioctl_setflags(&file, kept | flags).unwrap();
    }
}
