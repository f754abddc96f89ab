//! SIGKILL at every system call of a backup, a restore, a recovery and a removal, each in turn: cases/faults.md 1, 2, 3,
//! 4, 6, 8 and 9. Nothing is sampled; what the kernel sees of a process is all that a kill can come between.

use nix::errno::Errno;

use crate::child::{Ended, Work};
use crate::ground::name;
use crate::scene::{Scene, assert_same, at_each_call};
use crate::tracer::{Call, Strike, trace};

/// Kills at the `index`th call.
fn kill_at(index: usize) -> impl FnMut(&Call) -> Option<Strike> {
    move |call| (call.index == index).then_some(Strike::Kill)
}

/// Kills before the `index`th change.
fn kill_at_change(index: usize) -> impl FnMut(&Call) -> Option<Strike> {
    let mut changes = 0;
    move |call| {
        changes += usize::from(call.changes());
        (changes == index).then_some(Strike::Kill)
    }
}

/// As [`kill_at`], on a file system that knows no flags of renameat2(2).
fn kill_without_exchange(index: usize) -> impl FnMut(&Call) -> Option<Strike> {
    kill_with_refused_exchange(index, Errno::EINVAL)
}

/// As [`kill_at`], where a renameat2(2) with flags gives an error.
fn kill_with_refused_exchange(index: usize, errno: Errno) -> impl FnMut(&Call) -> Option<Strike> {
    move |call| {
        let refused = call.renames_by_flags().then_some(Strike::Fail(errno));
        if call.index == index { Some(Strike::Kill) } else { refused }
    }
}

// faults: 1 2 3 4 8 9
#[test]
fn a_backup_killed_at_any_call_leaves_the_old_or_the_new_slot() {
    let calls = at_each_call(|index| {
        let (scene, after) = Scene::disturbed();
        let ended = trace(&scene.ground, Work::Seal, kill_at(index));
        let what = format!("call {index}");
        scene.assert_old_or_new(&what);
        assert_same(&after, &scene.ground.observe("/etc/app"), &what);
        assert!(matches!(ended, Ended::Killed | Ended::Done), "{what}: {ended:?}");
        ended == Ended::Killed
    });
    assert!(calls > 100, "only {calls} calls");
}

// faults: 1 2 4 8
#[test]
fn a_backup_without_rename_exchange_killed_at_any_call_leaves_the_old_or_the_new_slot() {
    at_each_call(|index| {
        let (scene, _) = Scene::disturbed();
        let ended = trace(&scene.ground, Work::Seal, kill_without_exchange(index));
        let what = format!("call {index}");
        scene.assert_old_or_new(&what);
        assert!(matches!(ended, Ended::Killed | Ended::Done), "{what}: {ended:?}");
        ended == Ended::Killed
    });
}

// faults: 1 2 4 8
#[test]
fn a_backup_over_a_slot_that_cannot_be_moved_killed_at_any_call_leaves_the_old_or_the_new() {
    at_each_call(|index| {
        let (scene, _) = Scene::disturbed();
        let ended = trace(&scene.ground, Work::Seal, kill_with_refused_exchange(index, Errno::EXDEV));
        let what = format!("call {index}");
        scene.assert_old_or_new(&what);
        assert!(matches!(ended, Ended::Killed | Ended::Done), "{what}: {ended:?}");
        ended == Ended::Killed
    });
}

// faults: 1 4 8 9
#[test]
fn a_recovery_killed_at_any_call_is_finished_by_the_next() {
    // Where the backup was killed decides what there is to recover; so count first.
    let mut last = 0;
    let mut count = kill_without_exchange(usize::MAX);
    trace(&Scene::disturbed().0.ground, Work::Seal, |call| {
        last = call.index;
        count(call)
    });
    for from_end in [3, 5, 8, 12, 20, 40] {
        at_each_call(|index| {
            let (scene, _) = Scene::disturbed();
            trace(&scene.ground, Work::Seal, kill_without_exchange(last.saturating_sub(from_end)));
            let ended = trace(&scene.ground, Work::Recover, kill_at(index));
            scene.assert_old_or_new(&format!("{from_end} calls before the end, then call {index}"));
            ended == Ended::Killed
        });
    }
}

// faults: 4 8
#[test]
fn a_removal_killed_at_any_call_leaves_the_slot_whole_or_gone() {
    at_each_call(|index| {
        let scene = Scene::new();
        let ended = trace(&scene.ground, Work::Remove, kill_at(index));
        scene.ground.store.recover().unwrap();
        if let Some(backup) = scene.ground.store.load(&name("app")).unwrap() {
            backup.verify().unwrap();
        }
        ended == Ended::Killed
    });
}

// faults: 6 8 9
#[test]
fn a_restore_killed_at_any_call_is_finished_by_the_next() {
    let calls = at_each_call(|index| {
        let (scene, after) = Scene::disturbed();
        let ended = trace(&scene.ground, Work::Restore, kill_at(index));
        let what = format!("call {index}");
        scene.assert_nothing_lost(&after, &what);
        scene.assert_restores(&what);
        assert!(matches!(ended, Ended::Killed | Ended::Done), "{what}: {ended:?}");
        ended == Ended::Killed
    });
    assert!(calls > 100, "only {calls} calls");
}

// faults: 6 8
#[test]
fn a_restore_killed_twice_is_finished_by_the_third() {
    for first in [40, 120] {
        at_each_call(|index| {
            let (scene, after) = Scene::disturbed();
            trace(&scene.ground, Work::Restore, kill_at_change(first));
            let ended = trace(&scene.ground, Work::Restore, kill_at_change(index));
            let what = format!("change {first}, then change {index}");
            scene.assert_nothing_lost(&after, &what);
            scene.assert_restores(&what);
            ended == Ended::Killed
        });
    }
}

// faults: 6 8
#[test]
fn a_restore_without_rename_exchange_killed_at_any_change_is_finished_by_the_next() {
    at_each_call(|index| {
        let (scene, _) = Scene::disturbed();
        let mut kill = kill_at_change(index);
        let ended = trace(&scene.ground, Work::Restore, |call| {
            kill(call).or(call.renames_by_flags().then_some(Strike::Fail(Errno::EINVAL)))
        });
        scene.assert_restores(&format!("change {index}"));
        ended == Ended::Killed
    });
}
