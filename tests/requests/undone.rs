//! What a module had changed about services goes back with it: when it fails, and when the supervisor is killed.

use std::time::Duration;

use super::machine::{calls, machine, module};
use super::support::{Module, until};

const CHANGE: &str = r#"
open("/srv/app/conf", "w").write("after")
service.restart("web")
service.disable("web")
service.start("idle")
service.enable("idle")
"#;

#[test]
fn a_failed_modules_services_are_as_they_were_with_the_files_of_then() {
    let root = machine();
    root.install(&module(&format!("{}\nreturn {{'success': False, 'error': 'no'}}", CHANGE.trim())));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(20);
    assert_eq!(record["modules"][0]["status"], "rolled_back", "{record:#}");
    assert_eq!(
        &calls(&root)[..4],
        ["restart web.service", "disable web.service", "start idle.service", "enable idle.service"]
    );
    let back = calls(&root)[4..].to_vec();
    let at = |verb: &str, unit: &str| {
        let is_it = |call: &String| call.starts_with(verb) && call.contains(unit);
        back.iter().position(is_it).unwrap_or_else(|| panic!("no {verb} {unit} in {back:#?}"))
    };
    assert!(at("stop", "idle") < at("start", "web") && at("stop", "web") < at("start", "web"), "{back:#?}");
    assert!(at("disable", "idle") < back.len() && at("enable", "web") < back.len(), "{back:#?}");
    assert!(root.exists("/opt/units/web.service.active") && root.exists("/opt/units/web.service.enabled"));
    assert!(!root.exists("/opt/units/idle.service.active") && !root.exists("/opt/units/idle.service.enabled"));
    assert_eq!(root.read("/opt/units/web.service.read"), "before", "it reads what was put back");
    let steps = record["modules"][0]["rollback"]["services"].to_string();
    assert!(steps.contains("start") && steps.contains("web.service"), "{steps}");
}

/// What was asked of units; whether systemd reads its unit files anew meanwhile does not matter.
fn verbs(root: &super::support::Root) -> Vec<String> {
    calls(root).into_iter().filter(|call| call != "daemon-reload").collect()
}

#[test]
fn a_service_whose_files_come_back_runs_with_them_again() {
    let root = machine();
    root.install(&module("open('/srv/app/conf', 'w').write('after')\nservice.reload('web')\nreturn None"));
    root.run(&["--no-sync"]).0.expect(20);
    assert_eq!(verbs(&root), ["reload web.service", "stop web.service", "start web.service"]);
    assert_eq!(root.read("/opt/units/web.service.read"), "before");
}

#[test]
fn a_service_is_left_alone_when_nothing_below_it_had_changed() {
    let root = machine();
    root.install(&module("return None"));
    root.run(&["--no-sync"]).0.expect(20);
    assert_eq!(calls(&root), Vec::<String>::new());
}

#[test]
fn a_service_that_a_module_changed_behind_our_back_is_as_it_was() {
    let root = machine();
    // As `systemctl` of a module under the profile legacy would.
    let ends = "import os\nos.remove('/opt/units/web.service.active')\nreturn None";
    root.install(&module(ends).sandbox("volatile_paths", serde_json::json!(["/opt/units/"])));
    root.run(&["--no-sync"]).0.expect(20);
    assert_eq!(verbs(&root), ["start web.service"]);
    assert!(root.exists("/opt/units/web.service.active"));
}

#[test]
fn a_systemctl_that_does_not_answer_keeps_the_module_from_running_and_nobody_else() {
    let root = machine();
    let script =
        root.read("/opt/units/systemctl").replace("if [ $verb = show ]; then", "if [ $verb = show ]; then exit 1");
    root.write("/opt/units/systemctl", script);
    root.install(&module("open('/srv/app/conf', 'w').write('after')\nreturn True")).install(&Module::idle("idle", "1"));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(20);
    let modules = record["modules"].as_array().unwrap();
    let app = modules.iter().find(|module| module["module"] == "app").unwrap();
    assert_eq!(app["status"], "failed", "{record:#}");
    let message = app["message"].as_str().unwrap();
    assert!(message.starts_with("did not run, since its checkpoint can't be taken: "), "{message}");
    assert!(message.contains("systemctl failed"), "{message}");
    assert_eq!(root.read("/srv/app/conf"), "before");
    assert!(modules.iter().any(|module| module["module"] == "idle" && module["status"] == "succeeded"));
}

