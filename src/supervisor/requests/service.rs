//! Requests for services: a unit that the module declares is looked at or controlled by systemd on its behalf, so that no
//! module needs root or the bus.
//!
//! What a unit was like stands in the checkpoint, so that it can be taken back; one that does not is left alone.

use std::os::fd::AsFd;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use updates_protocol::UnitName;

use super::{Denial, Grants, failed};
use crate::service::{Bounds, Systemd, UnitState, Verb};

/// The longest that one request waits for systemd.
const LONGEST: Duration = Duration::from_secs(90);

#[derive(Deserialize)]
pub(super) struct ServiceArguments {
    unit: UnitName,
}

impl Grants<'_> {
    pub(super) fn service(&self, what: &str, arguments: ServiceArguments, left: Duration) -> Result<Value, Denial> {
        let unit = self.own_unit(&arguments.unit)?;
        let systemd = self.supervisor.systemd()?.with_timeout(left.min(LONGEST));
        let state = state(&systemd, &unit)?;
        let Some(verb) = Verb::ALL.into_iter().find(|verb| verb.as_str() == what) else {
            return Ok(json!({
                "unit": unit.with_suffix(),
                "active": state.is_active(),
                "load_state": state.load,
                "active_state": state.active,
                "sub_state": state.sub,
                "unit_file_state": state.enabled,
            }));
        };
        refuse_essential(&unit, &state)?;
        self.require_saved(&unit)?;
        let interrupt = Some(self.supervisor.cancel.as_fd());
        systemd.control(verb, &unit, Bounds { timeout: left.min(LONGEST), interrupt }).map_err(failed)?;
        Ok(json!({"unit": unit.with_suffix(), "done": verb}))
    }

    pub(super) fn require_saved(&self, unit: &UnitName) -> Result<(), Denial> {
        if self.journal.has_saved(unit) {
            return Ok(());
        }
        Err(failed(format!(
            "{} is left as it is: systemd did not run when {} was started, so what the unit was like is not saved",
            unit.with_suffix(),
            self.module
        )))
    }

    pub(super) fn own_unit(&self, asked: &UnitName) -> Result<UnitName, Denial> {
        let name = asked.with_suffix();
        if let Some(unit) = self.units.iter().find(|unit| unit.with_suffix() == name) {
            return Ok(unit.clone());
        }
        if let Some(problem) = asked.not_controllable() {
            return Err(format!("{name} {problem}").into());
        }
        let known: Vec<_> = self.units.iter().map(UnitName::with_suffix).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(format!(
            "{name} is not declared by {}: add it to sandbox.services in index.json (declared: {known})",
            self.module
        )
        .into())
    }
}

fn state(systemd: &Systemd, unit: &UnitName) -> Result<UnitState, Denial> {
    let mut states = systemd.states(std::slice::from_ref(unit)).map_err(failed)?;
    states.remove(unit).ok_or_else(|| failed(format!("systemd says nothing of {unit}")))
}

/// A unit may be declared to be looked at, or be another name of one that could not be declared.
fn refuse_essential(unit: &UnitName, state: &UnitState) -> Result<(), Denial> {
    let name = unit.with_suffix();
    if let Some(problem) = unit.not_controllable() {
        return Err(format!("{name} {problem}").into());
    }
    match state.id.parse::<UnitName>().ok().filter(|id| id.with_suffix() != name) {
        Some(id) => match id.not_controllable() {
            Some(problem) => Err(format!("{name} is another name of {id}, which {problem}").into()),
            None => Ok(()),
        },
        None => Ok(()),
    }
}
