//! A module against its cgroup, through a whole run: whoever takes too much ends alone, and the record says what it was.
//!
//! The same program runs here, with whatever version of cgroups this machine has, and in the virtual machine of
//! `make test-cgroup2`, where the environment says which version has to bound the module and below which group.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{Module, Root};

/// Set where skipping would hide a failure, for example to `cgroup v2`.
const EXPECTED: &str = "UPDATES_TEST_CGROUP";
/// The group below which modules have to be.
const BELOW: &str = "UPDATES_TEST_CGROUP_BELOW";

/// Runs `greedy` beside a module that does nothing; the record of `greedy`, or nothing where no cgroup bounds it.
#[track_caller]
fn run(greedy: &Module) -> Option<Value> {
    let root = Root::new();
    root.write("/srv/app/app.conf", "before\n").install(greedy).install(&Module::idle("other", "1.0.0"));
    // Asked of a harmless one: where nothing bounds a module of root, a greedy one would take the whole machine.
    let (_, record) = root.run(&["--no-sync", "other"]);
    for key in ["tasks_max", "memory_max"] {
        let restriction = restriction(&record["modules"][0]["attempts"][0], key);
        let by = restriction["by"].as_str().unwrap();
        match std::env::var(EXPECTED) {
            Ok(expected) => assert!(restriction["enforced"] == true && by.starts_with(&expected), "{restriction}"),
            Err(_) if by.starts_with("cgroup v") => {}
            Err(_) => {
                eprintln!("skipped: {key}: {by}");
                return None;
            }
        }
    }
    let (_, record) = root.run(&["--no-sync", "--jobs", "2"]);
    let find = |name: &str| record["modules"].as_array().unwrap().iter().find(|m| m["module"] == name).unwrap();
    assert_eq!(find("other")["status"], "succeeded", "{record:#}");
    assert_eq!(groups_left(Path::new("/sys/fs/cgroup"), &greedy.name), Vec::<String>::new());
    if find(&greedy.name)["status"] == "rolled_back" {
        assert_eq!(root.read("/srv/app/app.conf"), "before\n");
    }
    let attempt = &find(&greedy.name)["attempts"][0];
    if let Ok(below) = std::env::var(BELOW) {
        let group = restriction(attempt, "cgroup")["by"].as_str().unwrap().to_owned();
        assert!(group.starts_with(&below), "{group}");
    }
    Some(find(&greedy.name).clone())
}

#[track_caller]
fn restriction<'v>(attempt: &'v Value, name: &str) -> &'v Value {
    let all = attempt["enforcement"]["restrictions"].as_array().unwrap();
    all.iter().find(|each| each["name"] == name).unwrap_or_else(|| panic!("no {name} in {attempt:#}"))
}

// Groups are called after supervisor, module and attempt.
fn groups_left(directory: &Path, module: &str) -> Vec<String> {
    let mut left = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        // A group may go away while the tree is walked.
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.split('-').nth(1) == Some(module) && name.split('-').count() == 3 {
            left.push(entry.path().display().to_string());
        }
        left.extend(groups_left(&entry.path(), module));
    }
    left
}

// The name is in the name of the group, so that two tests do not see each other's.
fn greedy(name: &str, body: &str) -> Module {
    let code = format!(
        "import os, signal, subprocess, sys\n\ndef main(args=None):\n    open('/srv/app/app.conf', 'w').write('after')\n    \
         {}\n",
        body.trim().replace('\n', "\n    ")
    );
    Module::python(name, "1.0.0", &code).declares(&["/srv/app/"])
}

#[test]
fn a_module_that_takes_too_much_memory_is_ended_alone_and_the_outcome_says_why() {
    let module = greedy("hog", "taken = b'x' * (200 << 20)\nreturn {'success': True}");
    let Some(hog) = run(&module.sandbox("memory_max", json!("64M"))) else { return };
    assert_eq!(hog["status"], "rolled_back");
    assert_eq!(hog["attempts"][0]["limits_hit"], json!(["memory_max 64M was reached"]));
    assert_eq!(hog["attempts"][0]["outcome"]["name"], "SIGKILL");
    assert!(hog["message"].as_str().unwrap().contains("memory_max 64M was reached"), "{hog:#}");
}

#[test]
fn a_child_that_takes_too_much_memory_is_told_of_whatever_its_module_says() {
    let module = greedy(
        "hogchild",
        "subprocess.run([sys.executable, '-c', 'taken = b\"x\" * (200 << 20)'])\nreturn {'success': False}",
    );
    let Some(hog) = run(&module.sandbox("memory_max", json!("64M"))) else { return };
    assert_eq!(hog["status"], "rolled_back");
    assert_eq!(hog["attempts"][0]["limits_hit"], json!(["memory_max 64M was reached"]));
    assert!(hog["message"].as_str().unwrap().contains("memory_max 64M was reached"), "{hog:#}");
    // Version 1 can't end a group as a whole.
    if restriction(&hog["attempts"][0], "memory_max")["by"].as_str().unwrap().contains("memory.oom.group 1") {
        assert_eq!(hog["attempts"][0]["outcome"]["kind"], "signalled");
    }
}

#[test]
fn files_in_memory_count_as_memory() {
    let module = greedy(
        "hogfile",
        "with open('/tmp/large', 'wb') as file:\n    while True:\n        file.write(b'x' * (1 << 20))",
    );
    let Some(hog) = run(&module.sandbox("memory_max", json!("64M"))) else { return };
    assert_eq!(hog["attempts"][0]["limits_hit"], json!(["memory_max 64M was reached"]));
    assert_eq!(hog["attempts"][0]["outcome"]["kind"], "signalled");
}

#[test]
fn a_fork_bomb_is_bounded_told_of_and_gone() {
    let module = greedy(
        "bomb",
        "while True:\n    if os.fork() == 0:\n        while True:\n            signal.pause()\nreturn {'success': True}",
    );
    let Some(bomb) = run(&module.sandbox("tasks_max", json!(32))) else { return };
    assert_eq!(bomb["status"], "rolled_back");
    assert_eq!(bomb["attempts"][0]["limits_hit"], json!(["tasks_max 32 was reached"]));
    assert!(bomb["message"].as_str().unwrap().contains("tasks_max 32 was reached"), "{bomb:#}");
}
