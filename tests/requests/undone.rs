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
    insta::assert_json_snapshot!(calls(&root)[4..]);
    assert!(root.exists("/opt/units/web.service.active") && root.exists("/opt/units/web.service.enabled"));
    assert!(!root.exists("/opt/units/idle.service.active") && !root.exists("/opt/units/idle.service.enabled"));
    assert_eq!(root.read("/opt/units/web.service.read"), "before", "it reads what was put back");
    insta::assert_json_snapshot!(record["modules"][0]["rollback"]["services"]);
}

#[test]
fn a_service_that_only_read_its_configuration_anew_does_so_once_more_and_never_stops() {
    let root = machine();
    root.install(&module("open('/srv/app/conf', 'w').write('after')\nservice.reload('web')\nreturn None"));
    root.run(&["--no-sync"]).0.expect(20);
    assert_eq!(calls(&root), ["reload web.service", "reload web.service"]);
    assert_eq!(root.read("/opt/units/web.service.read"), "before");
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
    assert_eq!(calls(&root), ["stop web.service", "start web.service", "stop web.service", "start web.service"]);
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
    assert!(error.contains("web.service is down and was up before the module ran"), "{error}");
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
