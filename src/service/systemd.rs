//! Asking systemd: one `systemctl show` for all units, with a bound on how long it may take.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use updates_protocol::UnitName;

use super::call::{Bounds, call};
use super::unit_state::{Look, PROPERTIES, parse_blocks};
use super::{ServiceError, UnitState};

/// How long systemctl may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long one step back may take, and all before or all after the files. systemd itself gives a unit 90 seconds to
/// start, and as long to end before it kills it (systemd-system.conf(5)); asked a little longer, it says what happened.
const STEP: Duration = Duration::from_secs(100);
const PHASE: Duration = Duration::from_secs(300);

/// The way to systemd.
#[derive(Debug, Clone)]
pub struct Systemd {
    program: PathBuf,
    timeout: Duration,
    step: Duration,
    phase: Duration,
    booted: PathBuf,
}

impl Systemd {
    /// The systemd of this machine.
    pub fn system() -> Self {
        // What sd_booted(3) looks for.
        Self { booted: PathBuf::from("/run/systemd/system"), ..Self::new(PathBuf::from("systemctl")) }
    }

    /// A program that answers like systemctl, for machines that are none.
    pub fn new(program: PathBuf) -> Self {
        Self { program, timeout: TIMEOUT, step: STEP, phase: PHASE, booted: PathBuf::from("/") }
    }

    /// Gives it another time to answer.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Gives each step back, and all before or all after the files together, other times than minutes.
    #[must_use]
    pub fn with_restore_timeouts(self, step: Duration, phase: Duration) -> Self {
        Self { step, phase, ..self }
    }

    /// The state of each unit, asked in one call. A unit that there is none of has the state that systemd gives it.
    pub fn states(&self, units: &[UnitName]) -> Result<BTreeMap<UnitName, UnitState>, ServiceError> {
        Ok(self.look(units)?.into_iter().map(|(unit, look)| (unit, look.state)).collect())
    }

    /// As [`Systemd::states`], with the sockets, timers and paths that start one of these units: whoever stops a service
    /// has to stop them before, and start them again. With the services of sockets too, since systemd starts no socket
    /// whose service runs. A unit file that is linked is named by where it lies.
    pub fn states_with_triggers(&self, units: &[UnitName]) -> Result<BTreeMap<UnitName, UnitState>, ServiceError> {
        let mut looks = self.look(units)?;
        let of_sockets = looks
            .iter()
            .filter(|(unit, _)| unit.with_suffix().ends_with(".socket"))
            .flat_map(|(_, look)| &look.triggers);
        let of_sockets = self.look(&unknown(of_sockets, &looks))?;
        looks.extend(of_sockets);
        let triggers = self.look(&unknown(looks.values().flat_map(|look| &look.state.triggered_by), &looks))?;
        looks.extend(triggers);
        let mut states: BTreeMap<_, _> = looks.into_iter().map(|(unit, look)| (unit, look.state)).collect();
        // The link that makes a unit file known goes with `disable`, and only the file that it led to can make it again.
        for state in states.values_mut() {
            if let Ok(file) = std::fs::read_link(&state.fragment)
                && file.is_absolute()
                && file != Path::new("/dev/null")
            {
                state.fragment = file.display().to_string();
            }
        }
        Ok(states)
    }

    /// The named properties of each unit, in the order of `units`, as systemctl(1) shows them.
    pub fn properties(
        &self,
        units: &[&str],
        properties: &[&str],
    ) -> Result<Vec<BTreeMap<String, String>>, ServiceError> {
        self.require_running()?;
        let wanted = format!("--property={}", properties.join(","));
        let arguments: Vec<&str> = ["show", "--no-pager", &wanted, "--"].iter().chain(units).copied().collect();
        let answer = call(&self.program, &arguments, Bounds { timeout: self.timeout, interrupt: None })?;
        let pairs = |block: &str| {
            block.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
        };
        Ok(answer.split("\n\n").filter(|block| !block.trim().is_empty()).map(pairs).collect())
    }

