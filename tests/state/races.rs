//! Somebody else is at work on the tree while it is saved or put back: cases/faults.md 22 to 26. What is saved existed, and
//! nothing outside of the declared path is touched.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use updates::state::StateError;

use crate::disk::{Kind, ground};
use crate::ground::{Ground, observe};

/// How often a backup or a restore meets its adversary.
const ROUNDS: usize = 60;

/// Runs `work` while another thread does `disturb` with 0, 1, 2 and so on.
fn against<T>(disturb: impl Fn(usize) + Send, work: impl FnOnce() -> T) -> T {
    let (stop, begun) = (AtomicBool::new(false), Barrier::new(2));
    std::thread::scope(|scope| {
        let (stop, begun) = (&stop, &begun);
        scope.spawn(move || {
            begun.wait();
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                disturb(round);
                round += 1;
            }
        });
        begun.wait();
        let done = work();
        stop.store(true, Ordering::Relaxed);
        done
    })
}

/// Every file of the slot is all of one letter and of one length, as each version that ever was is.
fn assert_versions_are_whole(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let found = fs::symlink_metadata(&path).unwrap();
        if found.is_dir() {
            assert_versions_are_whole(&path);
        } else if found.is_file() {
            let content = fs::read(&path).unwrap();
            assert!(content.len() == 5000 && content.iter().all(|&byte| byte == content[0]), "{}", path.display());
        }
    }
}

fn version(round: usize) -> Vec<u8> {
    vec![b'a' + u8::try_from(round % 26).unwrap(); 5000]
}

// faults: 22 25
#[test]
fn whatever_is_renamed_and_removed_meanwhile_a_slot_holds_whole_versions_or_there_is_none() {
    for kind in [Kind::Tmpfs, Kind::Ext4, Kind::Xfs, Kind::Btrfs] {
        if let Some(ground) = ground(kind, Some(Kind::Tmpfs)) {
            // Each round waits for a disk's syncs, where there is a disk.
            saved_whole_or_not_at_all(&ground, if kind == Kind::Tmpfs { ROUNDS } else { ROUNDS / 6 });
        }
    }
}

