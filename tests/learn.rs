//! `updates sandbox learn` and `updates runner --explain-denials` against modules whose needs are known.
#![allow(clippy::unwrap_used)]

#[path = "support/mod.rs"]
mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{Module, Root, Tree};

/// Learns from `module`, and fails unless root and temporary folder are as before.
#[track_caller]
fn learn(root: &Root, module: &Module, arguments: &[&str]) -> Value {
    root.install(module);
    let before = Tree::of(root.path(), &[]);
    let ran = root.updates(&[&["--json", "sandbox", "learn", module.name.as_str()], arguments].concat());
    before.assert_same(&Tree::of(root.path(), &[]), "the machine after learning");
    assert_eq!(std::fs::read_dir(root.temporary()).unwrap().count(), 0, "something is left in the temporary folder");
    ran.expect(0).json()
}

fn backup_paths(learned: &Value) -> Vec<&str> {
    learned["stanza"]["configuration"]["backup_paths"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect()
}

fn profile(learned: &Value) -> &str {
    learned["stanza"]["sandbox"]["profile"].as_str().unwrap()
}

#[test]
fn a_python_module_is_told_the_folders_that_it_writes_and_the_homes_that_it_reads() {
    let root = Root::new();
    root.write("/etc/x/a.conf", "old").write("/root/z", "secret").folder("/var/lib/y");
    let module = Module::python(
        "writer",
        "1.0",
        r#"
import os
def main(args=None):
    for name in ("a.conf", "b.conf"):
        with open(f"/etc/x/{name}", "w") as file: file.write("new")
    with open("/var/lib/y/data.db", "w") as file: file.write(open("/root/z").read())
    with open("/tmp/scratch", "w") as file: file.write("x")
    with open(os.environ["STATE_DIRECTORY"] + "/seen", "w") as file: file.write("x")
    return {"success": True, "args": args}
"#,
    );
    let learned = learn(&root, &module, &["--", "one"]);
    assert_eq!(
        learned["stanza"],
        json!({
            "configuration": {"backup_paths": ["/etc/x/", "/var/lib/y/data.db"]},
            "sandbox": {"profile": "default", "read_only_paths": ["/root/z"]},
        })
    );
    assert_eq!((&learned["complete"], &learned["refused"]), (&json!(true), &json!([])));
    assert_eq!(learned, learn(&root, &module, &["--", "one"]), "the same run teaches the same");
}

#[test]
fn what_was_learnt_is_enough_to_run() {
    let root = Root::new();
    root.write("/etc/x/a.conf", "old").write("/root/z", "secret").folder("/var/lib");
    let code = r#"
import os
def main(args=None):
    os.makedirs("/srv/app/deep/er", exist_ok=True)
    for path in ("/etc/x/a.conf", "/srv/app/deep/er/file", "/var/lib/one.db"):
        with open(path + ".new" if path.startswith("/etc") else path, "w") as file: file.write(open("/root/z").read())
    os.rename("/etc/x/a.conf.new", "/etc/x/a.conf")
    return True
"#;
    let mut module = Module::python("app", "1.0", code);
    root.install(&module);
    root.updates(&["runner", "app"]).expect(20);
    let learned = learn(&root, &module, &[]);
    assert_eq!(backup_paths(&learned), ["/etc/x/", "/srv/app/", "/var/lib/one.db"]);
    for object in ["configuration", "sandbox"] {
        for (key, value) in learned["stanza"][object].as_object().unwrap() {
            module = module.set(object, key, value.clone());
        }
    }
    root.install(&module);
    root.updates(&["runner", "app"]).expect(0);
    assert_eq!(root.read("/etc/x/a.conf"), "secret");
}

#[test]
fn a_shell_module_that_makes_moves_and_hands_over_is_told_so() {
    let root = Root::new();
    root.write("/etc/service.conf", "old");
    let script = "#!/bin/sh\nset -e\nmkdir -p /srv/site/new\necho x >/srv/site/new/index\nmv /srv/site/new /srv/site/live\n\
                  chown 1000:1000 /srv/site/live\necho new >>/etc/service.conf\n";
    let learned = learn(&root, &Module::executable("shell", "1.0", script), &[]);
    assert_eq!(backup_paths(&learned), ["/etc/service.conf", "/srv/site/"]);
    assert_eq!(profile(&learned), "default");
}

#[test]
fn a_module_that_touches_nothing_gets_the_strictest_profile() {
    let learned = learn(&Root::new(), &Module::idle("idle", "1.0"), &[]);
    assert_eq!((profile(&learned), backup_paths(&learned).len()), ("strict", 0));
}

#[test]
fn a_module_that_connects_gets_the_network() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let code = format!(
        "import socket\ndef main(args=None):\n    try: socket.create_connection(('127.0.0.1', {port}), 5).close()\n    except OSError: return {{'success': True, 'connected': False}}\n    return True\n"
    );
    let root = Root::new();
    let module = Module::python("online", "1.0", &code);
    for arguments in [&[][..], &["--private-network"]] {
        let learned = learn(&root, &module, arguments);
        assert_eq!(profile(&learned), "network");
        let notes = learned["notes"].to_string();
        assert!(notes.contains(&format!("tcp 127.0.0.1:{port}")), "{notes}");
    }
}

