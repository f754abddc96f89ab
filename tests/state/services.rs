//! Units in slots, with a program that answers like systemctl: cases/faults.md 60 and 61. What systemd itself makes of it
//! is tested by tests/systemd.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use updates::config::Machine;
use updates::database::Passwords;
use updates::service::Systemd;
use updates::state::{Backup, Live, RestoreError, Restored, StateError};
use updates_protocol::UnitName;

use crate::ground::{Ground, declared, name};

struct Services {
    ground: Ground,
    machine: Machine,
    systemd: Systemd,
    passwords: Passwords,
}

impl Services {
    fn new() -> Self {
        let ground = Ground::new();
        ground.write("/etc/app/conf", "before");
        let program = ground.folder.path().join("units/systemctl");
        fs::create_dir(program.parent().unwrap()).unwrap();
        // By another process: a descriptor of ours that is open for writing would be inherited by a fork elsewhere.
        let copied = Command::new("cp").arg("tests/state/systemctl.sh").arg(&program).status().unwrap();
        assert!(copied.success());
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let systemd = Systemd::new(program);
        Self { machine: ground.machine(), ground, systemd, passwords: Passwords::default() }
    }

    /// A unit with these properties, each as `Name=value`.
    fn unit(&self, unit: &str, properties: &[&str]) -> &Self {
        fs::create_dir_all(self.at(unit)).unwrap();
        for (name, value) in properties.iter().map(|property| property.split_once('=').unwrap()) {
            fs::write(self.at(unit).join(name), value).unwrap();
        }
        self
    }

    fn at(&self, unit: &str) -> PathBuf {
        self.ground.folder.path().join("units").join(unit)
    }

    fn property(&self, unit: &str, name: &str) -> String {
        fs::read_to_string(self.at(unit).join(name)).unwrap_or_default()
    }

    fn live(&self) -> Live<'_> {
        Live { systemd: Some(&self.systemd), passwords: &self.passwords, ..Live::from(&self.machine) }
    }

    fn seal(&self, units: &[&str]) -> Backup {
        let units: Vec<UnitName> = units.iter().map(|unit| unit.parse().unwrap()).collect();
        let pending = self.ground.store.begin(&name("app"), &name("app"), "a test");
        let backup = pending.paths(declared(&["/etc/app/"])).services(units).seal(self.live()).unwrap().into_backup();
        fs::remove_file(self.at("calls")).unwrap();
        backup
    }

    fn restore(&self, backup: &Backup) -> Result<Restored, RestoreError> {
        backup.restore(self.live())
    }

    /// What was called, without looks and options that every call has.
    fn changes(&self) -> Vec<String> {
        let text = fs::read_to_string(self.at("calls")).unwrap_or_default();
        let changes = text.lines().filter(|line| !line.starts_with("show"));
        changes.map(|line| line.replace(" --no-ask-password --no-pager", "").replace(" -- ", " ")).collect()
    }
}

fn problems(error: RestoreError) -> Vec<String> {
    match error {
        RestoreError::Incomplete { failures, .. } => failures.iter().map(ToString::to_string).collect(),
        other => panic!("{other}"),
    }
}

#[test]
fn units_that_are_as_they_were_are_left_alone() {
    let services = Services::new();
    for (unit, state) in [("a", "active"), ("b", "inactive"), ("c", "failed"), ("d", "activating"), ("e", "reloading")]
    {
        services.unit(&format!("{unit}.service"), &[&format!("ActiveState={state}"), "InvocationID=1"]);
    }
    for (unit, state) in [("m", "masked"), ("s", "static"), ("g", "generated"), ("t", "transient"), ("x", "bad")] {
        services.unit(&format!("{unit}.service"), &[&format!("UnitFileState={state}")]);
    }
    let backup = services.seal(&["a", "b", "c", "d", "e", "m", "s", "g", "t", "x", "missing"]);
    assert!(backup.plan(services.live()).unwrap().is_empty());
    assert_eq!(services.restore(&backup).unwrap(), Restored::default());
    assert_eq!(services.changes(), Vec::<String>::new());
}

