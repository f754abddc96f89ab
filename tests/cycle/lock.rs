//! One run at a time.

use super::support::{Module, Root, Started, until};

/// Runs until `/srv/app/go` is there.
fn waits() -> Module {
    let code = "import os, time\ndef main(args):\n    open('/srv/app/here', 'w').close()\n    \
                while not os.path.exists('/srv/app/go'):\n        time.sleep(0.01)\n    return {'success': True}\n";
    Module::python("app", "1", code).declares(&["/srv/app/"])
}

fn running() -> (Root, Started) {
    let root = Root::new();
    root.folder("/srv/app").install(&waits());
    let first = root.start(&["run", "--no-sync"]);
    until("the module runs", || root.exists("/srv/app/here"));
    (root, first)
}

// faults: 10
#[test]
fn a_second_run_ends_with_75_and_names_the_holder() {
    let (root, first) = running();
    let second = root.updates(&["run", "--no-sync"]);
    second.expect(75);
    assert!(second.stderr.contains(&format!("process {}", first.id())), "{}", second.stderr);
    assert!(second.stderr.contains("--wait"), "{}", second.stderr);
    root.updates(&["runner", "app"]).expect(75);
    root.write("/srv/app/go", "");
    first.end().expect(0);
    root.updates(&["run", "--no-sync"]).expect(0);
}

#[test]
fn a_second_run_that_may_wait_runs_afterwards() {
    let (root, first) = running();
    let mut second = root.start(&["run", "--no-sync", "--wait"]);
    assert!(second.is_running());
    root.updates(&["run", "--no-sync", "--wait=0"]).expect(75);
    assert!(second.is_running());
    root.write("/srv/app/go", "");
    first.end().expect(0);
    second.end().expect(0);
}

#[test]
fn looking_needs_no_lock() {
    let (root, first) = running();
    for command in [&["status"][..], &["list"], &["history"], &["show", "app"], &["config", "show"]] {
        assert_ne!(root.updates(command).code, 75, "{command:?}");
    }
    root.write("/srv/app/go", "");
    first.end().expect(0);
}
