//! A check changes nothing, whatever the module tries.

use serde_json::json;

use super::support::{Module, Root, Source, Tree};
use super::{changes, module, statuses};

fn app(version: &str) -> Module {
    let code = r#"
import errno, os

def attempt(action):
    try:
        action()
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]

def main(args):
    tried = {
        "write": attempt(lambda: open("/srv/app/file", "w")),
        "create": attempt(lambda: open("/srv/app/new", "w")),
        "remove": attempt(lambda: os.unlink("/srv/app/file")),
        "mkdir": attempt(lambda: os.mkdir("/srv/app/folder")),
        "chmod": attempt(lambda: os.chmod("/srv/app/file", 0o777)),
        "touch": attempt(lambda: os.utime("/srv/app/file", (1, 1))),
        "state": attempt(lambda: open(os.environ["STATE_DIRECTORY"] + "/note", "w")),
        "code": attempt(lambda: open("index.py", "a")),
        "tmp": attempt(lambda: open("/tmp/scratch", "w")),
    }
    return {"success": True, "updated": True, "args": args, "check": os.environ.get("UPDATES_CHECK"), "tried": tried}
"#;
    Module::python("app", version, code).declares(&["/srv/app/"])
}

fn everything(root: &Root) -> Tree {
    Tree::of(root.path(), &["run/updates"])
}

#[test]
fn a_check_changes_nothing_and_a_module_that_tries_gets_erofs() {
    let (root, source) = (Root::new(), Source::of(&[&app("1.0.0")]));
    root.write_as("/srv/app/file", "content", 0o640, 0, 1_000_000_000);
    root.write("/etc/updates/config.toml", format!("[source]\nurl = {:?}\n", source.path()));
    root.install(&app("0.9.0"));
    let before = everything(&root);
    let ran = root.updates(&["--json", "check"]);
    before.assert_same(&everything(&root), "the check changed something");
    let record = ran.json();
    insta::assert_json_snapshot!(module(&record, "app")["result"]);
    assert_eq!(changes(&record), ["app: updated 0.9.0 -> 1.0.0"]);
    ran.expect(0);
}

#[test]
fn a_check_on_a_machine_that_has_never_run_leaves_no_trace() {
    let (root, source) = (Root::new(), Source::of(&[&app("1.0.0")]));
    let before = everything(&root);
    let ran = root.updates(&["--json", "check", "--source", source.path()]);
    before.assert_same(&everything(&root), "the check changed something");
    assert_eq!(changes(&ran.json()), ["app: installed - -> 1.0.0"]);
}

#[test]
fn a_check_after_runs_changes_nothing_either() {
    let (root, source) = (Root::new(), Source::of(&[&Module::idle("app", "1.0.0")]));
    root.run(&["--source", source.path()]).0.expect(0);
    source.publish(&[&Module::idle("app", "1.1.0")]);
    let before = everything(&root);
    let ran = root.updates(&["--json", "check", "--source", source.path()]);
    before.assert_same(&everything(&root), "the check changed something");
    assert_eq!(changes(&ran.json()), ["app: updated 1.0.0 -> 1.1.0"]);
    assert_eq!(root.installed_version("app"), "1.0.0");
}

#[test]
fn exit_code_10_says_that_something_would_change() {
    let (root, source) = (Root::new(), Source::of(&[&Module::idle("app", "1.0.0")]));
    let arguments = ["check", "--source", source.path(), "--exit-code"];
    root.updates(&arguments).expect(10);
    root.updates(&["check", "--source", source.path()]).expect(0);
    root.run(&["--source", source.path()]).0.expect(0);
    root.updates(&arguments).expect(0);
    source.publish(&[&Module::idle("app", "1.0.1")]);
    root.updates(&arguments).expect(10);
}

#[test]
fn a_module_that_says_it_would_change_something_makes_10_too() {
    let code = "def main(args):\n    return {'success': True, 'updated': '--check' in args}\n";
    let root = Root::new();
    root.install(&Module::python("app", "1", code));
    root.updates(&["check", "--no-sync", "--exit-code"]).expect(10);
}

#[test]
fn a_failing_check_is_a_failure_with_nothing_to_put_back() {
    let root = Root::new();
    root.install(&Module::python("app", "1", "def main(args):\n    raise OSError('can not look')\n"));
    root.install(&Module::idle("other", "1"));
    let ran = root.updates(&["--json", "check", "--no-sync"]);
    ran.expect(20);
    assert_eq!(statuses(&ran.json()), ["app: failed", "other: succeeded"]);
}

#[test]
fn a_module_in_a_check_can_ask_the_supervisor_for_nothing_that_changes() {
    let code = r#"
from updates.utils.state_manager import StateManager
from updates.utils.permissions import PermissionManager, PermissionTarget

def main(args):
    manager = StateManager()
    return {"success": True, "backup": manager.backup_module_state("app", files=["/srv/app/file"]),
            "remove": manager.remove_module_backup("app"),
            "permissions": PermissionManager("app").set_permissions([PermissionTarget("/srv/app/file", "root", "root", 0o777)])}
"#;
    let root = Root::new();
    root.write("/srv/app/file", "").install(&Module::python("app", "1", code).declares(&["/srv/app/"]));
    let before = everything(&root);
    let ran = root.updates(&["--json", "check", "--no-sync"]);
    before.assert_same(&everything(&root), "the check changed something");
    let expected = json!({"success": true, "backup": false, "remove": false, "permissions": false});
    assert_eq!(module(&ran.json(), "app")["result"], expected, "{}", ran.stderr);
}

#[test]
fn a_check_of_a_path_that_is_not_there_yet_does_not_make_it() {
    let root = Root::new();
    root.install(&app("1.0.0"));
    let before = everything(&root);
    root.updates(&["check", "--no-sync"]).expect(0);
    before.assert_same(&everything(&root), "the check made a placeholder");
}
