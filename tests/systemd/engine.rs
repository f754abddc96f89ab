//! A slot with units of every kind, and whatever systemctl can do to them: after a restore systemd says what it said.

use std::fs;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use updates::config;
use updates::database::Passwords;
use updates::service::Systemd;
use updates::state::{Backup, Live, RestoreError, Restored, Store};
use updates_protocol::{DeclaredPath, UnitName};

use crate::is_container;
use crate::machine::{Machine, UNITS, assert_same, observe, shell, show};

struct Slot {
    _folder: tempfile::TempDir,
    systemd: Systemd,
    passwords: Passwords,
    backup: Backup,
}

impl Slot {
    fn new(units: &[&str]) -> Self {
        let (folder, systemd) = (tempfile::tempdir().unwrap(), Systemd::system());
        let store = Store::open(folder.path()).unwrap();
        let name = "app".parse().unwrap();
        let units: Vec<UnitName> = units.iter().map(|unit| unit.parse().unwrap()).collect();
        let paths = ["/srv/t/", "/etc/systemd/system/t-idle.service", "/srv/linked/"];
        let pending = store.begin(&name, &name, "a test").services(units);
        let pending = pending.paths(paths.map(|path| DeclaredPath::new(path).unwrap()));
        let passwords = Passwords::default();
        let backup = pending.seal(live(&systemd, &passwords)).unwrap().into_backup();
        Self { _folder: folder, systemd, passwords, backup }
    }

    fn restore(&self) -> Result<Restored, RestoreError> {
        self.backup.restore(live(&self.systemd, &self.passwords))
    }
}

fn live<'a>(systemd: &'a Systemd, passwords: &'a Passwords) -> Live<'a> {
    Live { machine: &config::Machine::Host, systemd: Some(systemd), passwords, interrupt: None, by_content: false }
}

#[test]
fn whatever_was_done_to_units_of_every_kind_their_exact_state_comes_back() {
    if !is_container() {
        return;
    }
    let _machine = Machine::new();
    let slot = Slot::new(&UNITS);
    let before = observe(&UNITS);
    for (unit, expected) in [
        ("t-simple.service", "ActiveState=active SubState=running UnitFileState=enabled"),
        ("t-runtime.service", "ActiveState=active SubState=running UnitFileState=enabled-runtime"),
        ("t-oneshot.service", "ActiveState=active SubState=exited UnitFileState=enabled"),
        ("t-failing.service", "ActiveState=failed SubState=failed UnitFileState=disabled"),
        ("t-masked.service", "ActiveState=inactive SubState=dead UnitFileState=masked"),
        ("t-masked-runtime.service", "ActiveState=inactive SubState=dead UnitFileState=masked-runtime"),
        ("t-masked-running.service", "ActiveState=active SubState=running UnitFileState=masked"),
        ("t-static.service", "ActiveState=inactive SubState=dead UnitFileState=static"),
        ("t-linked.service", "ActiveState=active SubState=running UnitFileState=linked"),
        ("t-generated.service", "ActiveState=active SubState=exited UnitFileState=generated"),
        ("t-missing.service", "ActiveState=inactive SubState=dead UnitFileState="),
        ("t-socket.socket", "ActiveState=active SubState=running UnitFileState=enabled"),
    ] {
        assert!(before[unit].ends_with(expected), "{unit}: {}", before[unit]);
    }
    let services = UNITS.join(" ");
    let harms = [
        "true".to_owned(),
        "echo after >/srv/t/conf".to_owned(),
        format!("systemctl stop {services}"),
        format!("systemctl restart {services}"),
        format!("systemctl start {services}"),
        format!("for unit in {services}; do systemctl -q disable $unit; done"),
        format!("for unit in {services}; do systemctl -q disable --runtime --now $unit; done"),
        format!("for unit in {services}; do systemctl -q enable $unit; done"),
        format!("for unit in {services}; do systemctl -q enable --runtime --now $unit; done"),
        format!("for unit in {services}; do systemctl -q mask --runtime --now $unit; done"),
        format!("for unit in {services}; do systemctl -q mask $unit; done; echo after >/srv/t/conf"),
        format!("for unit in {services}; do systemctl -q unmask $unit; systemctl -q unmask --runtime $unit; done"),
        format!(
            "for unit in {services}; do systemctl -q unmask $unit; systemctl -q unmask --runtime $unit; done
             systemctl -q enable --now t-masked t-masked-runtime t-masked-running t-idle t-failing"
        ),
        format!("systemctl kill --signal=KILL {services}; sleep 0.3"),
        format!("systemctl stop {services}; systemctl reset-failed; echo after >/srv/t/conf"),
        "systemctl stop t-linked; systemctl -q disable t-linked; rm -r /srv/linked; systemctl daemon-reload".to_owned(),
        "rm /etc/systemd/system/t-idle.service; systemctl daemon-reload".to_owned(),
        "printf '[Service]\\nExecStart=sleep 1d\\n' >/etc/systemd/system/t-idle.service
         systemctl daemon-reload; systemctl start t-idle"
            .to_owned(),
        "printf '[Service]\\nExecStart=sleep 1d\\n' >/etc/systemd/system/t-idle.service".to_owned(),
        "systemd-run -q --unit=t-missing sleep infinity".to_owned(),
        "sed -i 's/^ExecStart=.*/ExecStart=false/' /etc/systemd/system/t-idle.service
         systemctl daemon-reload; systemctl start t-idle; sleep 0.3"
            .to_owned(),
    ];
    for harm in harms {
        shell(&harm);
        let restored = slot.restore().unwrap_or_else(|error| panic!("after {harm}:\n{error:#?}"));
        eprintln!("after {harm}: {:#?}", restored.steps);
        let mut after = observe(&UNITS);
        let failing = "t-failing.service".to_owned();
        if after[&failing].contains("ActiveState=inactive") {
            // Nothing but failing makes a unit failed; it is said, and made so for the next round.
            assert!(
                restored.steps.iter().any(|step| step.contains("t-failing.service inactive")),
                "{:?}",
                restored.steps
            );
            shell(
                "systemctl start t-failing; while [ $(systemctl is-active t-failing) != failed ]; do sleep 0.05; done",
            );
            after.insert(failing, before["t-failing.service"].clone());
        }
        // Whether somebody has connected again is the client's business.
        for (unit, wanted) in [("t-socket.socket", "SubState=listening"), ("t-socket.service", "unset")] {
            if after[unit].contains(wanted) {
                after.insert(unit.to_owned(), before[unit].clone());
            }
        }
        assert_same(&before, &after, &harm);
        assert_eq!(fs::read_to_string("/srv/t/conf").unwrap(), "before\n");
    }
}