#[test]
fn what_runs_over_changed_files_is_stopped_first_and_reads_them_as_they_were() {
    let services = Services::new();
    services.unit("web.service", &["ActiveState=active"]).unit("worker.service", &["ActiveState=active"]);
    services.unit("idle.service", &["ActiveState=inactive"]).unit("broken.service", &["ActiveState=failed"]);
    let backup = services.seal(&["web", "worker", "idle", "broken"]);
    services.ground.write("/etc/app/conf", "after");
    let planned: Vec<_> = backup.plan(services.live()).unwrap().unit_steps().iter().map(ToString::to_string).collect();
    let restored = services.restore(&backup).unwrap();
    assert_eq!(services.changes(), ["stop web.service worker.service", "start web.service worker.service"]);
    assert_eq!(planned, services.changes());
    assert_eq!(restored.steps[..2], planned);
    assert_eq!(services.property("web.service", "read"), "before");
    assert_eq!(services.property("broken.service", "ActiveState"), "failed");
}

// faults: 60
#[test]
fn each_running_state_comes_back_from_each_other_one() {
    let states = ["active", "inactive", "failed"];
    for (saved, now) in states.iter().flat_map(|saved| states.map(|now| (*saved, now))) {
        let services = Services::new();
        services.unit("web.service", &[&format!("ActiveState={saved}")]);
        let backup = services.seal(&["web"]);
        services.unit("web.service", &[&format!("ActiveState={now}")]);
        let restored = services.restore(&backup).unwrap();
        let expected: &[&str] = match (saved, now) {
            ("active", "failed") => &["reset-failed web.service", "start web.service"],
            ("active", "inactive") => &["start web.service"],
            ("inactive", "failed") => &["reset-failed web.service"],
            ("inactive" | "failed", "active") => &["stop web.service"],
            _ => &[],
        };
        assert_eq!(services.changes(), expected, "from {now} to {saved}");
        let said = restored.steps.iter().any(|step| step.contains("which nothing can put back"));
        assert_eq!(said, (saved, now) == ("failed", "active"), "{:?}", restored.steps);
    }
}

// faults: 60
#[test]
fn each_unit_file_state_comes_back_and_none_is_enabled_blindly() {
    let rows: [(&str, &str, &[&str]); 12] = [
        ("enabled", "disabled", &["enable web.service"]),
        ("enabled-runtime", "disabled", &["enable --runtime web.service"]),
        ("enabled", "enabled-runtime", &["disable --runtime web.service", "enable web.service"]),
        ("disabled", "enabled", &["disable web.service"]),
        ("disabled", "enabled-runtime", &["disable --runtime web.service"]),
        ("disabled", "masked", &["unmask web.service"]),
        ("static", "masked-runtime", &["unmask --runtime web.service"]),
        ("enabled", "masked", &["unmask web.service", "enable web.service"]),
        ("masked", "disabled", &["mask web.service"]),
        ("masked", "enabled", &["disable web.service", "mask web.service"]),
        ("masked-runtime", "masked", &["unmask web.service", "mask --runtime web.service"]),
        ("indirect", "enabled", &["disable web.service"]),
    ];
    for (saved, now, expected) in rows {
        let services = Services::new();
        services.unit("web.service", &[&format!("UnitFileState={saved}"), "ActiveState=inactive"]);
        let backup = services.seal(&["web"]);
        // What is below a mask, and what a verb can't make.
        let below = if matches!(saved, "static" | "indirect") { saved } else { "disabled" };
        services.unit("web.service", &[&format!("UnitFileState={now}"), &format!("before-mask={below}")]);
        if saved == "indirect" {
            services.unit("web.service", &["on-disk=indirect"]);
        }
        services.restore(&backup).unwrap();
        let changes: Vec<_> = services.changes().into_iter().filter(|change| change != "daemon-reload").collect();
        assert_eq!(changes, expected, "from {now} to {saved}");
        assert_eq!(services.property("web.service", "UnitFileState"), saved, "from {now} to {saved}");
    }
}

#[test]
fn a_unit_that_ran_masked_runs_masked_again() {
    let services = Services::new();
    services.unit("web.service", &["UnitFileState=masked", "before-mask=disabled", "ActiveState=active"]);
    let backup = services.seal(&["web"]);
    services.ground.write("/etc/app/conf", "after");
    services.restore(&backup).unwrap();
    assert_eq!(services.changes(), ["stop web.service", "unmask web.service", "start web.service", "mask web.service"]);
}