#[test]
fn on_a_machine_without_systemd_a_module_runs_and_may_change_no_unit() {
    let root = machine();
    let script = root.read("/opt/units/systemctl");
    let absent = "echo 'System has not been booted with systemd as init system.' >&2; exit 1";
    root.write(
        "/opt/units/systemctl",
        script.replace("here=${0%/*}", &format!("here=${{0%/*}}\n[ -e $here/late ] || {{ {absent}; }}")),
    );
    // It comes up while the module runs.
    let late = "open('/opt/units/late', 'w')\nreturn {'success': True, 'stop': service.stop('web')}";
    root.install(&module(late).sandbox("volatile_paths", serde_json::json!(["/opt/units/"])));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    assert_eq!(record["modules"][0]["result"]["stop"], false, "{record:#}");
    assert_eq!(calls(&root), Vec::<String>::new());
    let trail = super::machine::trail(&root);
    assert!(trail[0].contains("web.service is left as it is: systemd did not run when app was started"), "{trail:#?}");
}

#[test]
fn a_module_that_ran_well_keeps_what_it_did() {
    let root = machine();
    root.install(&module(&format!("{}\nreturn True", CHANGE.trim())));
    root.run(&["--no-sync"]).0.expect(0);
    assert_eq!(calls(&root).len(), 4);
    assert!(root.exists("/opt/units/idle.service.active") && !root.exists("/opt/units/web.service.enabled"));
}

#[test]
fn what_an_attempt_before_the_restart_changed_is_taken_back_as_well() {
    let root = machine();
    root.install(&module(
        "if os.environ['UPDATES_ATTEMPT'] == '1':\n    service.stop('web')\n    return False\nservice.start('web')\nreturn None",
    ));
    root.run(&["--no-sync"]).0.expect(20);
    assert_eq!(&calls(&root)[..2], ["stop web.service", "start web.service"]);
    assert!(root.exists("/opt/units/web.service.active"));
}

#[test]
fn a_rollback_that_can_not_start_a_service_again_says_so_and_is_tried_again() {
    let root = machine();
    root.install(&module("service.stop('web')\nreturn None"));
    // The module stops it; from then on it does not start.
    let script = root.read("/opt/units/systemctl").replace("stop) rm", "stop) touch $here/$1.fails; rm");
    root.write("/opt/units/systemctl", script);
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(21);
    let error = record["modules"][0]["rollback"]["error"].as_str().unwrap();
    assert!(error.contains("web.service") && error.contains("Job for web.service failed"), "{error}");
    assert!(error.contains("`updates recover`"), "{error}");
    std::fs::remove_file(root.at("/opt/units/web.service.fails")).unwrap();
    root.updates(&["recover"]).expect(0);
    assert!(root.exists("/opt/units/web.service.active"));
}

#[test]
fn after_a_sigkill_to_the_supervisor_the_next_start_puts_services_back() {
    let root = machine();
    root.install(&Module::idle("idle", "1"));
    root.install(&module(&format!("{}\nopen('/srv/app/done', 'w')\nimport time\ntime.sleep(100)", CHANGE.trim())));
    let mut started = root.start(&["run", "--no-sync"]);
    until("the module has changed everything", || root.exists("/srv/app/done"));
    assert!(started.is_running());
    started.kill_after(Duration::ZERO);
    assert!(root.exists("/opt/units/idle.service.active"));
    // A child that was about to become a runner holds the lock until it sees that its supervisor is gone.
    let (ran, record) = root.run(&["--no-sync", "--wait=20", "idle"]);
    ran.expect(0);
    assert_eq!(record["recovered"][0]["module"], "app", "{record:#}");
    assert!(root.exists("/opt/units/web.service.active") && root.exists("/opt/units/web.service.enabled"));
    assert!(!root.exists("/opt/units/idle.service.active") && !root.exists("/opt/units/idle.service.enabled"));
    assert_eq!(root.read("/opt/units/web.service.read"), "before");
    assert_eq!(root.read("/srv/app/conf"), "before");
}
