//! The round trip on real file systems, with the slot on the same one and on another, and what each can refuse:
//! cases/faults.md 12, 13, 17, 20, 36, 40, 41 and 45.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::IFlags;
use updates::state::{Live, RestoreError, Sealed, StateError, Store};

use crate::disk::{Kind, Mount, ground, ground_with};
use crate::ground::{Ground, declared, name, settle};
use crate::scene::{Scene, assert_same, lock};

/// Metadata that not every file system has is set where it can be; what is there afterwards must come back.
fn adorn(ground: &Ground) {
    let at = |path: &str| ground.at("/etc/app").join(path);
    ground.write("/etc/app/adorned/tool", "tool");
    ground.write("/etc/app/adorned/log/old", "old");
    // Version 2 with CAP_NET_BIND_SERVICE permitted and effective; see capabilities(7).
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    drop(xattr::set(at("adorned/tool"), "security.capability", &capability));
    drop(xattr::set(at("adorned/tool"), "trusted.note", b"root alone"));
    drop(xattr::set(at("adorned"), "user.note", &[0xff; 300]));
    for (arguments, path) in [(["-m", "u:77:r--"], "adorned/tool"), (["-dm", "u:77:rwx"], "adorned")] {
        drop(Command::new("setfacl").args(arguments).arg(at(path)).stderr(Stdio::null()).status());
    }
    fs::set_permissions(at("adorned/log"), Permissions::from_mode(0o3775)).unwrap();
    lock(&at("adorned/log/old"), IFlags::APPEND);
    lock(&at("adorned/log"), IFlags::APPEND);
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_234_567_890, 123_456_789);
    File::options().write(true).open(at("adorned/tool")).unwrap().set_modified(time).unwrap();
}

fn spoil(ground: &Ground) {
    let at = |path: &str| ground.at("/etc/app").join(path);
    lock(&at("adorned/log"), IFlags::empty());
    lock(&at("adorned/log/old"), IFlags::empty());
    fs::remove_file(at("adorned/log/old")).unwrap();
    fs::write(at("adorned/log/new"), "new").unwrap();
    lock(&at("adorned/log/new"), IFlags::APPEND);
    lock(&at("adorned/log"), IFlags::APPEND);
    fs::write(at("adorned/tool"), "other").unwrap();
    drop(Command::new("setfacl").args(["-b"]).arg(at("adorned")).stderr(Stdio::null()).status());
    drop(xattr::remove(at("adorned"), "user.note"));
}

#[track_caller]
fn goes_round(ground: Ground, what: &str) {
    adorn(&ground);
    let scene = Scene::on(ground);
    let sparse = fs::metadata(scene.ground.slot().join("files/etc/app/sparse")).unwrap();
    assert!(sparse.blocks() * 512 < sparse.size(), "{what}: the slot has no holes");
    let (scene, _) = scene.disturb();
    spoil(&scene.ground);
    scene.assert_restores(what);
    let sparse = fs::metadata(scene.ground.at("/etc/app/sparse")).unwrap();
    assert!(sparse.blocks() * 512 < sparse.size(), "{what}: the live file has no holes");
    // And once more on top of the first slot.
    let second = scene.ground.seal(&["/etc/app"]);
    second.verify().unwrap();
    let (scene, _) = scene.disturb();
    scene.assert_restores(what);
}

// faults: 36 38 40 41
#[test]
fn everything_comes_back_on_every_file_system() {
    for kind in Kind::ALL {
        if let Some(ground) = ground(kind, None) {
            goes_round(ground, &format!("{kind:?}"));
        }
    }
}

// faults: 36 38 40 41
#[test]
fn everything_comes_back_from_a_slot_on_another_file_system() {
    use Kind::{Btrfs, Ext4, Overlay, Tmpfs, Xfs};
    for (live, kept) in [(Ext4, Xfs), (Xfs, Btrfs), (Btrfs, Ext4), (Overlay, Tmpfs), (Tmpfs, Overlay)] {
        if let Some(ground) = ground(live, Some(kept)) {
            goes_round(ground, &format!("{live:?} with its slot on {kept:?}"));
        }
    }
}