#[test]
fn a_client_of_a_socket_starts_nothing_over_half_restored_files() {
    if !is_container() {
        return;
    }
    let machine = Machine::new();
    // The service alone is declared.
    let slot = Slot::new(&["t-socket.service"]);
    for number in 0..2000 {
        machine.write(&format!("/srv/t/more/{number}"), "added");
    }
    machine.write("/srv/t/conf", "after\n");
    fs::write("/run/t-read-t-socket", "").unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Nobody accepts: more of them than the socket's backlog would wait for ever.
            for _ in 0..4000 {
                drop(UnixStream::connect("/run/t-socket"));
                std::thread::sleep(Duration::from_millis(5));
                if over.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let restored = slot.restore();
        over.store(true, Ordering::Relaxed);
        restored.unwrap();
    });
    let read = fs::read_to_string("/run/t-read-t-socket").unwrap();
    assert!(!read.is_empty() && read.lines().all(|line| line == "before"), "{read}");
    assert!(show("t-socket.socket", "ActiveState").ends_with("=active"));
}

#[test]
fn a_unit_that_restarts_itself_is_really_stopped() {
    if !is_container() {
        return;
    }
    let machine = Machine::new();
    machine.unit(
        "t-writer.service",
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh -c 'echo x >>/srv/t/data'\nRestart=always\nRestartSec=0\n",
    );
    shell("systemctl daemon-reload");
    machine.write("/srv/t/data", "mine\n");
    let slot = Slot::new(&["t-writer"]);
    shell("systemctl start t-writer; while [ $(wc -l </srv/t/data) -lt 5 ]; do sleep 0.05; done");
    slot.restore().unwrap();
    assert_eq!(show("t-writer.service", "ActiveState,SubState"), "ActiveState=inactive SubState=dead");
    assert_eq!(fs::read_to_string("/srv/t/data").unwrap(), "mine\n");
}

#[test]
fn a_unit_that_was_hanging_in_its_start_is_not_waited_for() {
    if !is_container() {
        return;
    }
    let machine = Machine::new();
    machine.unit("t-hanging.service", "[Service]\nType=notify\nTimeoutStartSec=infinity\nExecStart=sleep infinity\n");
    machine.unit("t-job.service", "[Service]\nType=oneshot\nExecStart=sleep infinity\n");
    shell("systemctl daemon-reload; systemctl start --no-block t-hanging t-job");
    shell("while [ $(systemctl is-active t-hanging t-job | grep -c activating) != 2 ]; do sleep 0.05; done");
    let units = ["t-hanging.service", "t-job.service"];
    let (slot, before) = (Slot::new(&units), observe(&units));
    machine.write("/srv/t/conf", "after\n");
    slot.restore().unwrap();
    assert_same(&before, &observe(&units), "a restore below what hangs");
    shell("systemctl stop t-hanging");
    slot.restore().unwrap();
    assert_same(&before, &observe(&units), "a stop");
    shell("systemctl stop t-hanging t-job");
}