fn saved_whole_or_not_at_all(ground: &Ground, rounds: usize) {
    let at = |path: &str| ground.at("/etc/app").join(path);
    for folder in ["one", "two"] {
        (0..10).for_each(|number| ground.write(&format!("/etc/app/{folder}/{number}"), ""));
        (0..10).for_each(|number| fs::write(at(&format!("{folder}/{number}")), version(number)).unwrap());
    }
    let (mut sealed, mut refused) = (0, 0);
    let disturb = |round: usize| {
        let file = |folder: &str| at(&format!("{folder}/{}", round % 10));
        match round % 5 {
            // By rename, as editors and package managers do it.
            0 | 1 => {
                let _done = fs::write(at("new"), version(round)).and_then(|()| fs::rename(at("new"), file("one")));
            }
            2 => drop(fs::remove_file(file("two"))),
            3 => drop(fs::rename(at("two"), at("three")).and_then(|()| fs::rename(at("three"), at("two")))),
            _ => {
                let _done =
                    fs::write(at("two/new"), version(round)).and_then(|()| fs::rename(at("two/new"), file("two")));
            }
        }
    };
    for _ in 0..rounds {
        match against(disturb, || ground.try_seal(&["/etc/app"])) {
            Ok(slot) => {
                sealed += 1;
                let slot = slot.into_backup();
                slot.verify().unwrap();
                // What is written beside its place is there in part, and rightly.
                let files = ground.slot().join("files/etc/app");
                for beside in ["new", "two/new", "three/new"] {
                    drop(fs::remove_file(files.join(beside)));
                }
                assert_versions_are_whole(&files);
                // Replaced again and again, and never gone.
                (0..10).for_each(|number| {
                    assert!(files.join(format!("one/{number}")).exists(), "one/{number} is missing")
                });
                ground.store.remove(slot.name()).unwrap();
            }
            Err(StateError::Vanishing(_) | StateError::Changing(_)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(sealed + refused, rounds);
}

// faults: 22 23
#[test]
fn a_file_written_in_place_meanwhile_is_saved_as_it_was_at_one_moment_or_not_at_all() {
    let ground = Ground::in_memory();
    let path = ground.at("/etc/app/a");
    fs::write(&path, version(0)).unwrap();
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let disturb = |round: usize| {
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&version(round), 0).unwrap();
        file.set_modified(time).unwrap();
        std::thread::yield_now();
    };
    for _ in 0..ROUNDS {
        match against(disturb, || ground.try_seal(&["/etc/app"])) {
            Ok(slot) => slot.into_backup().verify().unwrap(),
            Err(error) => assert!(matches!(error, StateError::Changing(_)), "{error}"),
        }
        // The last write is seen, though size and time are those of the former slot.
        let slot = ground.seal(&["/etc/app"]);
        slot.verify().unwrap();
        assert_eq!(fs::read(ground.slot().join("files/etc/app/a")).unwrap(), fs::read(&path).unwrap());
    }
}

// faults: 26
#[test]
fn directories_swapped_for_links_meanwhile_lead_neither_backup_nor_restore_outside() {
    let ground = Ground::in_memory();
    let at = |path: &str| ground.at("/etc/app").join(path);
    for number in 0..8 {
        ground.write(&format!("/etc/app/deep/er/{number}"), "mine");
        ground.write(&format!("/etc/canary/er/{number}"), "secret");
    }
    ground.write("/etc/canary/er/more", "secret");
    let outside = || observe(&ground.at("/etc/canary"));
    let before = outside();
    let good = ground.observe("/etc/app");
    symlink("../canary", ground.at("/etc/swap")).unwrap();
    let disturb = |_: usize| {
        let exchange = |one: &Path, other: &Path| {
            rustix::fs::renameat_with(rustix::fs::CWD, one, rustix::fs::CWD, other, rustix::fs::RenameFlags::EXCHANGE)
        };
        let _swapped = exchange(&at("deep"), &ground.at("/etc/swap"));
        std::thread::yield_now();
        let _swapped = exchange(&at("deep"), &ground.at("/etc/swap"));
    };
    for _ in 0..ROUNDS {
        if against(disturb, || ground.try_seal(&["/etc/app"])).is_ok() {
            ground.load().verify().unwrap();
            let saved = observe(&ground.slot().join("files"));
            assert!(saved.values().all(|text| !text.contains("115, 101, 99, 114")), "the secret is in the slot");
        }
    }
    // From a known state, against the same adversary.
    drop(fs::remove_file(ground.at("/etc/swap")).or_else(|_| fs::remove_dir_all(ground.at("/etc/swap"))));
    drop(fs::remove_file(at("deep")).or_else(|_| fs::remove_dir_all(at("deep"))));
    (0..8).for_each(|number| ground.write(&format!("/etc/app/deep/er/{number}"), "mine"));
    ground.seal(&["/etc/app"]);
    for round in 0..ROUNDS {
        drop(fs::remove_file(ground.at("/etc/swap")).or_else(|_| fs::remove_dir_all(ground.at("/etc/swap"))));
        symlink("../canary", ground.at("/etc/swap")).unwrap();
        drop(fs::remove_file(at("deep/er/1")));
        drop(fs::write(at("deep/er/planted"), "planted"));
        drop(fs::write(at(&format!("deep/er/{}", round % 8)), "changed"));
        drop(against(disturb, || ground.restore()));
        assert_eq!(outside(), before, "round {round}");
    }
    drop(fs::remove_file(ground.at("/etc/swap")).or_else(|_| fs::remove_dir_all(ground.at("/etc/swap"))));
    ground.restore().unwrap();
    let contents =
        |seen: &std::collections::BTreeMap<std::path::PathBuf, String>| seen.keys().cloned().collect::<Vec<_>>();
    assert_eq!(contents(&ground.observe("/etc/app")), contents(&good));
}
