//! What modules call, inside the sandbox and with the supervisor answering: the result on stdout, the log on stderr.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::{Value, json};
use support::{Module, Ran, Root};

/// A module that declares `/srv/app/` and whose `main` has this body.
fn module(body: &str) -> Module {
    let body = body.trim_matches('\n').replace('\n', "\n    ");
    Module::python("app", "1.2.0", &format!("import os\n\ndef main(args=None):\n    {body}\n")).declares(&["/srv/app/"])
}

fn root() -> Root {
    let root = Root::new();
    root.write_as("/srv/app/app.conf", "before\n", 0o640, 0, 1_000_000_000);
    root
}

/// Runs it by `updates runner PATH`: the result, and the log without times.
#[track_caller]
fn runs(root: &Root, module: &Module) -> (Value, String) {
    let (ran, result) = starts(root, module);
    assert_eq!(ran.code, 0, "{result:#}\n{}", ran.stderr);
    (result, log(&ran))
}

#[track_caller]
fn starts(root: &Root, module: &Module) -> (Ran, Value) {
    let folder = root.at("/home/author/modules");
    module.write_into(&folder);
    let ran = root.updates(&["runner", folder.join(&module.name).to_str().unwrap()]);
    let result = ran.json();
    (ran, result)
}

fn log(ran: &Ran) -> String {
    let without_time = |line: &str| match line.split_once("] ") {
        Some((time, rest)) if time.starts_with("[20") => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    ran.stderr.lines().map(without_time).collect()
}

#[test]
fn a_module_saves_and_restores_its_own_state() {
    let root = root();
    let (result, log) = runs(
        &root,
        &module(
            r#"
from updates.utils.state_manager import StateManager
manager = StateManager()
seen = {"before": manager.has_backup("app")}
seen["backup"] = manager.backup_module_state("app", description="by hand", files=["/srv/app/app.conf"])
with open("/srv/app/app.conf", "w") as file:
    file.write("broken\n")
info = manager.get_backup_info("app")
seen["info"] = [info.module_name, info.description, info.backup_dir, info.files, info.services, info.databases]
seen["types"] = [type(info.timestamp).__name__, len(info.checksum)]
seen["list"] = sorted(manager.list_module_backups())
seen["restore"] = manager.restore_module_state("app")
seen["content"] = open("/srv/app/app.conf").read()
seen["removed"] = manager.remove_module_backup("app")
seen["after"] = manager.has_backup("app")
seen["restore_of_nothing"] = manager.restore_module_state("app")
return {"success": True, "seen": seen}
"#,
        ),
    );
    insta::assert_json_snapshot!(result["seen"]);
    insta::assert_snapshot!(log);
    let metadata = root.at("/srv/app/app.conf").metadata().unwrap();
    assert_eq!((metadata.mtime(), metadata.mode() & 0o7777), (1_000_000_000, 0o640));
}

#[test]
fn the_simple_functions_do_the_same() {
    let (result, _) = runs(
        &root(),
        &module(
            r#"
from updates.utils.state_manager import backup_module_simple, create_state_manager, restore_module_simple
import inspect
return {"success": True, "manager": type(create_state_manager()).__name__,
        "signatures": [str(inspect.signature(each)) for each in (backup_module_simple, restore_module_simple)]}
"#,
        ),
    );
    insta::assert_json_snapshot!(result);
}

#[test]
fn what_is_not_declared_is_refused_and_the_line_names_what_to_declare() {
    let root = root();
    root.write("/srv/other/file", "not yours");
    let (result, log) = runs(
        &root,
        &module(
            r#"
from updates.utils.state_manager import StateManager
from updates.utils.permissions import PermissionManager, PermissionTarget
manager = StateManager()
target = PermissionTarget("/srv/other/file", "root", "root", 0o777)
return {"success": True,
        "backup": manager.backup_module_state("app", files=["/srv/app/app.conf", "/srv/other/file"]),
        "climb": manager.backup_module_state("app", files=["/srv/app/../other/file"]),
        "relative": manager.backup_module_state("app", files=["app.conf"]),
        "permissions": PermissionManager("app").set_permissions([target]),
        "elsewhere": StateManager("/srv/app/backups").backup_module_state("app", files=["/srv/app/app.conf"]),
        "bad_name": manager.backup_module_state("../app", files=["/srv/app/app.conf"]),
        "has": manager.has_backup("app")}
"#,
        ),
    );
    insta::assert_json_snapshot!(result);
    insta::assert_snapshot!(log);
}

#[test]
fn the_slot_of_another_module_is_refused() {
    let root = root();
    let save = r#"
from updates.utils.state_manager import StateManager
return {"success": StateManager().backup_module_state("app", files=["/srv/app/app.conf"])}
"#;
    runs(&root, &module(save));
    let code = r#"
from updates.utils.state_manager import StateManager

def main(args):
    manager = StateManager()
    return {"success": True, "info": manager.get_backup_info("app"), "restore": manager.restore_module_state("app"),
            "remove": manager.remove_module_backup("app"), "list": sorted(manager.list_module_backups()),
            "overwrite": manager.backup_module_state("app", files=[])}
"#;
    let (result, log) = runs(&root, &Module::python("thief", "1", code));
    insta::assert_json_snapshot!(result);
    insta::assert_snapshot!(log);
}

#[test]
fn permissions_are_set_by_the_supervisor() {
    let root = root();
    root.write_as("/srv/app/data/deep/file", "", 0o600, 0, 1_000_000_000);
    let (result, log) = runs(
        &root,
        &module(
            r#"
from updates.utils.permissions import (PermissionManager, PermissionTarget, create_service_permission_targets,
                                       get_permissions)
targets = [PermissionTarget("/srv/app/app.conf", "nobody", "nogroup", "0644"),
           PermissionTarget("/srv/app/data", "daemon", "daemon", 0o750, "directory", recursive=True)]
done = PermissionManager("app").set_permissions(targets)
again = PermissionManager("app").set_permissions(targets)
missing = PermissionManager("app").set_permissions([PermissionTarget("/srv/app/missing", "root", "root", 0o600)])
nobody = PermissionManager("app").set_permissions([PermissionTarget("/srv/app/app.conf", "no-such-user", "root", 0o600)])
return {"success": True, "done": done, "again": again, "missing": missing, "nobody": nobody,
        "conf": get_permissions("/srv/app/app.conf"),
        "usual": [vars(each) for each in create_service_permission_targets("app", config_dir="/etc/app")]}
"#,
        ),
    );
    insta::assert_json_snapshot!(result);
    insta::assert_snapshot!(log);
    let conf = root.at("/srv/app/app.conf").metadata().unwrap();
    assert_eq!((conf.uid(), conf.mode() & 0o7777), (65534, 0o644));
    let data = root.at("/srv/app/data/deep/file").metadata().unwrap();
    assert_eq!(data.uid(), 1);
}

#[test]
fn what_is_not_there_or_not_declared_is_a_clear_error_and_no_made_up_success() {
    let (result, log) = runs(
        &root(),
        &module(
            r#"
from updates.utils.version_control import checkout_last_safe, checkout_module_version, list_module_versions
from updates.utils.state_manager import StateManager
manager = StateManager()
return {"success": True, "checkout": checkout_module_version("app", "1.0.0"), "safe": checkout_last_safe("app"),
        "versions": list_module_versions("app"),
        "services": manager.backup_module_state("app", services=["nginx"]),
        "databases": manager.backup_module_state("app", databases=[{"type": "postgresql", "database": "app"}])}
"#,
        ),
    );
    insta::assert_json_snapshot!(result);
    insta::assert_snapshot!(log);
}

#[test]
fn wrong_arguments_raise_before_anything_is_asked() {
    let (result, _) = runs(
        &root(),
        &module(
            r#"
from updates.utils.permissions import PermissionTarget
from updates.utils.state_manager import StateManager, StateManagerError
seen = []
for action in (lambda: StateManager().backup_module_state(""), lambda: StateManager().backup_module_state("app", files=[3]),
               lambda: PermissionTarget("/srv/app", "root", "root", "rwx"),
               lambda: PermissionTarget("/srv/app", "root", "root", 0o640, "socket")):
    try:
        seen.append(repr(action()))
    except (StateManagerError, ValueError) as error:
        seen.append("%s: %s" % (type(error).__name__, error))
return {"success": True, "seen": seen}
"#,
        ),
    );
    insta::assert_json_snapshot!(result["seen"]);
}

#[test]
fn every_import_path_of_the_original_leads_to_the_same_objects() {
    let (result, log) = runs(
        &root(),
        &module(
            r#"
from updates.index import log_message
from updates.utils import log_message as second
from updates.utils.index import get_module_version, log_message as third
from initialization.files.user_local_lib.updates.utils.state_manager import StateManager as old
from initialization.files.user_local_lib.updates.index import log_message as fourth
from initialization.files.user_local_lib.updates.utils.permissions import PermissionTarget as old_target
from updates.utils.permissions import PermissionTarget
from updates.utils.state_manager import StateManager
log_message("a warning", "WARNING")
log_message("an error", level="ERROR")
log_message("for the author", "DEBUG")
log_message("an odd level", "LOUD")
log_message("two\nlines")
return {"success": True, "same": [second is log_message, third is log_message, fourth is log_message,
        old is StateManager, old_target is PermissionTarget],
        "version": get_module_version(os.path.dirname(__file__)), "no_version": get_module_version("/srv")}
"#,
        ),
    );
    insta::assert_json_snapshot!(result);
    insta::assert_snapshot!(log);
}

#[test]
fn a_module_is_a_package_with_components() {
    let module = Module::python(
        "app",
        "1",
        "from . import settings\nfrom .components.web import serve\nfrom .components import mail\nimport helper\n\
         def main(args):\n    return {'success': True, 'said': [serve(), mail.NAME, settings.NAME, helper.NAME], \
         'file': __file__, 'package': __package__, 'name': __name__}\n",
    )
    .file("__init__.py", "")
    .file("settings.py", "NAME = 'settings'\n")
    .file("helper.py", "NAME = 'helper'\n")
    .file("components/__init__.py", "")
    .file("components/mail.py", "NAME = 'mail'\n")
    .file("components/web.py", "from ..settings import NAME\ndef serve():\n    return 'web with ' + NAME\n");
    let root = root();
    root.install(&module);
    let ran = root.updates(&["runner", "app"]);
    ran.expect(0);
    insta::assert_json_snapshot!(ran.json());
}

#[test]
fn maintenance_gets_the_whole_manifest_and_runs_before_main() {
    let root = root();
    root.install(
        &module("return {'success': True, 'conf': open('/srv/app/app.conf').read()}")
            .configuration("keep_days", json!(7))
            .file(
                "maintenance.py",
                "from updates.index import log_message\n\nclass Base:\n    pass\n\nclass AppMaintenance(Base):\n    \
                 def __init__(self, config):\n        self.config = config\n\n    def run_maintenance(self):\n        \
                 log_message('keeping %d days' % self.config['configuration']['keep_days'])\n        \
                 open('/srv/app/app.conf', 'w').write(self.config['metadata']['name'])\n        return True\n",
            ),
    );
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    assert_eq!(record["modules"][0]["result"]["conf"], "app");
    let attempts = record["modules"][0]["attempts"].as_array().unwrap();
    let phases: Vec<_> = attempts.iter().map(|attempt| attempt["phase"].as_str().unwrap()).collect();
    assert_eq!(phases, ["maintenance", "main"]);
    assert!(ran.stderr.contains("keeping 7 days"), "{}", ran.stderr);
}

#[test]
fn the_global_index_and_the_debug_flag_are_read() {
    let root = root();
    root.install(
        &module(
            r#"
import json
from updates.utils.moduleUtils import conditional_config_return, get_module_debug_mode, load_root_config
with open("index.json") as file:
    config = json.load(file)
root = load_root_config()
return conditional_config_return({"success": True, "debug": get_module_debug_mode(config),
                                  "root": isinstance(root, dict) and bool(root)}, config)
"#,
        )
        .configuration("debug", json!(true)),
    );
    root.updates(&["run", "--no-sync"]).expect(0);
    // The first run has published the index that the second one reads.
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    insta::assert_json_snapshot!(record["modules"][0]["result"]);
}

#[test]
fn the_state_directory_is_kept_between_attempts_and_runs() {
    let root = root();
    root.install(&module(
        r#"
path = os.environ["STATE_DIRECTORY"] + "/count"
count = int(open(path).read()) + 1 if os.path.exists(path) else 1
open(path, "w").write(str(count))
if count == 1:
    return False
return {"success": True, "count": count, "directory": os.environ["STATE_DIRECTORY"]}
"#,
    ));
    let (_, record) = root.run(&["--no-sync"]);
    assert_eq!(
        record["modules"][0]["result"],
        json!({"success": true, "count": 2, "directory": "/var/lib/updates/state/app"})
    );
    let (_, record) = root.run(&["--no-sync"]);
    assert_eq!(record["modules"][0]["result"]["count"], 3);
}

#[test]
fn what_a_module_sees_of_the_machine() {
    let root = root();
    root.write("/etc/only-here", "in the root").write("/etc/hostname", "the root's\n");
    let place = root.at("/srv/app");
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (result, _) = runs(
        &root,
        &module(
            r#"
import errno, socket, sys

def attempt(action):
    try:
        action()
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]

return {"success": True,
        "root": open("/etc/only-here").read(), "hostname_file": open("/etc/hostname").read(),
        "usr": attempt(lambda: open("/usr/new", "w")), "etc": attempt(lambda: open("/etc/only-here", "w")),
        "srv": attempt(lambda: open("/srv/new", "w")), "declared": attempt(lambda: open("/srv/app/new", "w")),
        "tmp": sorted(os.listdir("/tmp")), "write_tmp": attempt(lambda: open("/tmp/x", "w")),
        "supervisor": {each: os.path.exists(each) and os.access(each, os.R_OK) for each in (
            "/var/lib/updates/updates.db", "/var/lib/updates/checkpoints", "/var/backups/updates")},
        "cwd": os.getcwd() == os.path.dirname(os.path.abspath(__file__)),
        "secret": "SECRET_OF_THE_SERVICE" in os.environ,
        "no_new_privs": [line.split()[1] for line in open("/proc/self/status") if line.startswith("NoNewPrivs")],
        "mount": attempt(lambda: socket.sethostname("other"))}
"#,
        ),
    );
    insta::assert_json_snapshot!(result);
}