/// Overwrites a file's first block on the disk itself, behind the file system's back, and has the kernel read it again: what a
/// power cut leaves of a write whose data came to the disk, and whose times did not.
fn overwrite_on_disk(ground: &Ground, path: &str, content: &[u8]) {
    let image = ground.folder.path().join("live.image");
    let live = File::open(ground.at(path)).unwrap();
    rustix::fs::syncfs(&live).unwrap();
    let blocks = format!("blocks /machine{path}");
    let told = Command::new("debugfs").args(["-R", &blocks]).arg(&image).output().unwrap();
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let block: u64 = told.split_whitespace().next().and_then(|first| first.parse().ok()).expect(&told);
    let superblock = Command::new("dumpe2fs").arg("-h").arg(&image).output().unwrap();
    let superblock = String::from_utf8_lossy(&superblock.stdout).into_owned();
    let size = superblock.lines().find_map(|line| line.strip_prefix("Block size:")).unwrap();
    let place = block * size.trim().parse::<u64>().unwrap();
    File::options().write(true).open(image).unwrap().write_all_at(content, place).unwrap();
    rustix::fs::fadvise(&live, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

// faults: 8
#[test]
fn after_a_power_cut_content_counts_and_not_what_the_times_of_a_file_say() {
    let Some(ground) = ground(Kind::Ext4, Some(Kind::Ext4)) else { return };
    let old = "old ".repeat(256);
    ground.write("/etc/app/data", &old);
    settle(&ground);
    ground.seal(&["/etc/app"]);
    overwrite_on_disk(&ground, "/etc/app/data", "new ".repeat(256).as_bytes());
    assert!(ground.read("/etc/app/data").starts_with("new "));
    let (machine, backup) = (ground.machine(), ground.load());
    // The same boot would have told of any write.
    assert!(backup.plan(&machine).unwrap().is_empty());
    let plan = backup.plan(Live { by_content: true, ..Live::from(&machine) }).unwrap();
    assert_eq!(plan.differences().len(), 1);
    plan.apply().unwrap();
    assert_eq!(ground.read("/etc/app/data"), old);
}

#[test]
fn large_files_share_their_blocks_where_the_file_system_can() {
    for kind in [Kind::Xfs, Kind::Btrfs] {
        let Some(ground) = ground(kind, None) else { continue };
        ground.write("/etc/app/large", &"x".repeat(1 << 20));
        ground.seal(&["/etc/app"]).verify().unwrap();
        let extents =
            Command::new("filefrag").arg("-v").arg(ground.slot().join("files/etc/app/large")).output().unwrap();
        let extents = String::from_utf8_lossy(&extents.stdout).into_owned();
        assert!(extents.contains("shared"), "{kind:?}: {extents}");
        // A write to the live file leaves the slot alone.
        File::options().write(true).open(ground.at("/etc/app/large")).unwrap().write_at(b"changed", 4096).unwrap();
        ground.load().verify().unwrap();
        ground.restore().unwrap();
        assert_eq!(ground.read("/etc/app/large"), "x".repeat(1 << 20));
    }
}

#[test]
fn a_backup_and_a_restore_of_something_else_leave_access_times_alone() {
    let Some(ground) = ground_with(Kind::Ext4, None, "strictatime", "") else { return };
    ground.write("/etc/app/a", "one");
    ground.write("/etc/app/b", "one");
    let accessed = || fs::metadata(ground.at("/etc/app/a")).unwrap().accessed().unwrap();
    let before = accessed();
    ground.seal(&["/etc/app"]);
    ground.write("/etc/app/b", "two");
    ground.restore().unwrap();
    assert_eq!(accessed(), before);
}

// faults: 45
#[test]
fn a_subvolume_below_a_declared_path_is_part_of_it() {
    let Some(ground) = ground(Kind::Btrfs, None) else { return };
    let subvolume = |action: &str, path: &str| {
        let done = Command::new("btrfs").args(["-q", "subvolume", action]).arg(ground.at(path)).status();
        assert!(done.unwrap().success());
    };
    subvolume("create", "/etc/app/data");
    ground.write("/etc/app/data/deep/x", "one");
    ground.write("/etc/app/data/y", "one");
    let before = ground.observe("/etc/app");
    assert_eq!(ground.seal(&["/etc/app"]).notes().unwrap(), []);
    ground.write("/etc/app/data/deep/x", "two");
    fs::remove_file(ground.at("/etc/app/data/y")).unwrap();
    subvolume("create", "/etc/app/planted");
    ground.write("/etc/app/planted/z", "z");
    ground.restore().unwrap();
    assert_same(&before, &ground.observe("/etc/app"), "changed inside");
    subvolume("delete", "/etc/app/data");
    ground.restore().unwrap();
    assert_same(&before, &ground.observe("/etc/app"), "deleted");
}

/// Takes all room but `left` bytes of the file system that `directory` is on.
fn fill(directory: &Path, left: u64) {
    let filler = File::create(directory.join("filler")).unwrap();
    let have = || rustix::fs::statvfs(directory).map(|space| space.f_bavail * space.f_frsize).unwrap();
    let chunk = vec![1; 64 << 10];
    let mut at = 0;
    while have() > left + (64 << 10) && filler.write_all_at(&chunk, at).is_ok() {
        at += 64 << 10;
        // Delayed allocation tells what it took only then.
        filler.sync_data().ok();
    }
}

// faults: 12
#[test]
fn a_backup_that_does_not_fit_keeps_the_old_slot_on_every_file_system() {
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs, Kind::Tmpfs] {
        let Some(ground) =
            ground_with(Kind::Tmpfs, Some(kind), "size=64M", if kind == Kind::Tmpfs { "size=8M" } else { "rw" })
        else {
            continue;
        };
        ground.write("/etc/app/a", "one");
        let first = ground.seal(&["/etc/app"]).info().checksum;
        fill(ground.store.root(), 2 << 20);
        let room = || rustix::fs::statvfs(ground.store.root()).map(|space| space.f_bavail * space.f_frsize).unwrap();
        for beyond in [1 << 20, 0, -(16 << 10), -(128 << 10), -(512 << 10)] {
            let size = usize::try_from(i64::try_from(room()).unwrap() + beyond).unwrap_or(0);
            fs::write(ground.at("/etc/app/large"), vec![3; size]).unwrap();
            let sealed = ground.try_seal(&["/etc/app"]);
            let backup = ground.load();
            backup.verify().unwrap();
            if let Err(error) = sealed {
                assert_eq!(backup.info().checksum, first, "{kind:?}");
                assert!(error.to_string().contains('/'), "{error}");
            } else {
                // It fits after all; the next shall meet the same room.
                fs::remove_file(ground.at("/etc/app/large")).unwrap();
                break;
            }
        }
    }
}

// faults: 13
#[test]
fn a_restore_on_a_full_file_system_loses_nothing_and_completes_when_there_is_room() {
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs] {
        let Some(ground) = ground(kind, Some(Kind::Tmpfs)) else { continue };
        fs::write(ground.at("/etc/app/large"), vec![3; 8 << 20]).unwrap();
        (0..50).for_each(|number| ground.write(&format!("/etc/app/small{number}"), &"one".repeat(3000)));
        ground.write("/etc/app/kept", "one");
        let before = ground.observe("/etc/app");
        ground.seal(&["/etc/app"]);
        fs::write(ground.at("/etc/app/large"), "small").unwrap();
        (0..50).for_each(|number| ground.write(&format!("/etc/app/small{number}"), "two"));
        let after = ground.observe("/etc/app");
        // Outside of what is declared, so that nothing frees it.
        fill(&ground.at("/etc"), 0);
        let restored = ground.restore();
        assert!(restored.is_err(), "{kind:?}: {restored:?}");
        for (path, found) in ground.observe("/etc/app").iter().filter(|(path, _)| path.is_file()) {
            let temporary = path.to_string_lossy().contains(".updates-restore.");
            let known = [before.get(path), after.get(path)];
            assert!(temporary || known.contains(&Some(found)), "{kind:?}: {}", path.display());
        }
        fs::remove_file(ground.at("/etc/filler")).unwrap();
        ground.restore().unwrap();
        assert_same(&before, &ground.observe("/etc/app"), &format!("{kind:?}"));
    }
}

