//! Units put back to what they were, around files that are put back: what runs by somebody's doing is stopped before, what
//! ran before is started after.
//!
//! systemd is asked once for all units before anything is decided. Steps back can't be interrupted: half a way back is
//! worse than a late end. Each is bounded.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use updates_protocol::UnitName;

use super::{Bounds, ServiceError, Systemd, UnitState, Verb};

/// How long each step may take, and all of them.
const STEP: Duration = Duration::from_secs(90);
const ALL: Duration = Duration::from_secs(600);

/// The states of units, as they were saved.
pub type SavedUnits = BTreeMap<UnitName, UnitState>;

/// One unit that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitDifference {
    /// Which one.
    pub unit: UnitName,
    /// What it was.
    pub saved: UnitState,
    /// What it is.
    pub now: UnitState,
}

/// The way back of some units.
#[derive(Debug)]
pub struct UnitRestore<'a> {
    systemd: &'a Systemd,
    saved: &'a SavedUnits,
    now: SavedUnits,
    /// Whether everything that is saved is to run afterwards, whatever it was.
    forced_start: bool,
    until: Instant,
    done: Vec<String>,
    problems: Vec<String>,
}

impl<'a> UnitRestore<'a> {
    /// Asks what the units are now, and changes nothing yet.
    pub fn begin(systemd: &'a Systemd, saved: &'a SavedUnits, forced_start: bool) -> Result<Self, ServiceError> {
        let units: Vec<UnitName> = saved.keys().cloned().collect();
        let now = systemd.states(&units)?;
        let until = Instant::now() + ALL;
        Ok(Self { systemd, saved, now, forced_start, until, done: Vec::new(), problems: Vec::new() })
    }

    /// What is not as it was.
    pub fn differences(&self) -> Vec<UnitDifference> {
        let pairs = self.saved.iter().filter_map(|(unit, saved)| Some((unit, saved, self.now.get(unit)?)));
        pairs
            .filter(|(_, saved, now)| (saved.is_up(), &saved.enabled) != (now.is_up(), &now.enabled))
            .map(|(unit, saved, now)| UnitDifference { unit: unit.clone(), saved: saved.clone(), now: now.clone() })
            .collect()
    }

    /// Before files and databases come back: stops what runs, where `disturbed` says that something below it will change,
    /// and in any case what did not run when it was saved.
    pub fn stop(&mut self, disturbed: bool) {
        for (unit, saved) in self.saved {
            let is_up = self.now.get(unit).is_some_and(UnitState::is_up);
            if is_up && (disturbed || !saved.is_up()) {
                self.take(Verb::Stop, unit);
            }
        }
    }

    /// After files and databases are back: what is started at boot, then what ran before runs again.
    pub fn start(&mut self) {
        if let Err(error) = self.systemd.daemon_reload(self.bounds()) {
            self.problems.push(error.to_string());
        }
        for (unit, saved) in self.saved {
            if saved.is_up() || self.forced_start {
                self.take(Verb::Start, unit);
            }
        }
    }

    /// Looks once more; what was done, and what is still not as it was.
    pub fn finish(self) -> (Vec<String>, Vec<String>) {
        (self.done, self.problems)
    }

    fn bounds(&self) -> Bounds<'static> {
        Bounds { timeout: self.until.saturating_duration_since(Instant::now()).min(STEP), interrupt: None }
    }

    fn take(&mut self, verb: Verb, unit: &UnitName) {
        match self.systemd.control(verb, unit, self.bounds()) {
            Ok(()) => self.done.push(format!("{verb} {}", unit.with_suffix())),
            Err(error) => self.problems.push(format!("{}: {error}", unit.with_suffix())),
        }
    }
}
