//! An error from every system call of a backup and of a restore, each in turn: cases/faults.md 12 to 16, 19 and 20.
//!
//! What a disk, a quota, a limit or a mount may answer is answered by the kernel's own way back from the call, so the
//! program sees just what it would see. Afterwards the slot is old or new and the machine is old, new or on its way; a
//! success is a success; an error names a path; nobody panics.

use nix::errno::Errno;

use crate::child::{Ended, Work};
use crate::scene::{Scene, assert_same, at_each_call};
use crate::tracer::{Call, Strike, trace};

/// Which calls fail, and how: the `index`th of them with this one's turn of the errors.
#[derive(Clone, Copy)]
struct Harm {
    calls: fn(&Call) -> bool,
    errors: &'static [Errno],
}

const INPUT_OUTPUT: Harm = Harm { calls: |_| true, errors: &[Errno::EIO] };
const NO_ROOM: Harm = Harm { calls: Call::changes, errors: &[Errno::ENOSPC, Errno::EDQUOT] };
const NO_DESCRIPTORS: Harm = Harm { calls: Call::opens, errors: &[Errno::EMFILE, Errno::ENFILE] };
const READ_ONLY: Harm = Harm { calls: Call::changes, errors: &[Errno::EROFS, Errno::EPERM, Errno::EINVAL] };
const SYNC: Harm = Harm { calls: Call::syncs, errors: &[Errno::EIO] };

/// Has the `index`th of the calls fail; `None` where there are not so many.
fn fail(scene: &Scene, work: Work, harm: Harm, index: usize) -> Option<(Ended, String)> {
    let (mut seen, mut struck) = (0, None);
    let errno = harm.errors[index % harm.errors.len()];
    let ended = trace(&scene.ground, work, |call| {
        seen += usize::from((harm.calls)(call));
        let now = seen == index && struck.is_none();
        now.then(|| {
            struck = Some(format!("{errno:?} from {:?}, call {} of {work:?}", call.number, call.index));
            Strike::Fail(errno)
        })
    });
    struck.map(|struck| (ended, struck))
}

/// An error is told with a path, and is neither a panic nor a death.
#[track_caller]
fn assert_told(ended: &Ended, what: &str) {
    match ended {
        Ended::Done => {}
        Ended::Failed(text) | Ended::Refused(text) => assert!(text.contains('/'), "{what}: no path in {text}"),
        Ended::Killed | Ended::Panicked(_) => panic!("{what}: {ended:?}"),
    }
}

fn harm_backups(harm: Harm) -> usize {
    at_each_call(|index| {
        let (scene, after) = Scene::disturbed();
        let Some((ended, what)) = fail(&scene, Work::Seal, harm, index) else { return false };
        assert_told(&ended, &what);
        scene.assert_old_or_new(&what);
        assert_same(&after, &scene.ground.observe("/etc/app"), &what);
        if ended == Ended::Done {
            let new = scene.ground.load();
            assert_ne!(new.info().checksum, scene.old.info().checksum, "{what}: a success with the old slot");
        }
        true
    })
}

fn harm_restores(harm: Harm) -> usize {
    at_each_call(|index| {
        let (scene, after) = Scene::disturbed();
        let Some((ended, what)) = fail(&scene, Work::Restore, harm, index) else { return false };
        assert_told(&ended, &what);
        let now = scene.ground.observe("/etc/app");
        match &ended {
            Ended::Done => assert_same(&scene.before, &now, &what),
            Ended::Refused(_) => assert_same(&after, &now, &what),
            _ => scene.assert_nothing_lost(&after, &what),
        }
        scene.assert_restores(&what);
        true
    })
}

// faults: 14 15
#[test]
fn an_input_output_error_from_any_call_of_a_backup_keeps_the_old_slot_or_the_new() {
    let calls = harm_backups(INPUT_OUTPUT);
    assert!(calls > 100, "only {calls} calls");
}

// faults: 15 16
#[test]
fn an_input_output_error_from_any_call_of_a_restore_loses_nothing_and_the_next_completes() {
    let calls = harm_restores(INPUT_OUTPUT);
    assert!(calls > 100, "only {calls} calls");
}

// faults: 12
#[test]
fn no_room_at_any_change_of_a_backup_keeps_the_old_slot_or_the_new() {
    harm_backups(NO_ROOM);
}

// faults: 13
#[test]
fn no_room_at_any_change_of_a_restore_loses_nothing_and_the_next_completes() {
    harm_restores(NO_ROOM);
}

// faults: 19
#[test]
fn no_descriptor_at_any_opening_of_a_backup_or_a_restore_is_an_error_that_says_so() {
    harm_backups(NO_DESCRIPTORS);
    harm_restores(NO_DESCRIPTORS);
}

// faults: 17
#[test]
fn a_refusal_of_any_change_of_a_backup_or_a_restore_is_an_error_that_says_so() {
    harm_backups(READ_ONLY);
    harm_restores(READ_ONLY);
}

// faults: 15
#[test]
fn a_sync_that_failed_is_never_called_a_success() {
    for work in [Work::Seal, Work::Restore] {
        let syncs = at_each_call(|index| {
            let (scene, _) = Scene::disturbed();
            let Some((ended, what)) = fail(&scene, work, SYNC, index) else { return false };
            assert!(matches!(ended, Ended::Failed(_)), "{what}: {ended:?}");
            true
        });
        assert!(syncs > 0, "{work:?} makes nothing durable");
    }
}

// faults: 16
#[test]
fn a_slot_that_cannot_be_read_touches_no_live_file() {
    let (scene, after) = Scene::disturbed();
    // Every read fails, from the first to the last.
    let ended = trace(&scene.ground, Work::Restore, |call| {
        (call.number == syscalls::Sysno::pread64).then_some(Strike::Fail(Errno::EIO))
    });
    // Before or in the restore: where the manifest itself can't be read, there is no slot to restore from.
    assert!(matches!(ended, Ended::Refused(_) | Ended::Failed(_)), "{ended:?}");
    assert_same(&after, &scene.ground.observe("/etc/app"), "no read");
}