// faults: 13
#[test]
fn what_a_module_filled_the_disk_with_makes_room_for_what_comes_back() {
    let Some(ground) = ground(Kind::Ext4, Some(Kind::Tmpfs)) else { return };
    fs::write(ground.at("/etc/app/large"), vec![3; 8 << 20]).unwrap();
    let before = ground.observe("/etc/app");
    ground.seal(&["/etc/app"]);
    fs::write(ground.at("/etc/app/large"), "small").unwrap();
    fill(&ground.at("/etc/app"), 0);
    ground.restore().unwrap();
    assert_same(&before, &ground.observe("/etc/app"), "full");
}

// faults: 20
#[test]
fn a_store_out_of_inodes_keeps_the_old_slot_and_a_machine_out_of_them_its_files() {
    let Some(ground) = ground_with(Kind::Tmpfs, Some(Kind::Tmpfs), "nr_inodes=80", "nr_inodes=40") else { return };
    ground.write("/etc/app/a", "one");
    ground.seal(&["/etc/app"]);
    (0..50).for_each(|number| ground.write(&format!("/etc/app/{number}"), "x"));
    let error = ground.try_seal(&["/etc/app"]).unwrap_err();
    assert!(matches!(error, StateError::NoInodes { .. }), "{error}");
    ground.load().verify().unwrap();
    // Now the machine: none is left for a temporary name, and nothing that was added is in the declared path.
    (0..50).for_each(|number| fs::remove_file(ground.at(&format!("/etc/app/{number}"))).unwrap());
    ground.write("/etc/app/a", "two");
    let mut fillers = Vec::new();
    for number in 0.. {
        let path = ground.at(&format!("/etc/filler{number}"));
        if File::create(&path).is_err() {
            break;
        }
        fillers.push(path);
    }
    let restored = ground.restore();
    assert!(restored.is_err(), "{restored:?}");
    assert_eq!(ground.read("/etc/app/a"), "two");
    fillers.iter().for_each(|path| fs::remove_file(path).unwrap());
    ground.restore().unwrap();
    assert_eq!(ground.read("/etc/app/a"), "one");
}

