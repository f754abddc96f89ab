//! Whole runs on the machine in the container: modules that ask for services, or call systemctl themselves, and fail.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::is_container;
use crate::machine::{Machine, assert_same, observe, shell, show};

/// Those that a module may declare and change here; the failed one is tested apart, since nothing makes a unit failed.
const UNITS: [&str; 9] = [
    "t-simple.service",
    "t-idle.service",
    "t-oneshot.service",
    "t-static.service",
    "t-masked.service",
    "t-restarting.service",
    "t-timer.timer",
    "t-socket.socket",
    "t-vendor.service",
];

fn updates(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_updates"));
    command.args(arguments).env_remove("UPDATES_TEST_SYSTEMD").stdin(Stdio::null());
    command
}

/// The only module of this machine: a file that is run, below `profile`.
fn install(profile: &str, file: &str, text: &str) {
    let folder = Path::new("/usr/local/lib/updates/modules/app");
    shell("rm -rf /usr/local/lib/updates/modules /var/lib/updates /etc/updates");
    fs::create_dir_all(folder).unwrap();
    let manifest = json!({
        "metadata": {"schema_version": "1", "name": "app"},
        "configuration": {"backup_paths": ["/srv/t/", "/etc/systemd/system/t-idle.service"]},
        "sandbox": {"profile": profile, "services": UNITS},
    });
    fs::write(folder.join("index.json"), manifest.to_string()).unwrap();
    fs::write(folder.join(file), text).unwrap();
    fs::set_permissions(folder.join(file), fs::Permissions::from_mode(0o755)).unwrap();
}

/// A unit of the distribution: what lies in /etc itself can't be masked.
fn install_vendor_unit(machine: &Machine) {
    machine.write("/usr/lib/systemd/system/t-vendor.service", "[Service]\nExecStart=sleep infinity\n");
    shell("systemctl daemon-reload; systemctl start t-vendor");
}

#[track_caller]
fn run(arguments: &[&str], code: i32) {
    let Output { status, stdout, stderr } = updates(arguments).output().unwrap();
    let text = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert_eq!(status.code(), Some(code), "{}\n{}", text[0], text[1]);
}

/// What a module never did needs no putting back.
#[track_caller]
fn assert_came_to_its_end() {
    let logs = updates(&["logs"]).output().unwrap().stdout;
    let logs = String::from_utf8(logs).unwrap();
    assert!(logs.contains("it came to its end"), "{logs}");
}

#[test]
fn what_a_module_asked_for_is_taken_back_when_it_crashes() {
    if !is_container() {
        return;
    }
    let _machine = Machine::new();
    let before = observe(&UNITS);
    install(
        "default",
        "index.py",
        "import os\nfrom updates import service\n\n\ndef main(args=None):\n\
         \x20   open('/srv/t/conf', 'w').write('after')\n\
         \x20   done = [service.stop('t-simple'), service.start('t-idle'), service.enable('t-idle'),\n\
         \x20           service.restart('t-oneshot'), service.disable('t-timer.timer')]\n\
         \x20   assert all(done), done\n\
         \x20   print('it came to its end', flush=True)\n\
         \x20   os.abort()\n",
    );
    run(&["run", "--no-sync"], 20);
    assert_came_to_its_end();
    assert_same(&before, &observe(&UNITS), "a crash");
    assert_eq!(fs::read_to_string("/srv/t/conf").unwrap(), "before\n");
}

/// Everything that such a module may do with systemctl.
const LEGACY: &str = "#!/bin/sh
set -e
echo after >/srv/t/conf
systemctl stop t-simple
systemctl mask --now t-vendor
systemctl unmask t-masked
systemctl enable --now t-masked
systemctl disable --now t-timer.timer
env -i /usr/bin/systemctl start t-static
systemctl daemon-reexec
printf '[Service]\\nExecStart=sleep 1d\\n[Install]\\nWantedBy=basic.target\\n' >/etc/systemd/system/t-idle.service
systemctl daemon-reload
systemctl enable --now t-idle
touch /srv/t/done
";

#[test]
fn what_a_module_did_with_systemctl_itself_is_taken_back_when_it_fails() {
    if !is_container() {
        return;
    }
    let machine = Machine::new();
    install_vendor_unit(&machine);
    let before = observe(&UNITS);
    install("legacy", "index", &format!("{LEGACY}echo it came to its end\nexit 1\n"));
    run(&["run", "--no-sync"], 20);
    assert_came_to_its_end();
    assert_same(&before, &observe(&UNITS), "a failure");
    assert_eq!(fs::read_to_string("/srv/t/conf").unwrap(), "before\n");
}