    pub(super) fn look(&self, units: &[UnitName]) -> Result<BTreeMap<UnitName, Look>, ServiceError> {
        let units: BTreeSet<&UnitName> = units.iter().collect();
        if units.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.require_running()?;
        let names: Vec<String> = units.iter().map(|unit| unit.with_suffix()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut looks = self.show(&names)?;
        if looks.len() == 1 && names.len() > 1 {
            // A configured program may know of one unit a call.
            looks = Vec::new();
            for name in &names {
                looks.extend(self.show(&[name])?);
            }
        }
        let found = looks.iter().flatten().count();
        if looks.len() != units.len() || found != units.len() {
            return Err(ServiceError::Answer { program: self.program.clone(), asked: units.len(), found });
        }
        // Answers come in the order of the questions; the `Id` of an alias is another name than the one asked for.
        Ok(units.into_iter().cloned().zip(looks.into_iter().flatten()).collect())
    }

    fn show(&self, names: &[&str]) -> Result<Vec<Option<Look>>, ServiceError> {
        let arguments: Vec<&str> = ["show", "--no-pager", PROPERTIES, "--"].iter().chain(names).copied().collect();
        let bounds = Bounds { timeout: self.timeout, interrupt: None };
        Ok(parse_blocks(&call(&self.program, &arguments, bounds)?))
    }

    /// How long a step back may take, and all of them before or after the files.
    pub(super) fn restore_timeouts(&self) -> (Duration, Duration) {
        (self.step, self.phase)
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn require_running(&self) -> Result<(), ServiceError> {
        if self.booted.is_dir() {
            return Ok(());
        }
        Err(ServiceError::NotRunning { why: format!("there is no {}", self.booted.display()) })
    }
}

/// Those of `units` that were not looked at yet, under whichever spelling, each once.
fn unknown<'a>(units: impl Iterator<Item = &'a UnitName>, looks: &BTreeMap<UnitName, Look>) -> Vec<UnitName> {
    let known: BTreeSet<String> = looks.keys().map(UnitName::with_suffix).collect();
    let units: BTreeSet<&UnitName> = units.filter(|unit| !known.contains(&unit.with_suffix())).collect();
    units.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use tempfile::TempDir;

    use super::*;

    fn fake(script: &str) -> (TempDir, Systemd) {
        let folder = TempDir::new().unwrap();
        let program = folder.path().join("systemctl");
        let script = format!("#!/bin/sh\necho \"$@\" >> {}/calls\n{script}\n", folder.path().display());
        write_script(&program, &script);
        (folder, Systemd::new(program))
    }

    // Written by another process: while a test's own descriptor is open for writing, a fork in another test inherits it, and
    // the kernel then refuses to execute the file (ETXTBSY).
    fn write_script(path: &Path, text: &str) {
        let write = "printf '%s' \"$1\" > \"$0\" && chmod 700 \"$0\"";
        assert!(Command::new("/bin/sh").arg("-c").arg(write).arg(path).arg(text).status().unwrap().success());
    }

    fn units(names: &[&str]) -> Vec<UnitName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    const TWO: &str = r"cat <<'END'
Id=backup.timer
LoadState=loaded
ActiveState=active
SubState=waiting
UnitFileState=enabled

Id=missing.service
LoadState=not-found
ActiveState=inactive
SubState=dead
UnitFileState=
END";

    #[test]
    fn all_units_are_asked_for_in_one_call() {
        let (folder, systemd) = fake(TWO);
        let states = systemd.states(&units(&["missing", "backup.timer", "missing"])).unwrap();
        let timer = &states[&"backup.timer".parse().unwrap()];
        assert!(timer.is_active() && timer.exists() && timer.enabled == "enabled" && timer.sub == "waiting");
        let missing = &states[&"missing".parse().unwrap()];
        assert!(!missing.is_active() && !missing.exists() && missing.enabled.is_empty());
        let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
        assert_eq!(calls.lines().count(), 1);
        assert!(calls.ends_with("-- backup.timer missing.service\n"), "{calls}");
    }

    #[test]
    fn no_unit_is_no_call() {
        let (folder, systemd) = fake(TWO);
        assert_eq!(systemd.states(&[]).unwrap(), BTreeMap::new());
        assert!(!folder.path().join("calls").exists());
    }

    #[test]
    fn a_systemctl_that_hangs_is_ended() {
        let (_folder, systemd) = fake("exec sleep 1000");
        let error = systemd.with_timeout(Duration::from_millis(50)).states(&units(&["a"])).unwrap_err();
        assert!(matches!(error, ServiceError::Timeout { .. }), "{error}");
    }

    #[test]
    fn a_large_answer_does_not_block() {
        let (_folder, systemd) = fake(&format!("head -c 300000 /dev/zero >&2; {TWO}"));
        assert_eq!(systemd.states(&units(&["a", "b"])).unwrap().len(), 2);
    }

    #[test]
    fn a_machine_without_systemd_is_told_apart_from_a_failure() {
        let (_folder, systemd) = fake("echo 'System has not been booted with systemd as init system.' >&2; exit 1");
        let error = systemd.states(&units(&["a"])).unwrap_err();
        assert!(matches!(&error, ServiceError::NotRunning { .. }), "{error}");
        let error = Systemd { booted: PathBuf::from("/nonexistent"), ..Systemd::system() }.states(&units(&["a"]));
        assert!(matches!(error, Err(ServiceError::NotRunning { .. })));
        let (_folder, systemd) = fake("echo 'Access denied' >&2; exit 4");
        let error = systemd.states(&units(&["a"])).unwrap_err().to_string();
        assert!(error.ends_with("failed (exit status: 4): Access denied"), "{error}");
    }

    #[test]
    fn half_an_answer_is_none() {
        let (_folder, systemd) = fake("echo LoadState=loaded");
        let error = systemd.states(&units(&["a"])).unwrap_err();
        assert!(matches!(error, ServiceError::Answer { asked: 1, found: 0, .. }), "{error}");
    }
}
