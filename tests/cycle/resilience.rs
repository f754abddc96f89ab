//! What once went wrong on a machine that was empty, full, or mistaken for another: each was a way to lose something.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::support::{Module, Root, Source, until};
use super::{module, statuses};

#[test]
fn a_module_writes_below_a_folder_that_an_empty_root_does_not_have() {
    let root = Root::new();
    let code = "def main(args):\n    with open('/etc/greeting.d/10-hello', 'w') as file:\n        file.write('Hello.')\n    \
                return True\n";
    let source = Source::of(&[&Module::python("greeting", "1.0.0", code).declares(&["/etc/greeting.d/"])]);
    root.run(&["--source", source.path()]).0.expect(0);
    assert_eq!(root.read("/etc/greeting.d/10-hello"), "Hello.");
}

#[test]
fn an_empty_folder_that_was_given_an_owner_is_kept() {
    let root = Root::new();
    let code = "import os\n\n\ndef main(args):\n    os.chmod('/srv/keep', 0o700)\n    return True\n";
    root.install(&Module::python("keeper", "1.0.0", code).declares(&["/srv/keep/"]));
    root.run(&["--no-sync"]).0.expect(0);
    assert!(root.at("/srv/keep").is_dir());
}

#[test]
fn a_module_whose_work_can_not_be_written_out_has_not_run_well() {
    let root = Root::new();
    let code = "def main(args):\n    open('/srv/app/new', 'w').write('kept in memory')\n    return True\n";
    root.write("/srv/app/old", "before").install(&Module::python("app", "1.0.0", code).declares(&["/srv/app/"]));
    // Nothing else of so small a run calls it: single files are synced one by one.
    let ran = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=syncfs:error=ENOSPC", env!("CARGO_BIN_EXE_updates")])
        .arg("--root")
        .arg(root.path())
        .args(["--json", "run", "--no-sync"])
        .output()
        .expect("strace(1) is installed; packaging/setup does it");
    assert_eq!(ran.status.code(), Some(20), "{}", String::from_utf8_lossy(&ran.stderr));
    let record: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(statuses(&record), ["app: failed"]);
    let message = record["modules"][0]["message"].as_str().unwrap();
    assert!(message.contains("can't be made durable") && message.contains("No space left"), "{message}");
    assert!(!root.at("/srv/app/new").exists());
    // Its version is not to blame.
    root.run(&["--no-sync"]).0.expect(0);
    assert_eq!(root.read("/srv/app/new"), "kept in memory");
}

#[test]
fn a_mistyped_name_does_not_hide_the_last_failure() {
    let root = Root::new();
    root.install(&Module::python("broken", "1.0.0", "def main(args):\n    return None\n"));
    root.run(&["--no-sync"]).0.expect(20);
    root.updates(&["run", "--no-sync", "brokn"]).expect(2);
    root.updates(&["recover"]).expect(0);
    let status = root.updates(&["status", "--json"]).json();
    assert_eq!(status["last_run"]["modules"][0]["status"], json!("rolled_back"), "{status:#}");
}

#[test]
fn a_missing_interpreter_holds_no_version() {
    let (root, source) = (Root::new(), Source::of(&[&Module::idle("app", "1.0.0")]));
    root.write("/etc/updates/config.toml", "[run]\npython = \"/usr/bin/no-such-python\"\n");
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(20);
    assert_eq!(statuses(&record), ["app: failed"]);
    root.write("/etc/updates/config.toml", "");
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    assert_eq!(statuses(&record), ["app: succeeded"]);
}

#[test]
fn a_version_whose_profile_does_not_exist_replaces_nothing() {
    let (root, source) = (Root::new(), Source::of(&[&Module::idle("app", "1.0.0")]));
    root.run(&["--source", source.path()]).0.expect(0);
    source.publish(&[&Module::idle("app", "2.0.0").sandbox("profile", json!("no-such-profile"))]);
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    assert_eq!(record["updates"][0]["change"], json!("invalid"));
    assert_eq!(root.installed_version("app"), "1.0.0");
}

#[test]
fn a_module_that_breaks_its_own_folder_gets_it_back() {
    let root = Root::new();
    let own = "/usr/local/lib/updates/modules/own";
    let code = format!("def main(args):\n    open('{own}/index.json', 'w').close()\n    return True\n");
    root.install(&Module::python("own", "1.0.0", &code).declares(&[own]));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(20);
    assert_eq!(statuses(&record), ["own: rolled_back"]);
    assert_eq!(root.installed_version("own"), "1.0.0");
}

