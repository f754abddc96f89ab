//! `systemctl show` for all units at once; see systemctl(1) and org.freedesktop.systemd1(5) for the properties.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use updates_protocol::UnitName;
use wait_timeout::ChildExt;

const PROPERTIES: &str = "--property=Id,LoadState,ActiveState,SubState,UnitFileState";
/// systemd answers in milliseconds; a manager that takes longer is stuck.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Far more than the answer for a thousand units.
const MAX_ANSWER: u64 = 4 << 20;

/// The state of one unit, in systemd's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitState {
    /// `loaded`, `not-found`, `masked`, `error`, …
    pub load: String,
    /// `active`, `reloading`, `inactive`, `failed`, `activating`, `deactivating`.
    pub active: String,
    /// For example `running` or `exited`.
    pub sub: String,
    /// `enabled`, `disabled`, `static`, `masked`, `generated`, …; empty for a unit that is not there.
    pub enabled: String,
}

impl UnitState {
    /// Whether the unit runs.
    pub fn is_active(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading")
    }
}

/// Why the state of units is not known.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The program can't be started; there is no systemd here.
    #[error("{} can't be started: {source}", program.display())]
    NotThere {
        /// Which program.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It did not answer.
    #[error("{} did not answer within {} s", program.display(), TIMEOUT.as_secs())]
    TimedOut {
        /// Which program.
        program: PathBuf,
    },
    /// It answered with an error.
    #[error("{} failed: {reason}", program.display())]
    Failed {
        /// Which program.
        program: PathBuf,
        /// Its last words.
        reason: String,
    },
}

/// The service manager of this machine.
#[derive(Debug, Clone)]
pub struct Systemd {
    program: PathBuf,
}

impl Systemd {
    /// The manager that `program`, a systemctl, talks to.
    pub fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// The state of each of `units`. One that does not exist has the load state `not-found`.
    pub fn states(&self, units: &[UnitName]) -> Result<BTreeMap<UnitName, UnitState>, ServiceError> {
        if units.is_empty() {
            return Ok(BTreeMap::new());
        }
        let answer = self.ask(units)?;
        // Blocks come in the order of the question, separated by an empty line.
        let blocks: Vec<UnitState> = answer.split("\n\n").filter(|block| !block.trim().is_empty()).map(state).collect();
        if blocks.len() != units.len() {
            let reason = format!("it told of {} units instead of {}", blocks.len(), units.len());
            return Err(ServiceError::Failed { program: self.program.clone(), reason });
        }
        Ok(units.iter().cloned().zip(blocks).collect())
    }

    fn ask(&self, units: &[UnitName]) -> Result<String, ServiceError> {
        let mut child = Command::new(&self.program)
            .args(["show", PROPERTIES, "--"])
            .args(units.iter().map(UnitName::with_suffix))
            .env("LC_ALL", "C")
            .env("SYSTEMD_PAGER", "")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| ServiceError::NotThere { program: self.program.clone(), source })?;
        // Both pipes are read while it runs, or a long answer would stop it.
        let answer = read_all(child.stdout.take());
        let complaint = read_all(child.stderr.take());
        let status = child.wait_timeout(TIMEOUT).ok().flatten();
        if status.is_none() {
            // It may be gone by now, which is as good.
            child.kill().ok();
            child.wait().ok();
            return Err(ServiceError::TimedOut { program: self.program.clone() });
        }
        let answer = answer.join().unwrap_or_default();
        let complaint = complaint.join().unwrap_or_default();
        match status {
            Some(status) if status.success() => Ok(answer),
            _ => Err(ServiceError::Failed { program: self.program.clone(), reason: complaint.trim().to_owned() }),
        }
    }
}

fn read_all(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // A pipe that breaks ends the answer; what is missing is found when it is read.
            pipe.take(MAX_ANSWER).read_to_end(&mut bytes).ok();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn state(block: &str) -> UnitState {
    let mut state = UnitState::default();
    for (key, value) in block.lines().filter_map(|line| line.split_once('=')) {
        match key {
            "LoadState" => state.load = value.to_owned(),
            "ActiveState" => state.active = value.to_owned(),
            "SubState" => state.sub = value.to_owned(),
            "UnitFileState" => state.enabled = value.to_owned(),
            _ => {}
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn fake(folder: &tempfile::TempDir, script: &str) -> Systemd {
        let program = folder.path().join("systemctl");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Systemd::new(program)
    }

    fn units(names: &[&str]) -> Vec<UnitName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn all_units_are_asked_in_one_call() {
        let folder = tempfile::tempdir().unwrap();
        let calls = folder.path().join("calls");
        let script = format!(
            "echo \"$*\" >>{}\nprintf 'Id=nginx.service\\nLoadState=loaded\\nActiveState=active\\nSubState=running\\nUnitFileState=enabled\\n\\nId=gone.service\\nLoadState=not-found\\nActiveState=inactive\\nSubState=dead\\nUnitFileState=\\n'",
            calls.display()
        );
        let states = fake(&folder, &script).states(&units(&["nginx", "gone"])).unwrap();
        assert!(states[&units(&["nginx"])[0]].is_active());
        assert_eq!(states[&units(&["gone"])[0]].load, "not-found");
        let calls = fs::read_to_string(calls).unwrap();
        assert_eq!(calls.lines().count(), 1);
        assert!(calls.contains("nginx.service gone.service"), "{calls}");
    }

    #[test]
    fn a_failure_says_what_systemctl_said_and_a_missing_one_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let error = fake(&folder, "echo 'Failed to connect to bus' >&2; exit 1").states(&units(&["a"])).unwrap_err();
        assert!(error.to_string().contains("Failed to connect to bus"), "{error}");
        let error = Systemd::new(PathBuf::from("/nonexistent/systemctl")).states(&units(&["a"])).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/systemctl can't be started"), "{error}");
    }
}
