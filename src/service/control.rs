//! Changing what systemd does with a unit: one verb for one unit, waited for until systemd's job is done.

use std::fmt;

use serde::{Deserialize, Serialize};
use updates_protocol::UnitName;

use super::call::{Bounds, call};
use super::{ServiceError, Systemd};

/// What systemd can be asked to do with a unit, in the words of systemctl(1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Start it, unless it runs.
    Start,
    /// Stop it.
    Stop,
    /// Stop and start it; start it where it does not run.
    Restart,
    /// Let it read its configuration again.
    Reload,
    /// Let it be started at boot; does not start it now.
    Enable,
    /// Let it not be started at boot; does not stop it now.
    Disable,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Verb; 6] = [Verb::Start, Verb::Stop, Verb::Restart, Verb::Reload, Verb::Enable, Verb::Disable];

    /// As systemctl takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Start => "start",
            Verb::Stop => "stop",
            Verb::Restart => "restart",
            Verb::Reload => "reload",
            Verb::Enable => "enable",
            Verb::Disable => "disable",
        }
    }

    /// Whether it is about being started at boot.
    pub fn is_about_boot(self) -> bool {
        matches!(self, Verb::Enable | Verb::Disable)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Systemd {
    /// Has systemd do `verb` with `unit` and waits until it is done. When the time is over the call is given up; systemd's
    /// own job goes on.
    pub fn control(&self, verb: Verb, unit: &UnitName, bounds: Bounds<'_>) -> Result<(), ServiceError> {
        self.require_running()?;
        let unit = unit.with_suffix();
        call(self.program(), &[verb.as_str(), "--no-ask-password", "--no-pager", "--", &unit], bounds).map(drop)
    }

    /// Has systemd read all unit files again.
    pub fn daemon_reload(&self, bounds: Bounds<'_>) -> Result<(), ServiceError> {
        self.require_running()?;
        call(self.program(), &["daemon-reload", "--no-ask-password", "--no-pager"], bounds).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd;
    use std::path::Path;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use tempfile::TempDir;

    use super::*;

    const LONG: Bounds<'static> = Bounds { timeout: Duration::from_secs(60), interrupt: None };

    // Written by another process: while a test's own descriptor is open for writing, a fork in another test inherits it, and
    // the kernel then refuses to execute the file (ETXTBSY).
    fn fake(script: &str) -> (TempDir, Systemd) {
        let folder = TempDir::new().unwrap();
        let program = folder.path().join("systemctl");
        let script = format!("#!/bin/sh\necho \"$@\" >>{}/calls\n{script}\n", folder.path().display());
        let write = "printf '%s' \"$1\" > \"$0\" && chmod 700 \"$0\"";
        assert!(Command::new("/bin/sh").arg("-c").arg(write).arg(&program).arg(&script).status().unwrap().success());
        (folder, Systemd::new(program))
    }

    fn unit() -> UnitName {
        "web".parse().unwrap()
    }

    #[test]
    fn a_verb_is_one_call_that_takes_the_unit_for_nothing_but_a_unit() {
        let (folder, systemd) = fake("");
        for verb in Verb::ALL {
            systemd.control(verb, &unit(), LONG).unwrap();
        }
        let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
        assert_eq!(calls.lines().count(), Verb::ALL.len());
        assert!(calls.lines().all(|line| line.ends_with("--no-ask-password --no-pager -- web.service")), "{calls}");
    }

    #[test]
    fn the_end_of_a_long_complaint_is_told() {
        let (_folder, systemd) = fake("head -c 100000 /dev/zero | tr '\\0' x >&2; echo ' the reason' >&2; exit 1");
        let error = systemd.control(Verb::Start, &unit(), LONG).unwrap_err().to_string();
        assert!(error.ends_with("the reason") && error.len() < 3000, "{} bytes", error.len());
    }

    #[test]
    fn what_hangs_is_ended_with_all_that_it_started() {
        let (folder, systemd) = fake("sleep 1000 & echo $! >\"${0%/*}/child\"; wait");
        let child = folder.path().join("child");
        let bounds = Bounds { timeout: Duration::from_secs(2), ..LONG };
        let error = systemd.control(Verb::Stop, &unit(), bounds).unwrap_err();
        assert!(matches!(error, ServiceError::Timeout { .. }), "{error}");
        let pid = fs::read_to_string(child).unwrap();
        let status = Path::new("/proc").join(pid.trim()).join("stat");
        let is_dead = || fs::read_to_string(&status).map_or(true, |text| text.contains(") Z") || text.contains(") X"));
        // A killed process takes a moment to be gone, and is nobody's child here that could be waited for.
        let begun = Instant::now();
        while !is_dead() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{} is alive", pid.trim());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn an_interrupt_ends_the_wait() {
        let (_folder, systemd) = fake("exec sleep 1000");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(writer);
        let bounds = Bounds { timeout: Duration::from_secs(60), interrupt: Some(reader.as_fd()) };
        let error = systemd.control(Verb::Start, &unit(), bounds).unwrap_err();
        assert!(matches!(error, ServiceError::Interrupted { .. }), "{error}");
    }
}
