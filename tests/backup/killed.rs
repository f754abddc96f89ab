//! SIGKILL and SIGINT: a restore that was begun is finished by the next start, and a backup that was not finished leaves the
//! former one.
//!
//! The waiting is the test here: moments are spread over the time that an undisturbed command takes on this machine.

use std::time::{Duration, Instant};

use super::support::{Root, Tree};
use super::{root, web};

const FILES: usize = 150;
const MOMENTS: u32 = 8;

fn many(root: &Root, content: &str) {
    for number in 0..FILES {
        root.write(&format!("/srv/web/{number:03}"), format!("{content} {number}\n"));
    }
}

#[test]
fn a_killed_restore_is_finished_by_the_next_start_or_had_not_begun() {
    let root = root();
    many(&root, "before");
    root.updates(&["backup", "create", "web"]).expect(0);
    let saved = root.tree("/srv/web");
    let mut took = Duration::ZERO;
    let mut finished = 0;
    for moment in 0..=MOMENTS {
        many(&root, "after");
        let changed = Tree::of(&root.at("/srv/web"), &[]);
        let begun = Instant::now();
        let restore = root.start(&["backup", "restore", "web", "--yes"]);
        if moment == 0 {
            restore.end().expect(0);
            took = begun.elapsed();
            continue;
        }
        restore.kill_after(took * moment / MOMENTS);
        root.updates(&["recover"]).expect(0);
        let now = root.tree("/srv/web");
        match now == changed {
            true => {}
            false => {
                saved.assert_same(&now, "neither as before nor as after the restore");
                finished += 1;
            }
        }
        root.updates(&["backup", "verify"]).expect(0);
    }
    assert!(finished > 0, "no moment was late enough");
    root.updates(&["backup", "restore", "web", "--yes"]).expect(0);
    saved.assert_same(&root.tree("/srv/web"), "not as it was saved");
}

#[test]
fn a_killed_or_interrupted_backup_leaves_one_whole_slot() {
    let root = root();
    many(&root, "before");
    let begun = Instant::now();
    root.updates(&["backup", "create", "web"]).expect(0);
    let took = begun.elapsed();
    for moment in 1..=MOMENTS {
        many(&root, &format!("round {moment}"));
        let create = root.start(&["backup", "create", "web"]);
        if moment % 2 == 0 {
            create.kill_after(took * moment / MOMENTS);
        } else {
            std::thread::sleep(took * moment / MOMENTS);
            create.signal(rustix::process::Signal::INT);
            let ended = create.end();
            // A signal before anything listens for it ends the process itself.
            assert!([0, 130, -2].contains(&ended.code), "{ended:?}");
        }
        root.updates(&["backup", "verify", "web"]).expect(0);
    }
    root.install(&web());
    root.updates(&["backup", "create", "web"]).expect(0);
    let leftovers: Vec<_> =
        std::fs::read_dir(root.at("/var/backups/updates")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(leftovers.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{leftovers:?}");
}
