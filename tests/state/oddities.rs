//! What servers have and few tests think of: memory maps, loops of links, foreign directories, bind mounts, clocks that
//! lie: cases/faults.md 18, 24, 28, 45, 47 and 50.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use rustix::fs::IFlags;
use updates::state::{Change, Note, Sealed, Store};
use updates_protocol::ModuleName;

use crate::disk::{Kind, ground};
use crate::ground::{Ground, declared, is_root, name};
use crate::scene::{assert_same, lock};

/// A process that holds a shared memory map of a file and writes to it when told.
struct Mapped(Child, BufReader<std::process::ChildStdout>);

impl Mapped {
    fn new(path: &Path) -> Self {
        const PROGRAM: &str = "import mmap, sys
file = open(sys.argv[1], 'r+b')
memory = mmap.mmap(file.fileno(), 0)
for line in sys.stdin:
    memory[0:1] = line[0].encode()
    print(flush=True)
";
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", PROGRAM]).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self(child, output)
    }

    /// Puts a letter at the file's beginning; nothing syncs it.
    fn write(&mut self, letter: char) {
        writeln!(self.0.stdin.as_ref().unwrap(), "{letter}").unwrap();
        self.1.read_line(&mut String::new()).unwrap();
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}

/// Waits until a change now has a later time than one before, by the clock that stamps files, with room.
fn settle(ground: &Ground) {
    let probe = ground.folder.path().join("probe");
    let touched = || {
        fs::write(&probe, "").unwrap();
        let found = fs::metadata(&probe).unwrap();
        found.ctime() * 1_000_000_000 + found.ctime_nsec()
    };
    let start = touched();
    while touched() - start < 40_000_000 {
        std::thread::yield_now();
    }
}

// faults: 23 24
#[test]
fn a_write_through_a_memory_map_is_saved_and_put_back() {
    saves_writes_through_maps(&[Kind::Ext4, Kind::Xfs, Kind::Btrfs, Kind::Overlay]);
}

// faults: 24
#[test]
fn a_write_through_a_memory_map_is_saved_and_put_back_in_memory() {
    saves_writes_through_maps(&[Kind::Tmpfs]);
}

fn saves_writes_through_maps(kinds: &[Kind]) {
    for &kind in kinds {
        let Some(ground) = ground(kind, Some(Kind::Tmpfs)) else { continue };
        let path = ground.at("/etc/app/mapped");
        fs::write(&path, "a".repeat(4096)).unwrap();
        let mut map = Mapped::new(&path);
        map.write('b');
        settle(&ground);
        let saved = || fs::read(ground.slot().join("files/etc/app/mapped")).unwrap()[0];
        for letter in ['b', 'c', 'd'] {
            map.write(letter);
            ground.seal(&["/etc/app"]).verify().unwrap();
            assert_eq!(char::from(saved()), letter, "{kind:?}");
            settle(&ground);
        }
        // A module's own map is seen by the restore likewise.
        ground.seal(&["/etc/app"]);
        settle(&ground);
        map.write('e');
        ground.restore().unwrap();
        assert_eq!(fs::read(&path).unwrap()[0], b'd', "{kind:?}");
    }
}

// faults: 28
#[test]
fn dangling_links_and_loops_are_saved_as_they_are() {
    let ground = Ground::new();
    for (target, link) in
        [("nowhere", "dangling"), ("itself", "itself"), ("b", "a"), ("a", "b"), (".", "here"), ("/", "top")]
    {
        symlink(target, ground.at("/etc/app").join(link)).unwrap();
    }
    symlink("x".repeat(4095), ground.at("/etc/app/long")).unwrap();
    let before = ground.observe("/etc/app");
    ground.seal(&["/etc/app"]).verify().unwrap();
    fs::remove_dir_all(ground.at("/etc/app")).unwrap();
    ground.restore().unwrap();
    assert_same(&before, &ground.observe("/etc/app"), "links");
}

// faults: 18
#[test]
fn what_lies_in_a_read_only_directory_of_somebody_else_is_put_back() {
    let ground = Ground::new();
    if !is_root() {
        return;
    }
    ground.write("/etc/app/theirs/file", "one");
    ground.write("/etc/app/theirs/gone", "one");
    let theirs = |path: &str, mode| {
        std::os::unix::fs::chown(ground.at(path), Some(4321), Some(4321)).unwrap();
        fs::set_permissions(ground.at(path), Permissions::from_mode(mode)).unwrap();
    };
    theirs("/etc/app/theirs/file", 0o400);
    theirs("/etc/app/theirs", 0o555);
    let before = ground.observe("/etc/app");
    ground.seal(&["/etc/app"]);
    fs::write(ground.at("/etc/app/theirs/file"), "two").unwrap();
    fs::remove_file(ground.at("/etc/app/theirs/gone")).unwrap();
    theirs("/etc/app/theirs", 0o000);
    ground.restore().unwrap();
    assert_same(&before, &ground.observe("/etc/app"), "theirs");
}

// faults: 45
#[test]
fn bind_mounts_of_folders_and_files_are_neither_crossed_nor_removed() {
    let ground = Ground::new();
    ground.write("/etc/app/x", "x");
    ground.write("/etc/app/file", "below");
    ground.write("/srv/other/foreign", "foreign");
    fs::create_dir(ground.at("/etc/app/folder")).unwrap();
    let bind = |from: &str, to: &str| {
        Command::new("mount").arg("--bind").args([ground.at(from), ground.at(to)]).status().is_ok_and(|s| s.success())
    };
    let unbind = |path: &str| assert!(Command::new("umount").arg(ground.at(path)).status().unwrap().success());
    if !is_root() || !bind("/srv/other", "/etc/app/folder") {
        return;
    }
    assert!(bind("/srv/other/foreign", "/etc/app/file"));
    let sealed = ground.try_seal(&["/etc/app"]).map(Sealed::into_backup);
    ground.write("/etc/app/x", "changed");
    // A module added this one.
    fs::create_dir_all(ground.at("/etc/app/new/folder")).unwrap();
    assert!(bind("/srv/other", "/etc/app/new/folder"));
    let restored = ground.restore();
    let foreign = ground.read("/srv/other/foreign");
    for path in ["/etc/app/new/folder", "/etc/app/file", "/etc/app/folder"] {
        unbind(path);
    }
    let notes = sealed.unwrap().notes().unwrap();
    assert_eq!(notes, ["/etc/app/file", "/etc/app/folder"].map(|path| Note::Mount(path.into())));
    assert!(restored.is_err(), "a mount in the way of a removal is said");
    assert_eq!((foreign.as_str(), ground.read("/etc/app/x").as_str()), ("foreign", "x"));
    assert_eq!(ground.read("/etc/app/file"), "below");
    // What hid is in nobody's way now.
    ground.restore().unwrap();
    assert!(!ground.at("/etc/app/new").exists());
}

// faults: 47
#[test]
fn a_corrupt_index_loses_no_other_module() {
    let ground = Ground::new();
    ground.write("/etc/app/a", "one");
    let other: ModuleName = name("other");
    ground
        .store
        .begin(&other, &other, "")
        .paths(declared(&["/etc/app"]))
        .seal(&ground.machine())
        .unwrap()
        .into_backup();
    ground.store.save_index().unwrap();
    let index = ground.store.root().join("module_backups.json");
    let text = fs::read_to_string(&index).unwrap();
    for broken in ["", "null", "[1]", &text[..text.len() / 2], &text.replace("files", "felis")] {
        fs::write(&index, broken).unwrap();
        let store = Store::open(ground.store.root()).unwrap();
        // Even without a recovery before it.
        store
            .begin(&name("app"), &name("app"), "")
            .paths(declared(&["/etc/app"]))
            .seal(&ground.machine())
            .unwrap()
            .into_backup();
        drop(store);
        Store::open(ground.store.root()).unwrap().recover().unwrap();
        let index: serde_json::Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
        let names: Vec<_> = index.as_object().unwrap().keys().collect();
        assert_eq!(names, ["app", "other"], "{broken}");
        ground.store.remove(&name("app")).unwrap();
    }
}

// faults: 50
#[test]
fn times_in_the_future_and_before_the_epoch_are_compared_for_equality_alone() {
    let ground = Ground::new();
    let times = [
        SystemTime::now() + Duration::from_secs(400_000_000),
        SystemTime::UNIX_EPOCH - Duration::new(100, 5),
        SystemTime::UNIX_EPOCH,
    ];
    for (number, time) in times.into_iter().enumerate() {
        let path = format!("/etc/app/{number}");
        ground.write(&path, "one");
        File::options().write(true).open(ground.at(&path)).unwrap().set_modified(time).unwrap();
    }
    settle(&ground);
    let before = ground.observe("/etc/app");
    ground.seal(&["/etc/app"]);
    assert!(matches!(ground.try_seal(&["/etc/app"]).unwrap(), Sealed::Reused(_)), "nothing moved");
    for (number, time) in times.into_iter().enumerate() {
        let path = format!("/etc/app/{number}");
        ground.write(&path, "two");
        File::options().write(true).open(ground.at(&path)).unwrap().set_modified(time).unwrap();
    }
    let (backup, machine) = (ground.load(), ground.machine());
    let plan = backup.plan(&machine).unwrap();
    assert!(plan.differences().iter().filter(|difference| difference.change == Change::Content).count() == 3);
    plan.apply().unwrap();
    assert_same(&before, &ground.observe("/etc/app"), "times");
}

// faults: 40
#[test]
fn a_file_put_back_takes_no_flag_from_its_directory() {
    let ground = Ground::in_memory();
    ground.write("/etc/app/a", "one");
    ground.seal(&["/etc/app"]);
    lock(&ground.at("/etc/app"), IFlags::NODUMP);
    let before = ground.observe("/etc/app/a");
    let directory = ground.seal(&["/etc/app"]);
    fs::remove_file(ground.at("/etc/app/a")).unwrap();
    directory.restore(&ground.machine()).unwrap();
    assert_same(&before, &ground.observe("/etc/app/a"), "flags");
}
