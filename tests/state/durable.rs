//! What a power cut would leave: cases/faults.md 8. No disk is cut off here; what is asked is the order of the calls, that
//! a sync follows the last change and that no rename puts content in place that was not synced before it.

use std::fs;

use syscalls::Sysno;

use crate::child::{Ended, Work};
use crate::ground::Ground;
use crate::scene::Scene;
use crate::tracer::trace;

/// How the changes and syncs of a child follow each other: `c` for a change, `r` for a rename, `s` for a sync.
fn order(ground: &Ground, work: Work) -> String {
    let mut order = String::new();
    let ended = trace(ground, work, |call| {
        match call.number {
            _ if call.syncs() => order.push('s'),
            Sysno::rename | Sysno::renameat | Sysno::renameat2 => order.push('r'),
            // The index is a cache, and its lock and the store's directory say nothing of content.
            _ if call.changes() => order.push('c'),
            _ => {}
        }
        None
    });
    assert_eq!(ended, Ended::Done);
    order
}

#[track_caller]
fn assert_ends_with_a_sync(ground: &Ground, what: &str) {
    let order = order(ground, Work::Restore);
    let changed = order.rfind(['c', 'r']).unwrap_or_else(|| panic!("{what}: nothing was changed"));
    assert!(order[changed..].contains('s'), "{what}: the last change is not synced: {order}");
    ground.restore().unwrap();
}

// faults: 8
#[test]
fn the_last_change_of_any_restore_is_followed_by_a_sync() {
    for count in [1, 40] {
        let numbers = || 0..count;
        let ground = Ground::in_memory();
        numbers().for_each(|number| ground.write(&format!("/etc/app/{number}"), "x"));
        ground.seal(&["/etc/app"]);
        numbers().for_each(|number| ground.write(&format!("/etc/app/new{number}"), "x"));
        assert_ends_with_a_sync(&ground, &format!("{count} removals"));
        numbers().for_each(|number| fs::remove_file(ground.at(&format!("/etc/app/{number}"))).unwrap());
        assert_ends_with_a_sync(&ground, &format!("{count} creations"));
        for number in numbers() {
            let path = ground.at(&format!("/etc/app/{number}"));
            fs::File::options().write(true).open(path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        assert_ends_with_a_sync(&ground, &format!("{count} times"));
        fs::remove_dir_all(ground.at("/etc")).unwrap();
        assert_ends_with_a_sync(&ground, "everything, the directory above included");
    }
    let ground = Ground::in_memory();
    ground.seal(&["/opt/app/data"]);
    fs::create_dir_all(ground.at("/opt/app")).unwrap();
    assert_ends_with_a_sync(&ground, "directories above what was absent");
    let (scene, _) = Scene::disturbed();
    assert_ends_with_a_sync(&scene.ground, "every kind");
}

// faults: 8
#[test]
fn no_file_is_renamed_into_place_before_a_sync_of_its_content() {
    for count in [1, 40] {
        let ground = Ground::in_memory();
        (0..count).for_each(|number| ground.write(&format!("/etc/app/{number}"), "x"));
        ground.seal(&["/etc/app"]);
        (0..count).for_each(|number| ground.write(&format!("/etc/app/{number}"), "changed"));
        let order = order(&ground, Work::Restore);
        for (at, _) in order.match_indices('r') {
            let before = &order[..at];
            let written = before.rfind('c').unwrap();
            let synced = before.rfind('s').unwrap_or_else(|| panic!("{order}"));
            assert!(synced > written, "{order}");
        }
    }
    // The same of the slot's own swap.
    let (scene, _) = Scene::disturbed();
    let mut last = None;
    trace(&scene.ground, Work::Seal, |call| {
        if call.renames_by_flags() {
            assert_eq!(last, Some(true), "something was changed between the sync and the swap");
        } else if call.changes() {
            last = Some(call.syncs());
        }
        None
    });
    assert!(last.is_some());
}
