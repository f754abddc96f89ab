//! What units were like before a module changed them, written down with the module that runs, and how they get back there.
//!
//! A unit that the module started or restarted is stopped before the files come back, so that nothing writes into them
//! meanwhile; what ran before is started after, and so reads the files as they were.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use updates_protocol::{ModuleName, UnitName};

use super::note::Notes;
use crate::service::{Bounds, ServiceError, Systemd, UnitState, Verb};

/// How long each step back may take, and all of them: the other modules wait meanwhile.
const STEP: Duration = Duration::from_secs(90);
const ALL: Duration = Duration::from_secs(600);
/// The key in what is noted with a running module.
const KEY: &str = "units";

/// One unit before the module's first request for it, and what was asked for since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    active: bool,
    enabled: bool,
    verbs: BTreeSet<Verb>,
}

/// Every unit that a module asked to be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnitsBefore(BTreeMap<UnitName, Before>);

/// Writes down what a module's units were like, durably, before they are changed.
pub(super) struct UnitJournal<'a> {
    module: &'a ModuleName,
    notes: &'a Notes,
    units: RefCell<UnitsBefore>,
}

impl<'a> UnitJournal<'a> {
    pub(super) fn new(module: &'a ModuleName, notes: &'a Notes) -> Self {
        Self { module, notes, units: RefCell::default() }
    }

    /// To be called before each change. When this returns, a restart of the machine knows what to take back.
    pub(super) fn remember(&self, unit: &UnitName, verb: Verb, state: &UnitState) -> Result<(), String> {
        let mut units = self.units.borrow().clone();
        let before = Before { active: state.is_up(), enabled: state.is_enabled(), verbs: BTreeSet::new() };
        if !units.0.entry(unit.clone()).or_insert(before).verbs.insert(verb) {
            return Ok(());
        }
        let payload = json!({ KEY: units });
        self.notes.remember(self.module, payload).map_err(|reason| {
            format!("{} is left as it is, since what it was like can't be written down: {reason}", unit.with_suffix())
        })?;
        self.units.replace(units);
        Ok(())
    }

    /// What was written down so far.
    pub(super) fn units(&self) -> UnitsBefore {
        self.units.borrow().clone()
    }
}

/// Steps back: what was done, and what could not be.
#[derive(Debug)]
pub(super) struct StepsBack {
    until: Instant,
    pub(super) done: Vec<String>,
    pub(super) problems: Vec<String>,
}

impl UnitsBefore {
    /// Reads what was noted with a module that was running when the supervisor ended.
    pub(super) fn of_payload(payload: &Value) -> Result<Self, serde_json::Error> {
        match payload.get(KEY) {
            Some(units) => Self::deserialize(units),
            None => Ok(Self::default()),
        }
    }

    /// Whether no unit was changed.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Before the files come back: ends what runs by the module's doing, and what it let be started at boot.
    pub(super) fn stop(&self, systemd: &Systemd, steps: &mut StepsBack) {
        let Some(now) = self.now(systemd, steps) else { return };
        for (unit, before) in &self.0 {
            let Some(now) = now.get(unit) else { continue };
            if before.was_begun() && now.is_up() {
                steps.take(systemd, Verb::Stop, unit);
            }
            // After the files are back there may be no unit file left that says what to disable.
            if before.is_about_boot() && now.is_enabled() && !before.enabled {
                steps.take(systemd, Verb::Disable, unit);
            }
        }
    }

    /// After the files are back: what ran before runs again, with the files of then.
    pub(super) fn start(&self, systemd: &Systemd, steps: &mut StepsBack) {
        if self.0.values().any(Before::is_about_boot)
            && let Err(error) = systemd.daemon_reload(steps.bounds())
        {
            steps.problems.push(error.to_string());
        }
        let Some(now) = self.now(systemd, steps) else { return };
        for (unit, before) in &self.0 {
            let Some(now) = now.get(unit) else { continue };
            if before.is_about_boot() && before.enabled && !now.is_enabled() {
                steps.take(systemd, Verb::Enable, unit);
            }
            if before.active && before.is_about_now() && !now.is_up() {
                steps.take(systemd, Verb::Start, unit);
            } else if before.active && before.verbs.contains(&Verb::Reload) {
                steps.take(systemd, Verb::Reload, unit);
            }
        }
        let Some(now) = self.now(systemd, steps) else { return };
        for (unit, before) in &self.0 {
            let up = now.get(unit).is_some_and(UnitState::is_up);
            if before.is_about_now() && up != before.active {
                let (is, was) = (if up { "up" } else { "down" }, if before.active { "up" } else { "down" });
                steps.problems.push(format!("{} is {is} and was {was} before the module ran", unit.with_suffix()));
            }
        }
    }

    fn now(&self, systemd: &Systemd, steps: &mut StepsBack) -> Option<BTreeMap<UnitName, UnitState>> {
        let units: Vec<UnitName> = self.0.keys().cloned().collect();
        systemd.states(&units).map_err(|error| steps.problems.push(error.to_string())).ok()
    }
}

impl Before {
    /// Whether what runs now, if anything does, was begun by the module's request.
    fn was_begun(&self) -> bool {
        let started = self.verbs.contains(&Verb::Start) && (!self.active || self.verbs.contains(&Verb::Stop));
        started || self.verbs.contains(&Verb::Restart)
    }

    /// Whether the module asked for anything that lets it run or not. What others did meanwhile is not its doing.
    fn is_about_now(&self) -> bool {
        self.verbs.iter().any(|verb| !verb.is_about_boot())
    }

    fn is_about_boot(&self) -> bool {
        self.verbs.iter().any(|verb| verb.is_about_boot())
    }
}

impl StepsBack {
    pub(super) fn new() -> Self {
        Self { until: Instant::now() + ALL, done: Vec::new(), problems: Vec::new() }
    }

    // Nobody can interrupt these: half a way back is worse than a late end.
    fn bounds(&self) -> Bounds<'static> {
        Bounds { timeout: self.until.saturating_duration_since(Instant::now()).min(STEP), interrupt: None }
    }

    fn take(&mut self, systemd: &Systemd, verb: Verb, unit: &UnitName) {
        match systemd.control(verb, unit, self.bounds()) {
            Ok(()) => self.done.push(format!("{verb} {}", unit.with_suffix())),
            Err(error) => self.failed(unit, &error),
        }
    }

    fn failed(&mut self, unit: &UnitName, error: &ServiceError) {
        self.problems.push(format!("{}: {error}", unit.with_suffix()));
    }
}
