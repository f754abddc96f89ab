//! A restore or rollback that failed, done again: what was saved first is kept, and what is held is let go.

use std::fs;

use super::machine::{machine, module};
use super::support::Root;

const WEB: &str = "/opt/units/web.service.active";
const FAILS: &str = "/opt/units/web.service.fails";

fn ran() -> Root {
    let root = machine();
    root.install(&module(
        "service.stop('web')\nopen('/srv/app/conf', 'w').write('after')\nreturn {'success': True, 'updated': True}",
    ));
    root.updates(&["run", "--no-sync"]).expect(0);
    root
}

#[test]
fn a_rollback_that_is_done_again_keeps_what_the_first_try_saved() {
    let root = ran();
    root.write(FAILS, "");
    root.updates(&["rollback", "app", "--yes"]).expect(21);
    let again = root.updates(&["rollback", "app", "--yes"]);
    again.expect(21);
    assert!(again.stdout.contains("updates/app_before-rollback stays as it is"), "{}", again.stdout);
    fs::remove_file(root.at(FAILS)).unwrap();
    root.updates(&["rollback", "app", "--yes"]).expect(0);
    assert_eq!(root.read("/srv/app/conf"), "before");
    root.updates(&["backup", "restore", "app", "app_before-rollback", "--yes"]).expect(0);
    assert_eq!(root.read("/srv/app/conf"), "after");
}

#[test]
fn a_rollback_that_is_refused_keeps_what_an_earlier_one_saved() {
    let root = ran();
    root.updates(&["rollback", "app", "--yes"]).expect(0);
    root.write("/srv/app/conf", "otherwise");
    root.write("/var/lib/updates/checkpoints/app_backup/files/srv/app/conf", "befoRe");
    let refused = root.updates(&["rollback", "app", "--yes"]);
    refused.expect(21);
    assert!(refused.stderr.contains("updates backup list"), "{}", refused.stderr);
    assert_eq!(root.read("/srv/app/conf"), "otherwise");
    assert_eq!(root.read("/var/backups/updates/app_before-rollback_backup/files/srv/app/conf"), "after");
}

#[test]
fn a_module_that_was_put_right_by_hand_is_let_go_by_a_restore_that_finds_nothing_to_change() {
    let root = machine();
    root.install(&module("return True"));
    root.updates(&["backup", "create", "app"]).expect(0);
    fs::remove_file(root.at(WEB)).unwrap();
    root.write(FAILS, "");
    root.updates(&["backup", "restore", "app", "--yes"]).expect(21);
    let status = root.updates(&["status"]);
    assert!(status.stdout.contains("app: a restore or rollback of it is not complete"), "{}", status.stdout);
    for _ in 0..5 {
        root.updates(&["recover"]).expect(21);
    }
    fs::remove_file(root.at(FAILS)).unwrap();
    root.write(WEB, "");
    let restored = root.updates(&["backup", "restore", "app", "--yes"]);
    restored.expect(0);
    assert!(restored.stdout.contains("that settles what could not be put back before"), "{}", restored.stdout);
    root.updates(&["run", "--no-sync"]).expect(0);
}

#[test]
fn the_status_of_a_module_that_needed_a_person_says_when_it_does_not_any_more() {
    let (root, over) = (ran(), "app: was put back since");
    root.write(FAILS, "");
    root.updates(&["rollback", "app", "--yes"]).expect(21);
    root.updates(&["run", "--no-sync"]).expect(21);
    assert!(!root.updates(&["status"]).stdout.contains(over));
    fs::remove_file(root.at(FAILS)).unwrap();
    root.updates(&["recover"]).expect(0);
    let status = root.updates(&["status"]).stdout;
    assert!(status.contains(over), "{status}");
}
