//! Slots: kept when nothing moved, refused when anything is wrong, rebuilt, removed and settled: cases/faults.md 3, 4,
//! 9, 12, 17, 34 and 47 to 51.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use updates::state::{Damage, RestoreError, Sealed, StateError, Store};

use crate::ground::{Ground, is_root, name, settle};

#[test]
fn an_unchanged_tree_keeps_its_slot_untouched() {
    let ground = Ground::new();
    ground.write("/etc/app/a", "one");
    settle(&ground);
    let first = ground.seal(&["/etc/app"]);
    let inode = fs::metadata(ground.slot()).unwrap().ino();
    let second = ground.try_seal(&["/etc/app/", "/etc/app/a"]).unwrap();
    assert!(matches!(&second, Sealed::Written(..)), "another declaration is another slot");
    let third = ground.try_seal(&["/etc/app/"]).unwrap();
    assert!(matches!(&third, Sealed::Reused(_)));
    assert_ne!(fs::metadata(ground.slot()).unwrap().ino(), inode);
    assert_ne!(first.info().checksum, third.into_backup().info().checksum);
}

#[test]
fn unchanged_content_is_linked_from_the_former_slot_and_changed_content_copied() {
    let ground = Ground::new();
    ground.write("/etc/app/same", "same");
    ground.write("/etc/app/other", "one");
    settle(&ground);
    ground.seal(&["/etc/app"]);
    let inode = |name: &str| fs::metadata(ground.slot().join("files/etc/app").join(name)).unwrap().ino();
    let before = (inode("same"), inode("other"));
    ground.write("/etc/app/other", "two");
    assert!(matches!(ground.try_seal(&["/etc/app"]).unwrap(), Sealed::Written(..)));
    assert_eq!(inode("same"), before.0);
    assert_ne!(inode("other"), before.1);
    assert_ne!(inode("same"), fs::metadata(ground.at("/etc/app/same")).unwrap().ino(), "never live to slot");
    ground.load().verify().unwrap();
}

#[test]
fn a_slot_is_plain_files_and_an_index_in_the_shape_of_the_original() {
    let ground = Ground::new();
    ground.write("/etc/app/a", "one");
    let backup = ground.seal(&["/etc/app/"]);
    assert_eq!(fs::read_to_string(ground.slot().join("files/etc/app/a")).unwrap(), "one");
    assert_eq!(fs::metadata(ground.slot()).unwrap().permissions().mode() & 0o7777, 0o700);
    ground.store.save_index().unwrap();
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(ground.store.root().join("module_backups.json")).unwrap()).unwrap();
    let entry = &index["app"];
    assert_eq!(entry["module_name"], "app");
    assert_eq!(entry["description"], "a test");
    assert_eq!(entry["files"], serde_json::json!(["/etc/app/"]));
    assert_eq!(entry["services"], serde_json::json!([]));
    assert_eq!(entry["databases"], serde_json::json!([]));
    assert_eq!(entry["backup_dir"], ground.slot().to_str().unwrap());
    assert_eq!(entry["checksum"], backup.info().checksum);
    let manifest = fs::read(ground.slot().join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["format"], updates::state::FORMAT);
    assert_eq!(manifest["entries"][1]["path"], "/etc/app/a");
}

// faults: 48 49 51
#[test]
fn a_damaged_slot_is_refused_before_the_first_live_write() {
    type Harm = (fn(&Ground), fn(&Damage) -> bool);
    let manifest = |ground: &Ground| ground.slot().join("manifest.json");
    let harms: [Harm; 9] = [
        (|g| edit(g, |bytes| bytes.truncate(bytes.len() / 2)), |d| matches!(d, Damage::Truncated)),
        (|g| edit(g, |bytes| bytes.clear()), |d| matches!(d, Damage::Truncated)),
        (|g| edit(g, |bytes| bytes[80] ^= 1), |d| matches!(d, Damage::Checksum)),
        (|g| edit(g, |bytes| bytes[10] = b'9'), |d| matches!(d, Damage::NewerFormat(9))),
        (|g| fs::remove_file(g.slot().join("manifest.json")).unwrap(), |d| matches!(d, Damage::NoManifest)),
        (|g| fs::write(g.slot().join("files/etc/app/a"), "onf").unwrap(), |d| matches!(d, Damage::Differs(_))),
        (|g| fs::remove_file(g.slot().join("files/etc/app/a")).unwrap(), |d| matches!(d, Damage::Missing(_))),
        (|g| fs::write(g.slot().join("files/etc/app/extra"), "").unwrap(), |d| matches!(d, Damage::Extra(_))),
        (
            |g| {
                fs::rename(g.slot(), g.folder.path().join("moved")).unwrap();
                symlink(g.folder.path().join("moved"), g.slot()).unwrap();
            },
            |d| matches!(d, Damage::NotADirectory),
        ),
    ];
    for (number, (harm, expected)) in harms.into_iter().enumerate() {
        let ground = Ground::new();
        ground.write("/etc/app/a", "one");
        ground.seal(&["/etc/app"]);
        assert_eq!(fs::read(manifest(&ground)).unwrap()[10], b'2');
        ground.write("/etc/app/a", "changed");
        ground.write("/etc/app/new", "new");
        harm(&ground);
        let before = ground.observe("/etc/app");
        let error = match ground.store.load(&name("app")) {
            Ok(backup) => match backup.unwrap().restore(&ground.machine()) {
                Err(RestoreError::Refused(error)) => error,
                other => panic!("harm {number}: {other:?}"),
            },
            Err(error) => error,
        };
        assert!(matches!(&error, StateError::Damaged { damage, .. } if expected(damage)), "harm {number}: {error}");
        assert_eq!(ground.observe("/etc/app"), before);
    }
}