// faults: 60
#[test]
fn a_unit_that_there_was_none_of_is_stopped_and_one_that_went_comes_back_with_its_file() {
    let services = Services::new();
    services.unit("old.service", &["ActiveState=active", "UnitFileState=enabled"]);
    let backup = services.seal(&["old", "new"]);
    services.unit("new.service", &["ActiveState=active", "UnitFileState=enabled"]);
    fs::rename(services.at("old.service"), services.ground.folder.path().join("gone")).unwrap();
    let error = services.restore(&backup).unwrap_err();
    assert_eq!(services.changes()[..2], ["stop new.service", "disable new.service"]);
    let problems = problems(error);
    assert!(problems[0].starts_with("new.service was not there and is disabled"), "{problems:#?}");
    assert!(problems[1].starts_with("old.service was active and is inactive"), "{problems:#?}");
    fs::remove_dir_all(services.at("new.service")).unwrap();
    fs::rename(services.ground.folder.path().join("gone"), services.at("old.service")).unwrap();
    services.unit("old.service", &["ActiveState=inactive", "UnitFileState=disabled"]);
    services.restore(&backup).unwrap();
    assert_eq!(services.property("old.service", "ActiveState"), "active");
    assert_eq!(services.property("old.service", "UnitFileState"), "enabled");
}

#[test]
fn what_starts_a_service_is_stopped_before_it() {
    let services = Services::new();
    services.unit("web.service", &["ActiveState=active", "TriggeredBy=web.socket web.timer"]);
    services.unit("web.socket", &["ActiveState=active"]).unit("web.timer", &["ActiveState=inactive"]);
    let backup = services.seal(&["web"]);
    services.ground.write("/etc/app/conf", "after");
    services.unit("web.timer", &["ActiveState=active"]);
    services.restore(&backup).unwrap();
    assert_eq!(
        services.changes(),
        ["stop web.socket web.timer", "stop web.service", "start web.socket", "start web.service"]
    );
}

#[test]
fn a_unit_that_was_restarted_since_is_started_afresh() {
    let services = Services::new();
    services.unit("web.service", &["ActiveState=active", "InvocationID=one"]);
    let backup = services.seal(&["web"]);
    services.unit("web.service", &["InvocationID=two"]);
    let plan = backup.plan(services.live()).unwrap();
    assert_eq!(plan.units()[0].to_string(), "web.service was started again since");
    services.restore(&backup).unwrap();
    assert_eq!(services.changes(), ["stop web.service", "start web.service"]);
}

#[test]
fn a_start_that_fails_is_told_and_the_others_run() {
    let services = Services::new();
    for unit in ["a.service", "b.service", "c.service"] {
        services.unit(unit, &["ActiveState=active", "InvocationID=0"]);
    }
    let backup = services.seal(&["a", "b", "c"]);
    services.ground.write("/etc/app/conf", "after");
    services.unit("b.service", &["Fails="]);
    let problems = problems(services.restore(&backup).unwrap_err());
    let expected = "b.service was active and is failed (SubState=failed, Result=exit-code)";
    assert!(problems.len() == 1 && problems[0].starts_with(expected), "{problems:#?}");
    assert!(problems[0].contains("Job for b.service failed"), "{problems:#?}");
    assert_eq!(services.changes(), ["stop a.service b.service c.service", "start a.service b.service c.service"]);
    assert_eq!(services.ground.read("/etc/app/conf"), "before");
    assert_eq!(services.property("c.service", "ActiveState"), "active");
}

#[test]
fn a_program_that_takes_one_unit_a_call_is_called_for_each() {
    let services = Services::new();
    services.unit("a.service", &["ActiveState=active"]).unit("b.service", &["ActiveState=active"]);
    fs::write(services.at("one"), "").unwrap();
    fs::write(services.at("plain"), "").unwrap();
    let backup = services.seal(&["a", "b"]);
    services.ground.write("/etc/app/conf", "after");
    services.restore(&backup).unwrap();
    assert_eq!(services.property("a.service", "read"), "before");
    assert_eq!(services.property("b.service", "read"), "before");
}

#[test]
fn a_start_that_hangs_is_a_timeout_and_the_others_still_start() {
    let services = Services::new();
    services.unit("a.service", &["ActiveState=active"]).unit("b.service", &["ActiveState=active"]);
    let services = Services {
        systemd: services.systemd.clone().with_restore_timeouts(Duration::from_secs(1), Duration::from_secs(60)),
        ..services
    };
    let backup = services.seal(&["a", "b"]);
    services.ground.write("/etc/app/conf", "after");
    services.unit("a.service", &["Hangs="]);
    let problems = problems(services.restore(&backup).unwrap_err());
    assert!(problems.len() == 1 && problems[0].contains("a.service was active and is inactive"), "{problems:#?}");
    assert!(problems[0].contains("did not answer within"), "{problems:#?}");
    assert_eq!(services.property("b.service", "ActiveState"), "active");
    assert_eq!(services.ground.read("/etc/app/conf"), "before");
}

