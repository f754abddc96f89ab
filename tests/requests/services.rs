//! Services: what is declared is controlled by systemd on the module's behalf, and nothing else.

use serde_json::json;

use super::machine::{calls, machine, module, trail};
use super::support::{Module, Root};

#[test]
fn a_declared_service_is_looked_at_and_controlled() {
    let root = machine();
    root.install(&module(
        r#"
return {"success": True, "before": service.status("web"), "start": service.start("idle"),
        "active": service.is_active("idle.service"), "enable": service.enable("idle"),
        "enabled": service.is_enabled("idle"), "reload": service.reload("web"), "restart": service.restart("web"),
        "stop": service.stop("idle"), "disable": service.disable("idle"), "after": service.is_active("idle")}
"#,
    ));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    insta::assert_json_snapshot!(record["modules"][0]["result"]);
    insta::assert_json_snapshot!(record["modules"][0]["attempts"][0]["requests"]);
    insta::assert_json_snapshot!(trail(&root));
    assert_eq!(
        calls(&root),
        [
            "start idle.service",
            "enable idle.service",
            "reload web.service",
            "restart web.service",
            "stop idle.service",
            "disable idle.service"
        ]
    );
}

#[test]
fn what_is_not_declared_or_keeps_the_machine_running_is_refused_and_logged() {
    let root = machine();
    // Declared under an alias of its own making.
    root.write("/opt/units/idle.service.id", "systemd-logind.service");
    root.install(
        &module(
            r#"
tried = ["sshd", "systemd-journald", "updates.timer", "reboot.target", "dbus", "idle", "web --now", "../web", "-H", ""]
return {"success": True, "restart": [service.restart(unit) for unit in tried], "status": service.status("sshd"),
        "resolved": service.restart("systemd-resolved"), "look": service.is_active("systemd-resolved")}
"#,
        )
        .configuration("services", json!(["systemd-resolved"])),
    );
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    insta::assert_json_snapshot!(record["modules"][0]["result"]);
    insta::assert_json_snapshot!(trail(&root));
    assert_eq!(calls(&root), Vec::<String>::new());
}

#[test]
fn a_unit_that_keeps_the_machine_running_can_not_be_declared_for_control() {
    let root = machine();
    root.install(&module("return True").sandbox("services", json!(["web", "systemd-logind"])));
    let (_, record) = root.run(&["--no-sync"]);
    assert_eq!(record["modules"][0]["status"], "unusable", "{record:#}");
    insta::assert_json_snapshot!(
        record["modules"][0]["message"].as_str().unwrap().replace(root.path().to_str().unwrap(), "[root]")
    );
}

#[test]
fn a_check_may_look_at_services_and_change_none() {
    let root = machine();
    root.install(&module(
        r#"
return {"success": True, "status": service.is_active("web"), "stop": service.stop("web")}
"#,
    ));
    let ran = root.updates(&["check", "--no-sync", "--json"]);
    assert_eq!(calls(&root), Vec::<String>::new(), "{ran:#?}");
    assert!(ran.stderr.contains("service.stop is refused: a check changes nothing"), "{}", ran.stderr);
    assert!(ran.stdout.contains("\"status\": true"), "{}", ran.stdout);
}

#[test]
fn below_a_root_the_services_of_this_machine_are_not_touched() {
    let root = Root::new();
    root.folder("/srv/app")
        .install(&module("return {'success': True, 'done': [service.start('web'), service.status('web')]}"));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    assert_eq!(record["modules"][0]["result"]["done"], json!([false, null]));
    insta::assert_json_snapshot!(trail(&root));
}

#[test]
fn a_service_that_fails_is_told_with_what_systemd_says() {
    let root = machine();
    root.write("/opt/units/idle.service.fails", "");
    root.install(&module("return {'success': True, 'start': service.start('idle')}"));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    assert_eq!(record["modules"][0]["result"]["start"], json!(false));
    let trail = trail(&root);
    assert!(trail[0].contains("failed: ") && trail[0].ends_with("exited with error code."), "{trail:#?}");
}

#[test]
fn a_systemctl_that_hangs_costs_the_module_its_own_time_only() {
    let root = machine();
    root.write("/opt/units/idle.service.hangs", "");
    root.install(&module("service.start('idle')\nreturn True").sandbox("runtime_max_sec", json!(2)));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(20);
    assert_eq!(record["modules"][0]["attempts"][0]["outcome"]["kind"], "timed_out", "{record:#}");
    assert_eq!(record["modules"][0]["status"], "rolled_back", "{record:#}");
    assert!(trail(&root)[0].contains("did not answer within"), "{:#?}", trail(&root));
}

#[test]
fn an_executable_asks_on_its_third_descriptor() {
    let root = machine();
    let script = r#"#!/bin/sh
ask() { printf '{"type":"request","id":1,"operation":"%s","arguments":{"unit":"%s"}}\n' "$1" "$2" >&3; read -r reply <&3; }
ask service.restart web
echo "$reply" >/srv/app/replies
ask service.restart sshd
echo "$reply" >>/srv/app/replies
"#;
    let module = Module::executable("app", "1", script).declares(&["/srv/app/"]);
    root.install(&module.sandbox("services", json!(["web"])));
    root.run(&["--no-sync"]).0.expect(0);
    insta::assert_snapshot!(root.read("/srv/app/replies"));
    assert_eq!(calls(&root), ["restart web.service"]);
}