fn edit(ground: &Ground, change: fn(&mut Vec<u8>)) {
    let path = ground.slot().join("manifest.json");
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
}

// faults: 3 47
#[test]
fn a_missing_or_corrupt_index_is_made_again_from_the_slots() {
    let ground = Ground::new();
    ground.write("/etc/app/a", "one");
    ground.seal(&["/etc/app"]);
    let index = ground.store.root().join("module_backups.json");
    ground.store.save_index().unwrap();
    let good = fs::read(&index).unwrap();
    for content in [&b""[..], b"{", b"{}", br#"{"other":1}"#] {
        fs::write(&index, content).unwrap();
        Store::open(ground.store.root()).unwrap().recover().unwrap();
        assert_eq!(fs::read(&index).unwrap(), good, "{}", String::from_utf8_lossy(content));
    }
}

// faults: 2 4 9
#[test]
fn recovery_removes_leftovers_and_puts_a_slot_back_that_was_between_two_renames() {
    let ground = Ground::new();
    ground.write("/etc/app/a", "one");
    ground.seal(&["/etc/app"]);
    let root = ground.store.root();
    fs::create_dir_all(root.join(".app_backup.new/files/x")).unwrap();
    fs::create_dir_all(root.join(".gone_backup.new/files")).unwrap();
    fs::rename(ground.slot(), root.join(".app_backup.old")).unwrap();
    ground.store.recover().unwrap();
    ground.load().verify().unwrap();
    let mut left: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["app_backup", "module_backups.json"]);
}

// faults: 2 4 9
#[test]
fn recovery_takes_the_next_slot_whatever_is_left_of_the_former() {
    let ground = Ground::new();
    ground.write("/etc/app/a", "one");
    let checksum = ground.seal(&["/etc/app"]).info().checksum;
    let root = ground.store.root();
    for left in [None, Some("files"), Some("manifest.json")] {
        fs::rename(ground.slot(), root.join(".app_backup.next")).unwrap();
        if let Some(left) = left {
            fs::create_dir_all(ground.slot().join(left)).unwrap();
        }
        ground.store.recover().unwrap();
        let backup = ground.load();
        backup.verify().unwrap();
        assert_eq!(backup.info().checksum, checksum);
        assert!(!root.join(".app_backup.next").exists());
    }
}

#[test]
fn slots_are_listed_and_removed_by_name() {
    let ground = Ground::new();
    ground.write("/etc/app/a", "one");
    ground.seal(&["/etc/app"]);
    fs::create_dir(ground.store.root().join("broken_backup")).unwrap();
    let list = ground.store.list().unwrap();
    assert!(list[&name("app")].is_ok() && list[&name("broken")].is_err());
    assert!(ground.store.remove(&name("app")).unwrap());
    assert!(!ground.store.remove(&name("app")).unwrap());
    assert!(ground.store.remove(&name("broken")).unwrap());
    assert!(ground.store.list().unwrap().is_empty());
}

#[test]
fn a_pending_backup_that_is_dropped_leaves_nothing() {
    let ground = Ground::new();
    drop(ground.store.begin(&name("app"), &name("app"), ""));
    assert_eq!(fs::read_dir(ground.store.root()).unwrap().count(), 0);
}

// faults: 12
#[test]
fn a_full_store_keeps_the_old_slot_and_says_what_it_needs() {
    let ground = Ground::new();
    let small = ground.folder.path().join("small");
    fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1M", "none"]).arg(&small).status();
    if !is_root() || !mounted.is_ok_and(|status| status.success()) {
        return;
    }
    let store = Store::open(&small).unwrap();
    let seal = || {
        store
            .begin(&name("app"), &name("app"), "")
            .paths(crate::ground::declared(&["/etc/app"]))
            .seal(&ground.machine())
    };
    ground.write("/etc/app/a", "one");
    let first = seal().map(Sealed::into_backup);
    ground.write("/etc/app/big", &"x".repeat(2 << 20));
    let second = seal();
    let still = store.load(&name("app")).map(|backup| backup.unwrap().verify().is_ok());
    drop(store);
    assert!(Command::new("umount").arg(&small).status().unwrap().success());
    first.unwrap();
    assert!(matches!(second, Err(StateError::NoSpace { need, have, .. }) if need > have));
    assert!(still.unwrap());
}

// faults: 17
#[test]
fn a_read_only_machine_is_said_before_any_change() {
    let ground = Ground::new();
    let mount = ground.at("/etc/app");
    let run =
        |arguments: &[&str]| Command::new("mount").args(arguments).arg(&mount).status().is_ok_and(|s| s.success());
    if !is_root() || !run(&["-t", "tmpfs", "none"]) {
        return;
    }
    ground.write("/etc/app/a", "one");
    let sealed = ground.try_seal(&["/etc/app/a"]);
    ground.write("/etc/app/a", "two");
    let remounted = run(&["-o", "remount,ro"]);
    let restored = ground.restore();
    assert!(Command::new("umount").arg(&mount).status().unwrap().success());
    sealed.unwrap().into_backup();
    assert!(remounted);
    assert!(matches!(restored, Err(RestoreError::Refused(error)) if error.to_string().contains("Read-only")));
}
