//! Units put back to what they were, around files that are put back: what runs is stopped before, what ran before is
//! started after.
//!
//! systemd is asked for all units at once, before anything is decided and after each group of steps; which steps those
//! are is decided in `way_back`. Steps back can't be interrupted: half a way back is worse than a late end. Each is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use updates_protocol::UnitName;

use super::difference::{UnitDifference, in_words, remarks};
use super::step::{UnitAction, UnitStep};
use super::unit_state::{Look, UnitFile};
use super::way_back::{self, Pair};
use super::{Bounds, ServiceError, Systemd, UnitState};

/// The states of units, as they were saved.
pub type SavedUnits = BTreeMap<UnitName, UnitState>;

/// The way back of some units.
#[derive(Debug)]
#[must_use = "nothing is changed before a step is taken"]
pub struct UnitRestore<'a> {
    systemd: &'a Systemd,
    saved: &'a SavedUnits,
    now: BTreeMap<UnitName, Look>,
    forced_start: bool,
    until: Instant,
    done: Vec<String>,
    failed: Vec<(UnitStep, ServiceError)>,
    problems: Vec<String>,
    /// Actions that were taken for one unit alone, which settles what comes of them.
    settled: BTreeSet<(UnitAction, UnitName)>,
    /// What a unit's invocation was when its start was last asked for.
    asked: BTreeMap<UnitName, String>,
}

impl<'a> UnitRestore<'a> {
    /// Asks what the units are now, and changes nothing yet. With `forced_start` every saved service runs afterwards,
    /// unless it was masked or there was none.
    ///
    /// # Errors
    /// systemd does not run, or does not answer.
    pub fn begin(systemd: &'a Systemd, saved: &'a SavedUnits, forced_start: bool) -> Result<Self, ServiceError> {
        let units: Vec<UnitName> = saved.keys().cloned().collect();
        Ok(Self {
            systemd,
            saved,
            now: systemd.look(&units)?,
            forced_start,
            until: Instant::now(),
            done: Vec::new(),
            failed: Vec::new(),
            problems: Vec::new(),
            settled: BTreeSet::new(),
            asked: BTreeMap::new(),
        })
    }

