//! Slots that a module asks for: what it declares and nothing else, its own and nobody else's, and put back with the module
//! that made them.

use std::time::Duration;

use serde_json::{Value, json};

use super::machine::{calls, machine, trail};
use super::support::{Module, Root, until};

/// A module with `state`, a `StateManager`, at hand.
fn module(name: &str, body: &str) -> Module {
    let body = body.trim_matches('\n').replace('\n', "\n    ");
    let code = format!(
        "import os, time\nfrom updates import service\nfrom updates.utils.state_manager import StateManager\n\n\n\
         def main(args=None):\n    state = StateManager()\n    {body}\n"
    );
    Module::python(name, "1.0.0", &code)
        .declares(&[&format!("/srv/{name}/")])
        .sandbox("services", json!(["web", "idle.service"]))
}

fn slot(root: &Root, file: &str) -> String {
    root.read(&format!("/var/backups/updates/{file}"))
}

#[test]
fn files_services_and_databases_that_are_declared_are_saved_and_put_back() {
    let root = machine();
    root.install(&module(
        "app",
        r#"
made = state.backup_module_state("app", "all of it", ["/srv/app/conf"], ["web", "idle"])
info = state.get_backup_info("app")
open("/srv/app/conf", "w").write("after")
service.stop("web")
back = state.restore_module_state("app")
plain = service.is_active("idle")
forced = state.restore_module_state_with_forced_service_start("app")
return {"success": True, "made": made, "back": back, "forced": forced, "idle": [plain, service.is_active("idle")],
        "services": info.services, "databases": info.databases, "files": info.files, "dir": info.backup_dir}
"#,
    ));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    let result = &record["modules"][0]["result"];
    assert_eq!([&result["made"], &result["back"], &result["forced"]], [true, true, true], "{:#?}", trail(&root));
    assert_eq!(result["services"], json!(["idle.service", "web"]));
    assert_eq!(result["databases"], json!([]));
    assert_eq!(result["files"], json!(["/srv/app/conf"]));
    assert_eq!(result["dir"], "/var/backups/updates/app_backup");
    assert_eq!(result["idle"], json!([false, true]), "{:#?}", calls(&root));
    assert_eq!(root.read("/srv/app/conf"), "before");
    assert!(root.exists("/opt/units/web.service.active"));
}

#[test]
fn what_is_not_declared_is_refused_by_name() {
    let root = machine();
    root.install(
        &module(
            "app",
            r#"
elsewhere = {"type": "postgresql", "database": "other", "password": "hunter2"}
declared = {"type": "postgresql", "database": "app", "host": "other.example"}
return {"success": True, "made": [
    state.backup_module_state("app", files=["/srv/other/x"]),
    state.backup_module_state("app", services=["sshd"]),
    state.backup_module_state("app", services=["systemd-logind"]),
    state.backup_module_state("app", databases=[elsewhere]),
    state.backup_module_state("app", databases=[declared]),
    state.backup_module_state("app", databases=[{"type": "sqlite", "database": "/srv/other/db"}]),
    state.backup_module_state("app", databases=[{"type": "oracle", "database": "x"}]),
    state.backup_module_state("other"),
]}
"#,
        )
        .configuration("services", json!(["systemd-logind"])),
    );
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    assert_eq!(record["modules"][0]["result"]["made"], json!(vec![false; 8]));
    let trail = trail(&root);
    let expected = [
        "/srv/other/x is not declared by app",
        "sshd.service is not declared by app",
        "systemd-logind.service",
        "PostgreSQL other is not declared by app: add it to configuration.databases",
        "PostgreSQL app at other.example is not declared by app",
        "SQLite /srv/other/db is not declared by app",
        "oracle",
        "the backup other is not the module's own",
    ];
    for (line, expected) in trail.iter().zip(expected) {
        assert!(line.contains(" refused: ") && line.contains(expected), "{expected}: {line}");
    }
    assert!(!trail.iter().any(|line| line.contains("hunter2")), "{trail:#?}");
    assert!(!root.exists("/var/backups/updates/app_backup"));
}

const FORMER: &str = "state.backup_module_state('app', 'former', ['/srv/app/conf'])\nreturn True";

/// A machine whose module `app` has made the slots `app` and `app_gone`, and now has another body.
fn with_former(body: &str) -> Root {
    let root = machine();
    root.install(&module(
        "app",
        &format!("state.backup_module_state('app_gone', 'former', ['/srv/app/conf'])\n{FORMER}"),
    ));
    root.run(&["--no-sync"]).0.expect(0);
    assert_eq!(slot(&root, "app_backup/files/srv/app/conf"), "before");
    root.install(&module("app", body));
    root
}

