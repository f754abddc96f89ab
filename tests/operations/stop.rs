//! SIGTERM, as systemd sends it: a run ends in bounded time whatever hangs, with 130, and each module is done or undone.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use super::module;
use super::support::{Module, Root, Watch, until};

const LONG: &str = "import time\ndef main(args):\n    open('/srv/app/file', 'w').write('after')\n    \
                    open('/srv/app/here', 'w').close()\n    time.sleep(1000)\n";

#[test]
fn a_server_that_takes_the_connection_and_says_nothing_keeps_no_run_from_ending() {
    let root = Root::new();
    root.install(&Module::idle("app", "1"));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    // Longer than any test: what ends the run is the signal.
    let url = format!("http://127.0.0.1:{}/x.git", silent.local_addr().unwrap().port());
    root.write("/etc/updates/config.toml", format!("[source]\nurl = \"{url}\"\ntimeout_sec = 3600\n"));
    let run = root.start(&["--json", "run"]);
    let (connection, _) = silent.accept().unwrap();
    run.signal(Signal::TERM);
    let ran = run.end();
    drop(connection);
    ran.expect(130);
    assert_eq!(module(&ran.json(), "app")["status"], "skipped");
    root.updates(&["run", "--no-sync"]).expect(0);
}

#[test]
fn a_module_that_ignores_its_signal_is_ended_and_put_back() {
    let root = Root::new();
    root.write("/srv/app/file", "before");
    let script = "#!/bin/sh\ntrap '' TERM INT HUP\necho after >/srv/app/file\ntouch /srv/app/here\n\
                  while :; do sleep 1000; done\n";
    root.install(
        &Module::executable("app", "1", script).declares(&["/srv/app/"]).sandbox("timeout_stop_sec", 1.into()),
    );
    let run = root.start(&["--json", "run", "--no-sync"]);
    until("the module runs", || root.exists("/srv/app/here"));
    run.signal(Signal::TERM);
    run.end().expect(130);
    assert_eq!(root.read("/srv/app/file"), "before");
    Watch { root: root.path(), marker: None }.assert_none();
}

#[test]
fn a_systemd_that_hangs_while_a_checkpoint_is_taken_keeps_no_run_from_ending() {
    let root = Root::new();
    let here = root.at("/asked");
    root.write("/systemctl", format!("#!/bin/sh\ntouch {}\nexec sleep 1000\n", here.display()));
    fs::set_permissions(root.at("/systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
    let systemctl = root.at("/systemctl");
    root.write("/etc/updates/config.toml", format!("[run]\nsystemctl = \"{}\"\n", systemctl.display()));
    root.write("/srv/app/file", "before");
    let app = Module::python("app", "1", LONG).declares(&["/srv/app/"]);
    root.install(&app.configuration("services", serde_json::json!(["web.service"])));
    let run = root.start(&["--json", "run", "--no-sync"]);
    until("systemd is asked", || root.exists("/asked"));
    run.signal(Signal::TERM);
    run.end().expect(130);
    assert_eq!(root.read("/srv/app/file"), "before");
}

#[test]
fn a_signal_while_a_rollback_goes_on_lets_it_come_to_its_end() {
    let root = Root::new();
    for number in 0..300 {
        root.write(&format!("/srv/app/{number}"), "before");
    }
    let code = "import os\ndef main(args):\n    for name in os.listdir('/srv/app'):\n        \
                open('/srv/app/' + name, 'w').write('after')\n    raise RuntimeError('enough')\n";
    root.install(&Module::python("app", "1", code).declares(&["/srv/app/"]));
    root.install(&Module::idle("later", "1").metadata("priority", 200.into()));
    let before = root.tree("/srv");
    let run = root.start(&["--json", "run", "--no-sync"]);
    until("it is being put back", || run.stderr().contains("putting back what it declared"));
    run.signal(Signal::TERM);
    let ran = run.end();
    assert!(matches!(ran.code, 130 | 20), "{ran:?}");
    before.assert_same(&root.tree("/srv"), "not as before the run");
    assert!(!root.exists("/var/lib/updates/unsettled"));
}

#[test]
fn a_signal_during_the_second_attempt_puts_back_what_both_did() {
    let root = Root::new();
    root.write("/srv/app/file", "before");
    let code = "import os, time\ndef main(args):\n    open('/srv/app/file', 'a').write('attempt')\n    \
                if os.environ['UPDATES_ATTEMPT'] == '1':\n        return False\n    \
                open('/srv/app/here', 'w').close()\n    time.sleep(1000)\n";
    root.install(&Module::python("app", "1", code).declares(&["/srv/app/"]));
    let run = root.start(&["--json", "run", "--no-sync"]);
    until("it runs once more", || root.exists("/srv/app/here"));
    run.signal(Signal::TERM);
    run.end().expect(130);
    assert_eq!(root.read("/srv/app/file"), "before");
}