    /// What is not as it was.
    pub fn differences(&self) -> Vec<UnitDifference> {
        let differing = |pair: &Pair<'_>| {
            !pair.runs_as_saved() || !pair.is_installed_as_saved() || pair.now.was_restarted_since(pair.saved)
        };
        let pairs = pairs(self.saved, &self.now, false).into_iter().filter(differing);
        pairs.map(|pair| UnitDifference { unit: pair.unit.clone(), saved: pair.saved.clone(), now: pair.now }).collect()
    }

    /// What will be done, if each step does what it should: `disturbed` as for [`UnitRestore::stop`], `forced_start` as
    /// for [`UnitRestore::begin`].
    pub fn steps(&self, disturbed: bool, forced_start: bool) -> Vec<UnitStep> {
        let steps = way_back::predict(pairs(self.saved, &self.now, forced_start), disturbed);
        steps.into_iter().map(|step| step.in_order(&self.now)).collect()
    }

    /// Before files and databases come back: stops what runs, where `disturbed` says that something below it will change
    /// or it was started again since, and in any case what did not run when it was saved.
    pub fn stop(&mut self, disturbed: bool) {
        self.begin_phase();
        // What was stopped for all together may have been too much for the program, or be back by its own doing.
        for alone in [false, true] {
            if !self.take(way_back::before(&self.pairs(), disturbed), alone) || !self.look_again() {
                return;
            }
        }
    }

    /// After files and databases are back: systemd reads changed unit files, of which `unit_files` says that there may be
    /// some; then what is started at boot, then what ran before runs again, last what is masked.
    pub fn start(&mut self, unit_files: bool) {
        self.begin_phase();
        if !self.look_again() {
            return;
        }
        if unit_files || self.needs_reload() {
            match self.systemd.daemon_reload(self.bounds()) {
                Ok(()) => self.done.push("daemon-reload".to_owned()),
                Err(error) => self.problems.push(error.to_string()),
            }
            if !self.look_again() {
                return;
            }
        }
        for alone in [false, true] {
            // Twice, since a mask in /etc hides one in /run.
            let order = [way_back::unmask, way_back::unmask, way_back::install, way_back::start, way_back::mask];
            for steps in order {
                if self.take(steps(&self.pairs()), alone) && !self.look_again() {
                    return;
                }
            }
        }
    }

    /// What was done, and what is not as it was: the last look counts, not how each step ended.
    pub fn finish(mut self) -> (Vec<String>, Vec<String>) {
        if !self.problems.is_empty() {
            let errors = self.failed.iter().map(|(step, error)| format!("{step}: {error}"));
            self.problems.extend(errors);
            return (self.done, self.problems);
        }
        for pair in pairs(self.saved, &self.now, self.forced_start) {
            let Some(look) = self.now.get(pair.unit) else { continue };
            self.done.extend(remarks(&pair, self.forced_start));
            let of_it = |(step, _): &&(UnitStep, ServiceError)| step.units.contains(pair.unit);
            let error = self.failed.iter().rev().find(of_it).map(|(_, error)| error);
            self.problems.extend(in_words(&pair, look, error));
        }
        (self.done, self.problems)
    }

    fn pairs(&self) -> Vec<Pair<'a>> {
        pairs(self.saved, &self.now, self.forced_start)
    }

    /// Takes steps, each in one call, or one call for each unit. Says whether there was anything to take.
    fn take(&mut self, steps: Vec<UnitStep>, alone: bool) -> bool {
        let mut any = false;
        for UnitStep { action, units } in steps {
            let units: Vec<UnitName> = units.into_iter().filter(|unit| self.is_open(&action, unit, alone)).collect();
            let size = if alone { 1 } else { units.len().max(1) };
            for units in units.chunks(size) {
                any = true;
                self.take_one(UnitStep { action: action.clone(), units: units.to_vec() }.in_order(&self.now));
            }
        }
        any
    }

    /// Whether an action has not been settled for a unit yet.
    fn is_open(&self, action: &UnitAction, unit: &UnitName, alone: bool) -> bool {
        let look = self.now.get(unit);
        if alone && look.is_some_and(|look| look.result == "start-limit-hit") {
            // It was not even tried, and now the count is back at nought.
            return true;
        }
        let was_started = action.is_start()
            && self.asked.get(unit).zip(look).is_some_and(|(before, look)| {
                // Another invocation says that it has run, whatever became of it; a job that it is about to.
                look.has_job || *before != look.state.invocation
            });
        // That its start failed just now is for people to see.
        let is_ours = *action == UnitAction::ResetFailed && self.asked.contains_key(unit);
        !was_started && !is_ours && !self.settled.contains(&(action.clone(), unit.clone()))
    }

    fn take_one(&mut self, step: UnitStep) {
        for unit in step.units.iter().filter(|_| step.action.is_start()) {
            if let Some(look) = self.now.get(unit) {
                self.asked.insert(unit.clone(), look.state.invocation.clone());
            }
        }
        if let [unit] = step.units.as_slice() {
            self.settled.insert((step.action.clone(), unit.clone()));
        }
        match self.systemd.step(&step, self.bounds()) {
            Ok(()) => self.done.push(step.to_string()),
            Err(error) => self.failed.push((step, error)),
        }
    }

    /// Asks for all units again. Says whether there was an answer; without one no step can be decided on.
    fn look_again(&mut self) -> bool {
        let units: Vec<UnitName> = self.saved.keys().cloned().collect();
        match self.systemd.look(&units) {
            Ok(now) => self.now = now,
            Err(error) => {
                self.problems.push(format!("what became of {} units is not known: {error}", units.len()));
                return false;
            }
        }
        true
    }

    /// Whether systemd goes by other unit files than there are.
    fn needs_reload(&self) -> bool {
        let stale = |look: &Look| look.needs_reload == Some(true);
        // What was there and is gone, or was static and is not, may be so in systemd's memory alone.
        let remembered = |pair: &Pair<'_>| {
            let by_files = |state: &UnitState| state.unit_file() == UnitFile::Other && state.enabled != "disabled";
            !pair.is_installed_as_saved() && (by_files(pair.saved) || by_files(&pair.now))
        };
        self.now.values().any(stale) || self.pairs().iter().any(remembered)
    }

    fn begin_phase(&mut self) {
        self.until = Instant::now() + self.systemd.restore_timeouts().1;
    }

    fn bounds(&self) -> Bounds<'static> {
        let (step, _) = self.systemd.restore_timeouts();
        Bounds { timeout: self.until.saturating_duration_since(Instant::now()).min(step), interrupt: None }
    }
}

fn pairs<'a>(saved: &'a SavedUnits, now: &BTreeMap<UnitName, Look>, forced_start: bool) -> Vec<Pair<'a>> {
    let pair = |(unit, saved): (&'a UnitName, &'a UnitState)| {
        let now = now.get(unit)?.state.clone();
        Some(Pair { unit, saved, now, forced: forced_start && !saved.is_up() && saved.exists() && !saved.is_masked() })
    };
    saved.iter().filter_map(pair).collect()
}
