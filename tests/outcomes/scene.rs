//! One module, one root with files that the module changes in every way, one run.

use std::fs;

use serde_json::{Value, json};

use super::support::{Module, Ran, Root, Tree, Watch, log, report};

/// What every fixture changes before it ends as it does, in Python.
const CHANGE: &str = r#"
import os, signal, subprocess, sys, time

def change():
    with open("/srv/app/app.conf", "w") as file:
        file.write("after\n")
    os.chmod("/srv/app/app.conf", 0o600)
    if os.path.exists("/srv/app/doomed"):
        os.unlink("/srv/app/doomed")
    os.makedirs("/srv/app/new/deep", exist_ok=True)
    with open("/srv/app/new/deep/file", "w") as file:
        file.write("new\n")
    with open(os.environ["STATE_DIRECTORY"] + "/note", "a") as file:
        file.write("note\n")

"#;

/// The same in shell.
const CHANGE_SH: &str = r#"#!/bin/sh
set -eu
echo after >/srv/app/app.conf
chmod 0600 /srv/app/app.conf
rm -f /srv/app/doomed
mkdir -p /srv/app/new/deep
echo new >/srv/app/new/deep/file
echo note >>"$STATE_DIRECTORY/note"
"#;

/// A Python module called `app` that declares `/srv/app/`, changes it and goes on with `body`, the inside of `main`.
pub fn python(body: &str) -> Module {
    let body = body.trim_matches('\n').replace('\n', "\n    ");
    code(&format!("{CHANGE}def main(args=None):\n    change()\n    {body}\n"))
}

/// The same with the whole `index.py`.
pub fn code(code: &str) -> Module {
    Module::python("app", "1.0.0", code).declares(&["/srv/app/"])
}

/// An executable module in shell that changes the same, and goes on with `body`.
pub fn shell(body: &str) -> Module {
    Module::executable("app", "1.0.0", &format!("{CHANGE_SH}{body}\n")).declares(&["/srv/app/"])
}

/// A run that is over.
pub struct Scene {
    pub root: Root,
    pub ran: Ran,
    pub record: Value,
    before: Tree,
}

/// Asked of a harmless module: where no cgroup can be made, nothing bounds a greedy one of root.
pub fn cgroups_bound() -> bool {
    let record = run(&python("return True")).record;
    let restrictions = record["modules"][0]["attempts"][0]["enforcement"]["restrictions"].as_array().unwrap();
    let lacking = restrictions
        .iter()
        .filter(|each| each["name"] == "tasks_max" || each["name"] == "memory_max")
        .find(|each| !each["by"].as_str().unwrap().starts_with("cgroup v"));
    lacking.inspect(|each| eprintln!("skipped: {each}")).is_none()
}

/// Runs `module` in a root where its files are as they were before.
#[track_caller]
pub fn run(module: &Module) -> Scene {
    let root = Root::new();
    root.write_as("/srv/app/app.conf", "before\n", 0o640, 0, 1_000_000_000);
    root.write_as("/srv/app/doomed", "still here\n", 0o4750, 1000, 1_100_000_000);
    std::os::unix::fs::symlink("app.conf", root.at("/srv/app/link")).unwrap();
    fs::create_dir(root.at("/srv/app/empty")).unwrap();
    // A place of the supervisor, which it makes itself otherwise.
    root.folder("/etc/updates");
    root.install(module);
    let before = root.machine();
    let (ran, record) = root.run(&["--no-sync"]);
    Scene { root, ran, record, before }
}

impl Scene {
    /// The module's part of the record, and its log, after holding the files against its status.
    #[track_caller]
    pub fn report(&self) -> Value {
        let mut report = self.report_without_log();
        let lines = self.root.updates(&["--json", "logs", "last", "app"]).json();
        report["log"] = json!(log(&lines, self.root.path()));
        report
    }

    /// The same without the log, where that is large or depends on timing.
    #[track_caller]
    pub fn report_without_log(&self) -> Value {
        self.assert_files_match_status();
        Watch { root: self.root.path(), marker: None }.assert_none();
        let mut report = report(&self.record, "app", self.root.path());
        report["exit"] = json!(self.ran.code);
        report
    }

    /// The module's status in one word.
    pub fn status(&self) -> &str {
        self.record["modules"][0]["status"].as_str().unwrap_or_default()
    }

    // Law 1 and 2: done, with all that it changed, or as if it had never run.
    #[track_caller]
    fn assert_files_match_status(&self) {
        match self.status() {
            "succeeded" | "updated" => {
                assert_eq!(self.ran.code, 0, "{}", self.ran.stderr);
                assert_eq!(self.root.read("/srv/app/app.conf"), "after\n");
                assert_eq!(self.root.read("/srv/app/new/deep/file"), "new\n");
                assert!(!self.root.exists("/srv/app/doomed"));
                assert!(self.root.exists("/var/lib/updates/state/app/note"));
            }
            "rolled_back" | "failed" => {
                assert_eq!(self.ran.code, 20, "{}", self.ran.stderr);
                let same = ["srv", "etc", "usr/local/lib/updates/modules"];
                for part in same {
                    let before = self.before.below(part);
                    before.assert_same(&self.root.machine().below(part), "not as before the run");
                }
                assert!(!self.root.exists("/var/lib/updates/state/app/note"));
            }
            other => panic!("status {other:?}: {:#}", self.record),
        }
    }
}
