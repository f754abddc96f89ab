//! Removing: what is named, after a yes, and no checkpoint that somebody needs.

use super::root;
use super::support::{Module, Root, until};

#[test]
fn only_the_named_slot_goes() {
    let root = root();
    root.updates(&["run", "--no-sync"]).expect(0);
    root.updates(&["backup", "create", "web"]).expect(0);
    root.updates(&["backup", "remove", "web"]).expect(2);
    assert!(root.exists("/var/backups/updates/web_backup"));
    root.updates(&["backup", "remove", "web", "--yes"]).expect(0);
    assert!(!root.exists("/var/backups/updates/web_backup"));
    assert!(root.exists("/var/lib/updates/checkpoints/web_backup"));
    let said = root.updates(&["backup", "remove", "web", "checkpoints/web", "--yes"]);
    said.expect(0);
    assert!(said.stdout.contains("nothing to roll back to"), "{}", said.stdout);
    root.updates(&["rollback", "web"]).expect(2);
    root.updates(&["run", "--no-sync"]).expect(0);
    root.updates(&["rollback", "web", "--yes"]).expect(0);
}

#[test]
fn while_a_run_holds_the_lock_nothing_is_changed_and_looking_works() {
    let root = Root::new();
    let code = "import os, time\ndef main(args=None):\n    open('/srv/slow/here', 'w').close()\n    \
                while not os.path.exists('/srv/slow/go'):\n        time.sleep(0.01)\n    return {'success': True}\n";
    root.folder("/srv/slow").install(&Module::python("slow", "1.0.0", code).declares(&["/srv/slow/"]));
    root.updates(&["backup", "create", "slow"]).expect(0);
    let running = root.start(&["run", "--no-sync"]);
    until("the module runs", || root.exists("/srv/slow/here"));
    for arguments in [
        &["backup", "create", "slow"][..],
        &["backup", "restore", "slow", "--yes"],
        &["backup", "remove", "slow", "--yes"],
        &["rollback", "slow", "--yes"],
    ] {
        // Where the checkpoint of a first run stands only after its end, there is nothing to roll back to yet.
        let ran = root.updates(arguments);
        assert!(ran.code == 75 || (arguments[0] == "rollback" && ran.code == 2), "{arguments:?}: {ran:?}");
    }
    root.updates(&["backup", "list"]).expect(0);
    root.updates(&["backup", "show", "slow", "--diff"]).expect(0);
    let waiting = root.start(&["backup", "create", "slow", "--wait"]);
    root.write("/srv/slow/go", "");
    running.end().expect(0);
    waiting.end().expect(0);
    assert!(root.exists("/var/backups/updates/slow_backup/files/srv/slow/go"));
}