/// Replaces one slot twice, removes another, makes a third twice.
const CHANGE: &str = r#"
open("/srv/app/conf", "w").write("after")
done = [state.backup_module_state("app", "new", ["/srv/app/conf"]), state.backup_module_state("app", "newer", ["/srv/app/conf"]),
        state.remove_module_backup("app_gone"), state.backup_module_state("app_more", "new", ["/srv/app/conf"]),
        state.backup_module_state("app_more", "newer", ["/srv/app/conf"])]
"#;

fn assert_as_before(root: &Root) {
    assert_eq!(root.read("/srv/app/conf"), "before");
    assert_eq!(slot(root, "app_backup/files/srv/app/conf"), "before");
    assert_eq!(slot(root, "app_gone_backup/files/srv/app/conf"), "before");
    let mut left: Vec<_> = root
        .at("/var/backups/updates")
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["app_backup", "app_gone_backup", "module_backups.json"]);
    let index = root.read_json("/var/backups/updates/module_backups.json");
    assert_eq!(index.as_object().unwrap().keys().collect::<Vec<_>>(), ["app", "app_gone"], "{index:#}");
    assert_eq!(index["app"]["description"], "former");
}

#[test]
fn a_module_that_fails_gets_back_the_state_of_before_and_then_its_own_slots() {
    let root = with_former(&format!("{}\nreturn {{'success': False, 'done': done}}", CHANGE.trim()));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(20);
    assert_eq!(record["modules"][0]["status"], "rolled_back", "{record:#}");
    assert_eq!(record["modules"][0]["result"]["done"], json!(vec![true; 5]), "{:#?}", trail(&root));
    assert_as_before(&root);
}

#[test]
fn after_a_sigkill_to_the_supervisor_the_next_start_puts_a_modules_slots_back() {
    let root = with_former(&format!("{}\nopen('/srv/app/done', 'w')\ntime.sleep(100)", CHANGE.trim()));
    root.install(&Module::idle("idle", "1"));
    let started = root.start(&["run", "--no-sync"]);
    until("the module has changed everything", || root.exists("/srv/app/done"));
    started.kill_after(Duration::ZERO);
    assert_eq!(slot(&root, "app_backup/files/srv/app/conf"), "after");
    let (ran, record) = root.run(&["--no-sync", "--wait=20", "idle"]);
    ran.expect(0);
    assert_eq!(record["recovered"][0]["complete"], true, "{record:#}");
    assert_as_before(&root);
}

#[test]
fn a_module_that_ran_well_keeps_the_slots_that_it_made_and_nothing_of_those_of_before() {
    let root = with_former(&format!("{}\nreturn {{'success': True, 'done': done}}", CHANGE.trim()));
    root.run(&["--no-sync"]).0.expect(0);
    assert_eq!(slot(&root, "app_backup/files/srv/app/conf"), "after");
    let index = root.read_json("/var/backups/updates/module_backups.json");
    assert_eq!(index.as_object().unwrap().keys().collect::<Vec<_>>(), ["app", "app_more"], "{index:#}");
    let mut left: Vec<_> =
        root.at("/var/backups/updates").read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["app_backup", "app_more_backup", "module_backups.json"]);
}

#[test]
fn nobody_sees_restores_or_removes_the_slot_of_another_module() {
    let root = with_former("return True");
    root.folder("/srv/ap").install(&module(
        "ap",
        r#"
return {"success": True, "list": list(state.list_module_backups()), "info": [state.get_backup_info("app") is None],
        "restore": state.restore_module_state("app"), "remove": state.remove_module_backup("app_gone"),
        "make": state.backup_module_state("app", files=["/srv/ap/"])}
"#,
    ));
    let (ran, record) = root.run(&["--no-sync", "ap"]);
    ran.expect(0);
    let result = &record["modules"][0]["result"];
    assert_eq!(result["list"], json!([]));
    assert_eq!(result["info"], json!([true]));
    assert_eq!([&result["restore"], &result["remove"], &result["make"]], [false, false, false]);
    assert_eq!(slot(&root, "app_gone_backup/files/srv/app/conf"), "before");
}

#[test]
fn a_slot_of_what_is_no_longer_declared_is_not_restored() {
    let root = machine();
    root.install(&module("app", "state.backup_module_state('app', 'x', ['/srv/app/conf'], ['web'])\nreturn True"));
    root.run(&["--no-sync"]).0.expect(0);
    root.write("/srv/app/conf", "since");
    root.install(
        &module("app", "return {'success': True, 'back': state.restore_module_state('app')}")
            .sandbox("services", json!(["idle"])),
    );
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    assert_eq!(record["modules"][0]["result"]["back"], Value::Bool(false));
    assert!(trail(&root)[0].contains("web.service is not declared by app"), "{:#?}", trail(&root));
    assert_eq!(root.read("/srv/app/conf"), "since");
}