#[test]
fn a_start_that_hangs_now_is_given_up_and_the_others_run() {
    if !is_container() {
        return;
    }
    let machine = Machine::new();
    let script = "ExecStart=/bin/sh -c '[ -e /run/t-hang ] || systemd-notify --ready; exec sleep infinity'\n";
    machine.unit(
        "t-notify.service",
        &format!("[Service]\nType=notify\nNotifyAccess=all\nTimeoutStartSec=infinity\n{script}"),
    );
    // Comes after it, and so waits for it as well.
    machine.unit("t-after.service", "[Unit]\nAfter=t-notify.service\n[Service]\nExecStart=sleep infinity\n");
    shell("rm -f /run/t-hang; systemctl daemon-reload; systemctl start t-notify t-after");
    let mut slot = Slot::new(&["t-notify", "t-after", "t-simple"]);
    slot.systemd = slot.systemd.clone().with_restore_timeouts(Duration::from_secs(3), Duration::from_secs(20));
    machine.write("/srv/t/conf", "after\n");
    machine.write("/run/t-hang", "");
    let error = slot.restore();
    shell("rm /run/t-hang");
    let problems: Vec<String> = match error.unwrap_err() {
        RestoreError::Incomplete { failures, .. } => failures.iter().map(ToString::to_string).collect(),
        other => panic!("{other}"),
    };
    assert!(show("t-simple.service", "ActiveState").ends_with("=active"));
    assert!(
        problems.iter().any(|problem| problem.starts_with("t-after.service was active and is inactive")),
        "{problems:#?}"
    );
    assert_eq!(fs::read_to_string("/srv/t/conf").unwrap(), "before\n");
    // systemd goes on with its jobs; what is asked for again finds them done.
    shell("systemctl restart t-notify; while [ $(systemctl is-active t-after) != active ]; do sleep 0.05; done");
}

#[test]
fn a_start_that_fails_is_told_with_its_result() {
    if !is_container() {
        return;
    }
    let machine = Machine::new();
    machine.unit("t-fragile.service", "[Service]\nExecStartPre=test ! -e /run/t-broken\nExecStart=sleep infinity\n");
    shell("rm -f /run/t-broken; systemctl daemon-reload; systemctl start t-fragile");
    let slot = Slot::new(&["t-fragile", "t-simple", "t-oneshot"]);
    machine.write("/srv/t/conf", "after\n");
    machine.write("/run/t-broken", "");
    let error = slot.restore().unwrap_err();
    let RestoreError::Incomplete { failures, total: 1, .. } = &error else { panic!("{error:#?}") };
    let problem = failures[0].to_string();
    let expected = "t-fragile.service was active and is failed (SubState=failed, Result=exit-code)";
    assert!(problem.starts_with(expected), "{problem}");
    for unit in ["t-simple.service", "t-oneshot.service"] {
        assert!(show(unit, "ActiveState").ends_with("=active"));
    }
    shell("rm /run/t-broken");
    slot.restore().unwrap();
    assert!(show("t-fragile.service", "ActiveState").ends_with("=active"));
}

#[test]
fn what_was_started_too_often_is_started_all_the_same() {
    if !is_container() {
        return;
    }
    let machine = Machine::new();
    machine.unit(
        "t-limited.service",
        "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=3\n[Service]\nExecStart=sleep infinity\n",
    );
    shell("systemctl daemon-reload; systemctl start t-limited");
    let slot = Slot::new(&["t-limited", "t-simple"]);
    machine.write("/srv/t/conf", "after\n");
    shell("for n in 1 2; do systemctl restart t-limited; done");
    slot.restore().unwrap();
    assert!(show("t-limited.service", "ActiveState").ends_with("=active"));
}

#[test]
fn what_the_machine_stands_on_is_never_stopped() {
    if !is_container() {
        return;
    }
    let machine = Machine::new();
    let slot = Slot::new(&["systemd-journald", "dbus", "dbus.socket", "multi-user.target"]);
    let before = ["systemd-journald.service", "dbus.service"].map(|unit| show(unit, "InvocationID"));
    machine.write("/srv/t/conf", "after\n");
    slot.restore().unwrap();
    let after = ["systemd-journald.service", "dbus.service"].map(|unit| show(unit, "InvocationID"));
    assert_eq!(before, after);
}

#[test]
fn a_forced_start_starts_what_can_be_started() {
    if !is_container() {
        return;
    }
    let _machine = Machine::new();
    let units = ["t-idle.service", "t-static.service", "t-masked.service", "t-missing.service"];
    let slot = Slot::new(&units);
    let plan = slot.backup.plan(live(&slot.systemd, &slot.passwords)).unwrap().with_forced_service_start();
    let restored = plan.apply().unwrap();
    for (unit, expected) in units.iter().zip(["active", "active", "inactive", "inactive"]) {
        assert_eq!(show(unit, "ActiveState"), format!("ActiveState={expected}"), "{unit}");
    }
    assert!(restored.steps.iter().any(|step| step.contains("t-masked.service unstarted")), "{:?}", restored.steps);
}
