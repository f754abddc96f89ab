//! What differs between a unit then and now, in words: before anything is done, and of what could not be put back.

use std::fmt;

use updates_protocol::UnitName;

use super::unit_state::{Look, Running};
use super::way_back::Pair;
use super::{ServiceError, UnitState};

/// One unit that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitDifference {
    /// Which one.
    pub unit: UnitName,
    /// What it was.
    pub saved: UnitState,
    /// What it is. The same in all that counts, but for its invocation, where it was started again since.
    pub now: UnitState,
}

impl fmt::Display for UnitDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if (self.saved.exists(), &self.saved.enabled) != (self.now.exists(), &self.now.enabled) {
            parts.push(format!("was {} and is {}", installed(&self.saved), installed(&self.now)));
        }
        if self.saved.running() != self.now.running() {
            parts.push(format!("was {} and is {}", self.saved.active, self.now.active));
        } else if self.now.was_restarted_since(&self.saved) {
            parts.push("was started again since".to_owned());
        }
        write!(f, "{} {}", self.unit.with_suffix(), parts.join(", "))
    }
}

/// What is not as it was at the end, and is a problem. `error` is what the last step with the unit ended with.
pub(super) fn in_words(pair: &Pair<'_>, look: &Look, error: Option<&ServiceError>) -> Vec<String> {
    let (unit, saved, now) = (pair.unit.with_suffix(), pair.saved, &pair.now);
    let mut found = Vec::new();
    // One that is still starting counts as running, unless that was not heard the end of.
    let hangs = error.is_some() && saved.is_active() && !now.is_active();
    let runs = if pair.forced { now.is_up() } else { pair.runs_as_saved() && !hangs };
    if !runs {
        let was = if pair.forced { "was to be started" } else { &format!("was {}", saved.active) };
        let reason = match look.result.as_str() {
            "" | "success" => format!("SubState={}", now.sub),
            result => format!("SubState={}, Result={result}", now.sub),
        };
        let essential = if pair.is_essential() { "; the machine stands on it, so it is not stopped" } else { "" };
        found.push(format!("{unit} {was} and is {} ({reason}){essential}", now.active));
    }
    if !pair.is_installed_as_saved() {
        found.push(format!("{unit} was {} and is {}", installed(saved), installed(now)));
    }
    if let Some(error) = error {
        found.iter_mut().for_each(|problem| *problem = format!("{problem}: {error}"));
    }
    found
}

/// What is worth saying and no problem.
pub(super) fn remarks(pair: &Pair<'_>, forced_start: bool) -> Option<String> {
    let unit = pair.unit.with_suffix();
    if pair.has_ended_by_itself() {
        return Some(format!("leave {unit}, which has run to its end since"));
    }
    if !pair.forced && (pair.saved.running(), pair.now.running()) == (Running::Failed, Running::Down) {
        return Some(format!("leave {unit} inactive: it had failed, which nothing can put back"));
    }
    match pair.saved {
        saved if forced_start && saved.is_masked() => Some(format!("leave {unit} unstarted: it was masked")),
        saved if forced_start && !saved.exists() => Some(format!("leave {unit} unstarted: there was none")),
        _ => None,
    }
}

fn installed(state: &UnitState) -> &str {
    match state.enabled.as_str() {
        _ if !state.exists() => "not there",
        "" => "without a unit file",
        other => other,
    }
}