// faults: 17
#[test]
fn a_read_only_store_refuses_a_backup_and_still_gives_its_slot_back() {
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs] {
        let Some(ground) = ground(Kind::Tmpfs, Some(kind)) else { continue };
        ground.write("/etc/app/a", "one");
        ground.seal(&["/etc/app"]);
        ground.store.save_index().unwrap();
        ground.write("/etc/app/a", "two");
        ground.mounts[1].remount("ro");
        let error = ground.try_seal(&["/etc/app"]).unwrap_err();
        assert!(error.to_string().contains("Read-only"), "{kind:?}: {error}");
        let store = Store::open(ground.store.root()).unwrap();
        store.load(&name("app")).unwrap().unwrap().restore(&ground.machine()).unwrap();
        assert_eq!(ground.read("/etc/app/a"), "one");
        ground.mounts[1].remount("rw");
    }
}

// faults: 17
#[test]
fn one_read_only_file_system_among_several_is_said_before_any_change() {
    let Some(ground) = ground(Kind::Tmpfs, Some(Kind::Tmpfs)) else { return };
    let other = Mount::new(Kind::Ext4, &ground.at("/srv/app"), "rw").unwrap();
    ground.write("/srv/app/x", "one");
    ground.write("/etc/app/a", "one");
    let seal = ground.store.begin(&name("app"), &name("app"), "").paths(declared(&["/etc/app", "/srv/app"]));
    seal.seal(&ground.machine()).unwrap().into_backup();
    ground.write("/etc/app/a", "two");
    ground.write("/srv/app/x", "two");
    other.remount("ro");
    let restored = ground.restore();
    assert!(
        matches!(&restored, Err(RestoreError::Refused(error)) if error.to_string().contains("Read-only")),
        "{restored:?}"
    );
    assert_eq!(ground.read("/etc/app/a"), "two");
    other.remount("rw");
    ground.restore().unwrap();
    assert_eq!((ground.read("/etc/app/a"), ground.read("/srv/app/x")), ("one".into(), "one".into()));
}

// faults: 12
#[test]
fn a_slot_in_the_lower_layer_of_an_overlay_is_replaced_and_removed() {
    let ground = Ground::new();
    let at = ground.folder.path().join("kept");
    let begin = |store: &Store| {
        let pending = store.begin(&name("app"), &name("app"), "").paths(declared(&["/etc/app"]));
        pending.seal(&ground.machine()).map(Sealed::into_backup)
    };
    ground.write("/etc/app/a", "one");
    begin(&Store::open(&at.with_extension("lower").join("store")).unwrap()).unwrap();
    let Some(_mount) = Mount::new(Kind::Overlay, &at, "rw") else { return };
    let store = Store::open(&at.join("store")).unwrap();
    ground.write("/etc/app/a", "two");
    begin(&store).unwrap().verify().unwrap();
    ground.write("/etc/app/a", "three");
    store.load(&name("app")).unwrap().unwrap().restore(&ground.machine()).unwrap();
    assert_eq!(ground.read("/etc/app/a"), "two");
    assert!(store.remove(&name("app")).unwrap());
}