#[test]
fn what_was_starting_is_started_without_waiting_and_what_has_ended_is_not_run_again() {
    let services = Services::new();
    services.unit("slow.service", &["ActiveState=activating", "Type=notify"]);
    services.unit("job.service", &["ActiveState=activating", "Type=oneshot", "RemainAfterExit=no"]);
    let backup = services.seal(&["slow", "job"]);
    services.unit("slow.service", &["ActiveState=inactive"]).unit("job.service", &["ActiveState=inactive"]);
    let restored = services.restore(&backup).unwrap();
    assert_eq!(services.changes(), ["start --no-block slow.service"]);
    assert!(restored.steps.iter().any(|step| step.starts_with("leave job.service")), "{:?}", restored.steps);
}

#[test]
fn a_forced_start_starts_all_but_what_was_masked_or_not_there() {
    let services = Services::new();
    services.unit("web.service", &["ActiveState=active"]).unit("idle.service", &["ActiveState=inactive"]);
    services.unit("shut.service", &["ActiveState=inactive", "UnitFileState=masked"]);
    services.unit("broken.service", &["ActiveState=failed"]);
    let backup = services.seal(&["web", "idle", "shut", "broken", "missing"]);
    let plan = backup.plan(services.live()).unwrap().with_forced_service_start();
    let steps: Vec<_> = plan.unit_steps().iter().map(ToString::to_string).collect();
    assert_eq!(steps, ["reset-failed broken.service", "start broken.service idle.service, which did not run"]);
    let restored = plan.apply().unwrap();
    assert_eq!(services.changes(), ["reset-failed broken.service", "start broken.service idle.service"]);
    let left: Vec<_> = restored.steps.iter().filter(|step| step.starts_with("leave")).collect();
    assert_eq!(
        left,
        ["leave missing.service unstarted: there was none", "leave shut.service unstarted: it was masked"]
    );
}

#[test]
fn what_the_machine_stands_on_is_looked_at_and_never_stopped() {
    let services = Services::new();
    services.unit("systemd-logind.service", &["ActiveState=active"]).unit("web.service", &["ActiveState=active"]);
    services.unit("alias.service", &["Id=dbus.service", "ActiveState=active"]);
    let backup = services.seal(&["systemd-logind", "web", "alias"]);
    services.ground.write("/etc/app/conf", "after");
    services.restore(&backup).unwrap();
    assert_eq!(services.changes(), ["stop web.service", "start web.service"]);
}

#[test]
fn a_reload_is_asked_for_when_unit_files_are_other_ones_than_systemd_knows() {
    let services = Services::new();
    services.unit("web.service", &["ActiveState=active", "NeedDaemonReload=no"]);
    let backup = services.seal(&["web"]);
    services.unit("web.service", &["NeedDaemonReload=yes", "on-disk=disabled"]);
    services.ground.write("/etc/app/conf", "after");
    services.restore(&backup).unwrap();
    assert_eq!(services.changes(), ["stop web.service", "daemon-reload", "start web.service"]);
}

// faults: 61
#[test]
fn a_systemctl_that_hangs_refuses_before_any_file_is_touched() {
    let services = Services::new();
    services.unit("web.service", &["ActiveState=active"]);
    let backup = services.seal(&["web"]);
    services.ground.write("/etc/app/conf", "after");
    let hanging = services.ground.folder.path().join("hanging");
    let write = "printf '#!/bin/sh\\nexec sleep 1000\\n' > \"$0\" && chmod 700 \"$0\"";
    assert!(Command::new("/bin/sh").arg("-c").arg(write).arg(&hanging).status().unwrap().success());
    let systemd = Systemd::new(hanging).with_timeout(Duration::from_millis(200));
    let error = backup.restore(Live { systemd: Some(&systemd), ..services.live() }).unwrap_err();
    assert!(matches!(&error, RestoreError::Refused(StateError::Service(_))), "{error}");
    assert_eq!(services.ground.read("/etc/app/conf"), "after");
}

#[test]
fn units_are_neither_saved_nor_restored_where_there_is_no_systemd() {
    let services = Services::new();
    services.unit("web.service", &["ActiveState=active"]);
    let backup = services.seal(&["web"]);
    let without = Live::from(&services.machine);
    let pending = services.ground.store.begin(&name("app"), &name("app"), "a test").services(["web".parse().unwrap()]);
    assert!(matches!(pending.seal(without), Err(StateError::NoSystemd)));
    assert!(matches!(backup.restore(without), Err(RestoreError::Refused(StateError::NoSystemd))));
}