#[test]
fn what_a_module_did_is_taken_back_by_recover_when_the_supervisor_was_killed() {
    if !is_container() {
        return;
    }
    let machine = Machine::new();
    install_vendor_unit(&machine);
    let before = observe(&UNITS);
    install("legacy", "index", &format!("{LEGACY}sleep 1000\n"));
    let mut running = updates(&["run", "--no-sync"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    shell("for n in $(seq 600); do [ -e /srv/t/done ] && break; sleep 0.1; done");
    let reached = Path::new("/srv/t/done").exists();
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(reached, "the module did not come to its end");
    run(&["recover"], 0);
    assert_same(&before, &observe(&UNITS), "a kill");
    assert_eq!(fs::read_to_string("/srv/t/conf").unwrap(), "before\n");
}

#[test]
fn a_check_gives_a_legacy_module_no_systemd_to_change() {
    if !is_container() {
        return;
    }
    let _machine = Machine::new();
    let before = observe(&UNITS);
    install("legacy", "index", "#!/bin/sh\nsystemctl stop t-simple || systemctl --force stop t-simple\nexit 0\n");
    run(&["check", "--no-sync"], 0);
    assert_same(&before, &observe(&UNITS), "a check");
}

/// A service that says what its configuration and its database hold when it comes and when it goes.
const SERVICE: &str = "\
import signal, sqlite3, sys
database = sqlite3.connect('/srv/t/app.db', timeout=60)
def say(event):
    row = database.execute('SELECT text FROM note').fetchone()
    print(event, open('/srv/t/conf').read().strip(), row[0], flush=True)
def end(*_):
    say('stopped with')
    sys.exit()
signal.signal(signal.SIGTERM, end)
say('started with')
while True:
    signal.pause()
";

const MODULE: &str = "\
import os, sqlite3
from updates import service


def main(args=None):
    assert service.stop('t-service')
    open('/srv/t/conf', 'w').write('after')
    with sqlite3.connect('/srv/t/app.db') as database:
        database.execute(\"UPDATE note SET text = 'later'\")
    assert service.start('t-service')
    os.abort()
";

#[test]
fn a_nightly_run_puts_files_and_database_back_between_the_stop_and_the_start_of_their_service() {
    if !is_container() {
        return;
    }
    let machine = Machine::new();
    machine.write("/srv/bin/service.py", SERVICE);
    machine.unit("t-service.service", "[Service]\nType=exec\nExecStart=/usr/bin/python3 /srv/bin/service.py\n");
    shell(
        "python3 -c \"import sqlite3; d = sqlite3.connect('/srv/t/app.db'); d.execute('PRAGMA journal_mode = WAL')
d.execute('CREATE TABLE note (text)'); d.execute('INSERT INTO note VALUES (1)'); d.commit()\"
         systemctl daemon-reload; systemctl start t-service",
    );
    await_journal("t-service", "started with before 1");
    install("default", "index.py", MODULE);
    let index = "/usr/local/lib/updates/modules/app/index.json";
    let manifest = json!({
        "metadata": {"schema_version": "1", "name": "app"},
        "configuration": {
            "backup_paths": ["/srv/t/"],
            "services": ["t-service"],
            "databases": [{"type": "sqlite", "database": "/srv/t/app.db"}],
        },
    });
    fs::write(index, manifest.to_string()).unwrap();
    install_the_units();
    // As at night, but now.
    machine.write(
        "/etc/systemd/system/updates.timer.d/now.conf",
        "[Timer]\nOnCalendar=\nRandomizedDelaySec=0\nAccuracySec=1ms\nOnActiveSec=1ms\n",
    );
    shell("systemctl daemon-reload; systemctl start updates.timer");
    await_journal("t-service", "started with after later");
    shell("for n in $(seq 600); do [ $(systemctl is-active updates) = failed ] && break; sleep 0.1; done");
    shell("systemctl stop updates.timer");
    assert_eq!(show("updates.service", "Result,ExecMainStatus"), "Result=exit-code ExecMainStatus=20");
    shell("journalctl --sync");
    let said: Vec<String> = journal("t-service").lines().map(str::to_owned).collect();
    let wanted = [
        "started with before 1",
        "stopped with before 1",
        "started with after later",
        "stopped with after later",
        "started with before 1",
    ];
    assert_eq!(said, wanted);
    let run = own_lines();
    assert!(run.contains("app"), "{run}");
    shell("systemctl reset-failed updates; rm -r /etc/systemd/system/updates.timer.d");
}

/// What a package puts in place, from this work tree.
fn install_the_units() {
    let tree = env!("CARGO_MANIFEST_DIR");
    let built = Path::new(env!("CARGO_BIN_EXE_updates")).parent().unwrap().display().to_string();
    shell(&format!(
        "install -D -t /usr/bin {built}/updates
         install -D -t /usr/lib/updates {built}/updates-runner {tree}/packaging/guard/updates-guard
         cp -R {tree}/sandbox-profiles {tree}/runner/python /usr/lib/updates/
         cp {tree}/packaging/systemd/updates.* /usr/lib/systemd/system/"
    ));
}

/// What a unit printed, without what systemd says of it.
fn journal(unit: &str) -> String {
    let ran =
        Command::new("journalctl").args(["--output=cat", "--no-pager", "--unit", unit, "_TRANSPORT=stdout"]).output();
    String::from_utf8(ran.unwrap().stdout).unwrap()
}

/// What the program told the journal itself.
fn own_lines() -> String {
    let ran = Command::new("journalctl").args(["--output=cat", "--no-pager", "--identifier=updates"]).output();
    String::from_utf8(ran.unwrap().stdout).unwrap()
}

fn await_journal(unit: &str, line: &str) {
    for _ in 0..600 {
        if journal(unit).lines().any(|said| said == line) {
            return;
        }
        shell("sleep 0.1");
    }
    shell("journalctl --no-pager --lines=40");
    panic!("{unit} never said {line:?}:\n{}\nupdates said:\n{}", journal(unit), own_lines());
}