#[test]
fn slots_lie_where_no_module_can_write() {
    let root = Root::new();
    root.install(&Module::idle("forger", "1.0.0").declares(&["/var/backups/mine/"]));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(20);
    let message = module(&record, "forger")["message"].as_str().unwrap();
    assert!(message.contains("belongs to the supervisor"), "{message}");
}

#[test]
fn a_module_that_fills_the_disk_and_fails_is_put_back() {
    let root = Root::new();
    let disk = root.at("/srv");
    root.folder("/srv");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "none"]).arg(&disk).status().unwrap();
    assert!(mounted.success(), "a tmpfs can't be mounted; the tests need root");
    let content = "x".repeat(3 << 20);
    root.write("/srv/a/precious", &content);
    let code = "def main(args):\n    open('/srv/a/precious', 'w').write('gone')\n    try:\n        with open('/srv/a/junk', \
                'wb') as junk:\n            while True:\n                junk.write(bytes(100000))\n    except OSError:\n        \
                pass\n    return {'success': False, 'error': 'full'}\n";
    root.install(&Module::python("filler", "1.0.0", code).declares(&["/srv/a/"]));
    let (ran, record) = root.run(&["--no-sync"]);
    let (back, junk) = (root.read("/srv/a/precious") == content, root.exists("/srv/a/junk"));
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    ran.expect(20);
    assert_eq!(statuses(&record), ["filler: rolled_back"]);
    assert!(back && !junk, "the file is back: {back}; the junk is there: {junk}");
}

/// A small file system of its own, mounted at a folder until the test is over.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(folder: std::path::PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let options = format!("size={size},mode=0700");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(&folder).status().unwrap();
        assert!(status.success());
        Self(folder)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(status.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}

#[test]
fn where_a_checkpoint_finds_no_room_the_module_does_not_run_and_the_others_do() {
    let root = Root::new();
    let _small = Small::mount(root.at("/var/lib/updates"), "8m");
    let code = "def main(args):\n    open('/srv/app/ran', 'w').close()\n    return True\n";
    root.write("/srv/app/small", "content");
    root.install(&Module::python("app", "1", code).declares(&["/srv/app/"])).install(&Module::idle("other", "1"));
    root.run(&["--no-sync"]).0.expect(0);
    std::fs::remove_file(root.at("/srv/app/ran")).unwrap();
    root.write("/srv/app/large", vec![7; 16 << 20]);
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(20);
    assert_eq!(statuses(&record), ["app: failed", "other: succeeded"]);
    let message = module(&record, "app")["message"].as_str().unwrap();
    assert!(message.contains("needs 16") && message.contains("free some"), "{message}");
    assert!(!root.exists("/srv/app/ran"));
    let retained = "/var/lib/updates/checkpoints/app_backup/files/srv/app/small";
    assert_eq!(root.read(retained), "content", "the checkpoint of the run before is gone");
    assert!(!root.exists("/var/lib/updates/in-flight/main/app_backup"));
}

#[test]
fn what_a_killed_run_left_on_a_full_disk_is_put_back_whoever_filled_it() {
    let root = Root::new();
    let state = Small::mount(root.at("/var/lib/updates"), "8m");
    let waits = "    open(here, 'w').close()\n    while True:\n        time.sleep(1)\n";
    let changes = format!(
        "import time\ndef main(args):\n    here = '/srv/a/here'\n    open('/srv/a/file', 'w').write('after')\n{waits}"
    );
    let fills = format!(
        "import os, time\ndef main(args):\n    here = '/srv/b/here'\n    with open(os.environ['STATE_DIRECTORY'] + '/junk', 'wb', \
         buffering=0) as junk:\n        for size in (4096, 100, 1):\n            try:\n                while True:\n                    \
         junk.write(bytes(size))\n            except OSError:\n                pass\n{waits}"
    );
    root.write("/srv/a/file", "before").folder("/srv/b");
    root.install(&Module::python("a", "1", &changes).declares(&["/srv/a/"]));
    root.install(&Module::python("b", "1", &fills).declares(&["/srv/b/"]));
    let run = root.start(&["run", "--no-sync", "--jobs=2"]);
    until("both have changed everything", || root.exists("/srv/a/here") && root.exists("/srv/b/here"));
    run.kill_after(Duration::ZERO);
    root.updates(&["recover"]).expect(0);
    assert_eq!(root.read("/srv/a/file"), "before");
    assert!(!root.exists("/srv/a/here") && !root.exists("/srv/b/here"));
    assert!(!root.exists("/var/lib/updates/state/b/junk"));
    root.updates(&["recover"]).expect(0);
    for slot in ["a_backup", "b_backup"] {
        assert!(!root.exists(&format!("/var/lib/updates/in-flight/main/{slot}")));
    }
    drop(state);
}
