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
