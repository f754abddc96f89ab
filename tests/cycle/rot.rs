//! A slot that can't be used is found out before it is needed, and a person always has a way on.

use serde_json::json;

use super::support::{Module, Root, until};
use super::{module, statuses};

const RETAINED: &str = "/var/lib/updates/checkpoints/app_backup";

fn idle() -> Module {
    Module::python("app", "1", "def main(args=None):\n    return True\n").declares(&["/srv/app/"])
}

#[test]
fn a_retained_checkpoint_that_has_rotted_is_told_and_replaced() {
    let root = Root::new();
    root.write("/srv/app/file", "content").install(&idle());
    root.run(&["--no-sync"]).0.expect(0);
    root.write(&format!("{RETAINED}/files/srv/app/file"), "contend");
    // The only slot there is, so that chance has no choice; and nobody makes another meanwhile.
    root.updates(&["disable", "app"]).expect(0);
    let (_, record) = root.run(&["--no-sync"]);
    let problems = record["problems"].to_string();
    assert!(problems.contains("checkpoints/app_backup") && problems.contains("/srv/app/file"), "{problems}");
    assert!(problems.contains("updates rollback app"), "{problems}");
    assert!(!root.exists(RETAINED));
    root.updates(&["enable", "app"]).expect(0);
    let (_, record) = root.run(&["--no-sync"]);
    assert_eq!(record.get("problems"), None, "{record:#}");
    assert_eq!(root.read(&format!("{RETAINED}/files/srv/app/file")), "content");
}

#[test]
fn a_backup_that_has_rotted_is_told_and_left() {
    let root = Root::new();
    let code = "from updates.utils.state_manager import backup_module_simple\n\n\ndef main(args=None):\n    \
                return backup_module_simple('app', files=['/srv/app/file'])\n";
    root.write("/srv/app/file", "content").install(&Module::python("app", "1", code).declares(&["/srv/app/"]));
    root.run(&["--no-sync"]).0.expect(0);
    root.install(&Module::idle("app", "1"));
    std::fs::remove_dir_all(root.at(RETAINED)).unwrap();
    let saved = "/var/backups/updates/app_backup/files/srv/app/file";
    root.write(saved, "contend");
    root.updates(&["disable", "app"]).expect(0);
    let (_, record) = root.run(&["--no-sync"]);
    let problems = record["problems"].to_string();
    assert!(problems.contains("updates/app_backup") && problems.contains("updates backup create"), "{problems}");
    assert_eq!(root.read(saved), "contend");
}

// faults: 7
#[test]
fn a_module_that_can_not_be_put_back_runs_again_once_a_person_takes_it_as_it_is() {
    let code = "import os, time\ndef main(args):\n    if os.path.exists('/srv/app/go'):\n        return True\n    \
                open('/srv/app/file', 'w').write('after')\n    open('/srv/app/here', 'w').close()\n    \
                while not os.path.exists('/srv/app/go'):\n        time.sleep(0.01)\n    raise OSError('no luck')\n";
    let root = Root::new();
    root.write("/srv/app/file", "before").install(&Module::python("app", "1", code).declares(&["/srv/app/"]));
    let run = root.start(&["--json", "run", "--no-sync"]);
    until("the module runs", || root.exists("/srv/app/here"));
    root.write("/var/lib/updates/in-flight/main/app_backup/files/srv/app/file", "brfore").write("/srv/app/go", "");
    run.end().expect(21);
    let mut tries = 0;
    loop {
        let (ran, record) = root.run(&["--no-sync"]);
        ran.expect(21);
        assert_eq!(statuses(&record), ["app: rollback_failed"], "it ran although it is not back");
        tries += 1;
        if record.get("recovered").is_none() {
            let message = module(&record, "app")["message"].as_str().unwrap().to_owned();
            assert!(message.contains("was tried 5 times without success"), "{message}");
            assert!(message.contains("updates recover --accept app"), "{message}");
            break;
        }
        assert!(tries < 20, "there is no end of tries");
    }
    root.updates(&["recover"]).expect(21);
    let accepted = root.updates(&["--json", "recover", "--accept", "app"]);
    assert_eq!(accepted.expect(0).json(), json!({"module": "app", "accepted": true}));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    assert_eq!(statuses(&record), ["app: succeeded"]);
    assert_eq!(root.read("/srv/app/file"), "after");
    assert!(!root.exists("/var/lib/updates/in-flight/main/app_backup"));
    let again = root.updates(&["--json", "recover", "--accept", "app"]);
    assert_eq!(again.expect(0).json()["accepted"], false);
}

#[test]
fn a_module_that_shares_a_path_with_one_that_is_not_put_back_waits_and_the_others_run() {
    let code = "import os, time\ndef main(args):\n    open('/srv/shared/file', 'w').write('after')\n    \
                open('/srv/shared/here', 'w').close()\n    while not os.path.exists('/srv/shared/go'):\n        \
                time.sleep(0.01)\n    return {'success': False}\n";
    let other = "def main(args):\n    open('/srv/shared/other', 'w').write('new')\n    return True\n";
    let root = Root::new();
    root.write("/srv/shared/file", "before");
    root.install(&Module::python("app", "1", code).declares(&["/srv/shared/"]).metadata("priority", json!(1)));
    root.install(&Module::python("sharer", "1", other).declares(&["/srv/shared/"])).install(&Module::idle("idle", "1"));
    let run = root.start(&["--json", "run", "--no-sync"]);
    until("the module runs", || root.exists("/srv/shared/here"));
    root.write("/var/lib/updates/in-flight/main/app_backup/files/srv/shared/file", "brfore")
        .write("/srv/shared/go", "");
    let first = run.end();
    let (second, record) = root.run(&["--no-sync"]);
    for record in [first.expect(21).json(), record] {
        assert_eq!(statuses(&record), ["app: rollback_failed", "idle: succeeded", "sharer: failed"], "{record:#}");
        let message = module(&record, "sharer")["message"].to_string();
        assert!(message.contains("what app goes back to"), "{message}");
    }
    second.expect(21);
    assert!(!root.exists("/srv/shared/other"));
    root.updates(&["recover", "--accept", "app"]).expect(0);
    root.run(&["--no-sync", "sharer"]).0.expect(0);
    assert!(root.exists("/srv/shared/other"));
}
