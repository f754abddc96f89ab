//! One run back, and forth again.

use super::support::{Module, Root};
use super::{root, web};

#[test]
fn a_module_goes_back_one_run_and_the_rollback_can_be_taken_back() {
    let root = root();
    let before = root.tree("/srv/web");
    root.updates(&["run", "--no-sync"]).expect(0);
    let after = root.tree("/srv/web");
    root.updates(&["rollback", "web", "--yes"]).expect(0);
    before.assert_same(&root.tree("/srv/web"), "not as before the run");
    root.updates(&["backup", "restore", "web", "web_before-rollback", "--yes"]).expect(0);
    after.assert_same(&root.tree("/srv/web"), "not as before the rollback");
}

#[test]
fn content_that_the_checkpoint_has_is_shared_with_what_is_saved_first() {
    use std::os::unix::fs::MetadataExt;
    let root = root();
    // A file as young as the checkpoint would be read again: the file system's clock has to move on first.
    let touched = || {
        root.write("/srv/probe", "");
        let found = root.at("/srv/probe").metadata().unwrap();
        found.ctime() * 1_000_000_000 + found.ctime_nsec()
    };
    let start = touched();
    while touched() - start < 40_000_000 {
        std::thread::yield_now();
    }
    root.updates(&["run", "--no-sync"]).expect(0);
    root.updates(&["rollback", "web", "--yes"]).expect(0);
    let page = |slot: &str| root.at(&format!("{slot}/files/srv/web/page")).metadata().unwrap().ino();
    assert_eq!(
        page("/var/backups/updates/web_before-rollback_backup"),
        page("/var/lib/updates/checkpoints/web_backup")
    );
}

#[test]
fn a_second_rollback_does_nothing_and_keeps_what_the_first_saved() {
    let root = root();
    root.updates(&["run", "--no-sync"]).expect(0);
    root.updates(&["rollback", "web", "--yes"]).expect(0);
    let saved = root.tree("/var/backups");
    let again = root.updates(&["rollback", "web", "--yes"]);
    again.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    saved.assert_same(&root.tree("/var/backups"), "what was saved first is gone");
}

#[test]
fn what_a_rollback_saved_is_not_taken_for_the_usual_backup() {
    let root = root();
    root.updates(&["run", "--no-sync"]).expect(0);
    root.updates(&["rollback", "web", "--yes"]).expect(0);
    let ran = root.updates(&["backup", "restore", "web", "--yes"]);
    ran.expect(2);
    assert!(ran.stderr.contains("updates backup create web"), "{}", ran.stderr);
    assert!(!root.exists("/srv/web/visits"));
}

#[test]
fn that_the_code_stays_is_said_when_it_is_another() {
    let root = root();
    root.updates(&["run", "--no-sync"]).expect(0);
    let same = root.updates(&["rollback", "web"]);
    assert!(!same.stdout.contains("The module's code stays"), "{}", same.stdout);
    let code = "def main(args=None):\n    open('/srv/web/version', 'w').write('2')\n    return {'success': True}\n";
    root.install(&Module::python("web", "2.0.0", code).declares(&["/srv/web/"]));
    root.updates(&["run", "--no-sync"]).expect(0);
    let other = root.updates(&["rollback", "web", "--yes"]);
    other.expect(0);
    assert!(other.stdout.contains("The module's code stays at 2.0.0; before, 1.0.0 had run"), "{}", other.stdout);
    assert_eq!(root.installed_version("web"), "2.0.0");
    assert!(!root.exists("/srv/web/version"));
}

#[test]
fn before_the_first_run_there_is_nothing_to_go_back_to() {
    let root = Root::new();
    root.install(&web());
    let ran = root.updates(&["rollback", "web"]);
    ran.expect(2);
    assert!(ran.stderr.contains("there is no checkpoint of web"), "{}", ran.stderr);
}