#[test]
fn what_no_profile_allows_is_named_with_its_reason() {
    let root = Root::new();
    let script = "#!/bin/sh\nmount -t tmpfs none /mnt 2>/dev/null\necho x 2>/dev/null >/etc/updates/modules.d/shell.json\n\
                  cat /etc/shadow 2>/dev/null\nexit 0\n";
    root.folder("/etc/updates/modules.d");
    let learned = learn(&root, &Module::executable("greedy", "1.0", script), &[]);
    let refused = learned["refused"].as_array().unwrap();
    let why = |what: &str| {
        let found = refused.iter().find(|refused| refused["what"] == what);
        found.unwrap_or_else(|| panic!("{what} is not in {learned:#}"))["why"].as_str().unwrap()
    };
    assert!(why("/mnt").contains("CAP_SYS_ADMIN"));
    assert!(why("/etc/updates/modules.d/shell.json").contains("belongs to the supervisor"));
    assert!(why("/etc/shadow").contains("hidden"));
}

#[test]
fn links_are_named_by_what_they_lead_to_and_files_made_by_renaming_need_their_folder() {
    let root = Root::new();
    root.folder("/srv/real");
    std::os::unix::fs::symlink("/srv/real", root.at("/etc/link")).unwrap();
    let script = "#!/bin/sh\nset -e\necho x >/etc/link/.new\nmv /etc/link/.new /etc/link/file.conf\nrm -f /srv/none\n";
    let learned = learn(&root, &Module::executable("linked", "1.0", script), &[]);
    assert_eq!(backup_paths(&learned), ["/srv/real/"]);
}

#[test]
fn requests_are_answered_and_done_nowhere() {
    let root = Root::new();
    root.write("/etc/x/a.conf", "old");
    let code = r#"
from updates.utils.state_manager import StateManager
def main(args=None):
    manager = StateManager()
    manager.backup_module_state("asker", description="before", files=["/etc/x/a.conf"])
    return True
"#;
    let learned = learn(&root, &Module::python("asker", "1.0", code), &[]);
    assert_eq!(backup_paths(&learned), ["/etc/x/a.conf"]);
    assert!(!root.exists("/var/backups"));
}

#[test]
fn a_module_that_fails_teaches_what_it_tried_and_exits_so() {
    let root = Root::new();
    root.install(&Module::executable("failing", "1.0", "#!/bin/sh\necho x >/etc/f.conf\nexit 3\n"));
    let ran = root.updates(&["--json", "sandbox", "learn", "failing"]);
    let learned = ran.expect(20).json();
    assert_eq!((backup_paths(&learned), &learned["complete"]), (vec!["/etc/f.conf"], &json!(false)));
    assert!(!root.exists("/etc/f.conf") && !root.exists("/var/lib/updates/updates.db"));
}

#[test]
fn a_module_can_be_learnt_from_by_its_folder_and_the_stanza_can_be_pasted() {
    let (root, folder) = (Root::new(), tempfile::tempdir().unwrap());
    Module::executable("loose", "1.0", "#!/bin/sh\necho x >/etc/f.conf\n").write_into(folder.path());
    let path = folder.path().join("loose");
    let ran = root.updates(&["sandbox", "learn", path.to_str().unwrap()]);
    let stanza: Value = serde_json::from_str(ran.expect(0).stdout.split("\n\n").next().unwrap()).unwrap();
    assert_eq!(stanza["configuration"]["backup_paths"], json!(["/etc/f.conf"]));
    assert!(!Path::new("/etc/f.conf").exists());
}

#[test]
fn denials_are_explained_after_the_run_in_words_and_in_the_record() {
    let root = Root::new();
    let script = "#!/bin/sh\n(echo x >/etc/foo.conf) 2>/dev/null\ncat /nowhere /root/z 2>/dev/null\nexit 0\n";
    root.write("/root/z", "").install(&Module::executable("denied", "1.0", script));
    let ran = root.updates(&["runner", "denied", "--explain-denials"]);
    let text = &ran.expect(0).stderr;
    assert!(text.contains(r#"index.json: "sandbox": {"read_write_paths":["/etc/foo.conf"]}"#), "{text}");
    assert!(text.contains(r#"index.json: "sandbox": {"read_only_paths":["/root/z"]}"#), "{text}");
    let record = root.updates(&["--json", "runner", "denied", "--explain-denials"]).json();
    let attempt = &record["modules"][0]["attempts"][0];
    let rules: Vec<_> = attempt["denials"]["refused"].as_array().unwrap().iter().map(|each| &each["rule"]).collect();
    assert_eq!(rules, ["protect_home", "read_write_paths"]);
    let plain = root.updates(&["--json", "runner", "denied"]).json();
    assert!(plain["modules"][0]["attempts"][0].get("denials").is_none());
}

#[test]
fn a_declared_folder_that_is_not_there_yet_is_there_as_in_a_run_and_told_of_when_it_is_used() {
    let code = r#"
def main(args=None):
    with open("/etc/greeting.d/10-hello", "w") as greeting:
        greeting.write("Hello.")
    return {"success": True}
"#;
    let root = Root::new();
    root.write("/srv/app/file", "");
    let module = Module::python("greeting", "1.0", code);
    let declared = module.declares(&["/etc/greeting.d/", "/srv/app/unused/deep/"]);
    let learned = learn(&root, &declared, &[]);
    assert_eq!(backup_paths(&learned), ["/etc/greeting.d/"]);
}
