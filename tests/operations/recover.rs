//! What the start of the machine finds: a file that stands exactly while something may have to be settled, and
//! `updates recover --unattended`, which settles it and leaves to a person what was given up.

use rustix::process::Signal;

use super::support::{Module, Root, until};

const MARKER: &str = "/var/lib/updates/unsettled";

fn hangs() -> Module {
    let code = "import time\ndef main(args):\n    open('/srv/app/file', 'w').write('after')\n    \
                open('/srv/app/here', 'w').close()\n    time.sleep(1000)\n";
    Module::python("app", "1", code).declares(&["/srv/app/"])
}

fn killed() -> Root {
    let root = Root::new();
    root.write("/srv/app/file", "before");
    root.install(&hangs());
    let run = root.start(&["run", "--no-sync"]);
    until("the module runs", || root.exists("/srv/app/here"));
    assert!(root.exists(MARKER), "a run is under way");
    run.signal(Signal::KILL);
    run.end();
    root
}

#[test]
fn the_marker_stands_from_an_interruption_until_everything_is_put_back() {
    let root = killed();
    assert!(root.exists(MARKER));
    let ran = root.updates(&["--json", "recover", "--unattended"]);
    ran.expect(0);
    assert_eq!(ran.json()["recovered"][0]["module"], "app");
    assert_eq!(root.read("/srv/app/file"), "before");
    assert!(!root.exists(MARKER));
    root.updates(&["recover", "--unattended"]).expect(0);
    assert!(!root.exists(MARKER), "looking leaves nothing behind");
}

#[test]
fn a_run_to_its_end_leaves_no_marker_whatever_became_of_its_modules() {
    let root = Root::new();
    let broken = "def main(args):\n    raise RuntimeError('no')\n";
    root.install(&Module::python("web", "1", broken)).install(&Module::idle("app", "1"));
    root.updates(&["run", "--no-sync"]).expect(20);
    assert!(!root.exists(MARKER));
    root.updates(&["runner", "app"]).expect(0);
    root.updates(&["run", "--no-sync", "none"]).expect(2);
    assert!(!root.exists(MARKER));
    root.updates(&["check", "--no-sync"]);
    assert!(!root.exists(MARKER));
}

#[test]
fn a_run_that_was_interrupted_and_settled_leaves_none_either() {
    let root = Root::new();
    root.folder("/srv/app").install(&hangs());
    let run = root.start(&["run", "--no-sync"]);
    until("the module runs", || root.exists("/srv/app/here"));
    run.signal(Signal::TERM);
    run.end().expect(130);
    assert!(!root.exists(MARKER));
}

#[test]
fn what_could_not_be_put_back_keeps_the_marker_and_is_given_up_after_five_tries() {
    let root = killed();
    // Without its checkpoint there is nothing to go back to.
    for place in ["in-flight", "checkpoints"] {
        let place = root.at("/var/lib/updates").join(place);
        if place.exists() {
            std::fs::remove_dir_all(place).unwrap();
        }
    }
    for _ in 0..5 {
        let ran = root.updates(&["--json", "recover", "--unattended"]);
        ran.expect(21);
        assert_eq!(ran.json()["recovered"][0]["complete"], false);
        assert!(root.exists(MARKER));
    }
    let ran = root.updates(&["--json", "recover", "--unattended"]);
    ran.expect(21);
    let record = ran.json();
    assert_eq!(record.get("recovered"), None, "it is not tried a sixth time: {record:#}");
    assert!(record["problems"][0].as_str().unwrap().contains("app: putting it back was tried 5 times"), "{record:#}");
    let ran = root.updates(&["--json", "recover"]);
    ran.expect(21);
    assert_eq!(ran.json()["recovered"][0]["module"], "app", "a person who asks is obeyed");
    root.updates(&["recover", "--accept", "app"]).expect(0);
    assert!(!root.exists(MARKER));
}
