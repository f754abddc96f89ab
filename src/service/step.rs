//! One step back of units: one call of systemctl for all units that it is the same for, as a value that can be printed
//! before it is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use updates_protocol::UnitName;

use super::call::{Bounds, call};
use super::unit_state::Look;
use super::{ServiceError, Systemd};

/// What is done with units on the way back; see systemctl(1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnitAction {
    /// Stop them, and wait until they are down.
    Stop,
    /// Take a mask away.
    Unmask {
        /// Below `/run` instead of `/etc`.
        runtime: bool,
    },
    /// Let them not be started at boot.
    Disable {
        /// Below `/run` instead of `/etc`.
        runtime: bool,
    },
    /// Let them be started at boot.
    Enable {
        /// Below `/run` instead of `/etc`.
        runtime: bool,
    },
    /// Make a unit file known that lies elsewhere.
    Link {
        /// Below `/run` instead of `/etc`.
        runtime: bool,
        /// The unit file.
        file: PathBuf,
    },
    /// Forget that they failed, and how often.
    ResetFailed,
    /// Start them, and wait until they are up.
    Start,
    /// Start them as [`UnitAction::Start`] does, though they did not run.
    ForceStart,
    /// Have them started. They were starting when they were saved, and maybe never end doing so.
    StartWithoutWaiting,
    /// Let nothing start them.
    Mask {
        /// Below `/run` instead of `/etc`.
        runtime: bool,
    },
}

/// An action for units that it is the same for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitStep {
    /// What is done.
    pub action: UnitAction,
    /// With which units; for enabling those that are meant by an alias.
    pub units: Vec<UnitName>,
}

impl UnitAction {
    pub(super) fn is_start(&self) -> bool {
        matches!(self, UnitAction::Start | UnitAction::ForceStart | UnitAction::StartWithoutWaiting)
    }

    /// The verb of systemctl, and whether the change is one below `/run`.
    fn verb(&self) -> (&'static str, bool) {
        match *self {
            UnitAction::Stop => ("stop", false),
            UnitAction::Unmask { runtime } => ("unmask", runtime),
            UnitAction::Disable { runtime } => ("disable", runtime),
            UnitAction::Enable { runtime } => ("enable", runtime),
            UnitAction::Link { runtime, .. } => ("link", runtime),
            UnitAction::ResetFailed => ("reset-failed", false),
            UnitAction::Start | UnitAction::ForceStart | UnitAction::StartWithoutWaiting => ("start", false),
            UnitAction::Mask { runtime } => ("mask", runtime),
        }
    }
}

impl fmt::Display for UnitStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, runtime) = self.action.verb();
        let names: Vec<String> = self.units.iter().map(UnitName::with_suffix).collect();
        write!(f, "{verb} {}", names.join(" "))?;
        match &self.action {
            UnitAction::Link { file, .. } => write!(f, " to {}", file.display())?,
            UnitAction::ForceStart => f.write_str(", which did not run")?,
            UnitAction::StartWithoutWaiting => f.write_str(", which was starting, without waiting")?,
            _ => {}
        }
        if runtime { f.write_str(" until the next boot") } else { Ok(()) }
    }
}

impl UnitStep {
    /// Puts the units into the order in which systemd is to hear of them. It takes them one after the other, and begins
    /// with the first before it knows of the second: only what it knows of already can be waited for.
    pub(super) fn in_order(mut self, now: &BTreeMap<UnitName, Look>) -> Self {
        let after = |unit: &UnitName, other: &UnitName| {
            now.get(unit).is_some_and(|look| look.after.contains(&other.with_suffix()))
        };
        let stopping = self.action == UnitAction::Stop;
        let waits = |unit: &UnitName, other: &UnitName| if stopping { after(other, unit) } else { after(unit, other) };
        let mut sorted = Vec::new();
        for unit in &self.units {
            visit(unit, &self.units, &waits, &mut BTreeSet::new(), &mut sorted);
        }
        self.units = sorted;
        self
    }
}

/// Adds what `unit` waits for, then itself. A circle, which systemd breaks up as well, is cut where it is met.
fn visit(
    unit: &UnitName,
    units: &[UnitName],
    waits: &impl Fn(&UnitName, &UnitName) -> bool,
    seen: &mut BTreeSet<UnitName>,
    sorted: &mut Vec<UnitName>,
) {
    if sorted.contains(unit) || !seen.insert(unit.clone()) {
        return;
    }
    for other in units.iter().filter(|other| waits(unit, other)) {
        visit(other, units, waits, seen, sorted);
    }
    sorted.push(unit.clone());
}

impl Systemd {
    /// Takes one step for all its units in one call.
    pub(super) fn step(&self, step: &UnitStep, bounds: Bounds<'_>) -> Result<(), ServiceError> {
        self.require_running()?;
        let (verb, runtime) = step.action.verb();
        let mut arguments = vec![verb, "--no-ask-password", "--no-pager"];
        if runtime {
            arguments.push("--runtime");
        }
        if step.action == UnitAction::StartWithoutWaiting {
            arguments.push("--no-block");
        }
        arguments.push("--");
        let names: Vec<String> = match &step.action {
            UnitAction::Link { file, .. } => vec![file.display().to_string()],
            _ => step.units.iter().map(UnitName::with_suffix).collect(),
        };
        arguments.extend(names.iter().map(String::as_str));
        call(self.program(), &arguments, bounds).map(drop)
    }
}
