//! Settling what an interrupted run left: first the swaps of code and slots, then every module that was running.

use std::collections::BTreeMap;

use serde_json::Value;
use updates_protocol::ModuleName;

use super::backup::{BegunRestore, resume};
use super::dispatcher::Dispatcher;
use super::error::RunError;
use super::event::Event;
use super::lock::RunLock;
use super::units::UnitsBefore;
use super::{Supervisor, undo};
use crate::catalog::Catalog;
use crate::process::CgroupHierarchy;
use crate::record::RollbackRecord;
use crate::state::Store;

/// How often a restore is begun before a person is asked: one that is killed each time would otherwise be repeated, and
/// perhaps take the machine down, every night.
const MAX_TRIES: u32 = 5;

/// Puts every module back that was running when a run was interrupted. Returns those that could not be, with the reason;
/// they must not run. `insist` tries even those that were given up.
pub(super) fn settle(
    supervisor: &Supervisor,
    _lock: &RunLock,
    catalog: &Catalog,
    checkpoints: &Store,
    insist: bool,
    dispatcher: &mut Dispatcher<'_>,
) -> Result<BTreeMap<ModuleName, String>, RunError> {
    let recovery = catalog.recover()?;
    for note in recovery.notes {
        tracing::info!("{note}");
    }
    for problem in recovery.problems {
        dispatcher.event(Event::Problem(problem.to_string()));
    }
    checkpoints.recover()?;
    let mut unsettled = BTreeMap::new();
    let in_flight = match dispatcher.history() {
        Some(history) => history.in_flight()?,
        None => Vec::new(),
    };
    if !in_flight.is_empty() {
        // Where the runner was killed as well, the last of its module may be about to die still: here it is waited for.
        drop(CgroupHierarchy::find());
    }
    for row in in_flight {
        let module = row.module;
        if row.tries >= MAX_TRIES && !insist {
            let reason = format!(
                "putting it back was tried {} times without success; mend the cause, then `updates recover`",
                row.tries
            );
            unsettled.insert(module, reason);
            continue;
        }
        if let Some(history) = dispatcher.history() {
            // Uncounted where the disk is full: putting back is what may free it.
            if let Err(error) = history.count_try(&module) {
                dispatcher.event(Event::Problem(error.to_string()));
            }
        }
        let rollback = match BegunRestore::of_payload(&row.payload) {
            Some(begun) => resume(supervisor, &module, &begun),
            None => put_back(supervisor, checkpoints, &module, &row.payload),
        };
        if rollback.complete {
            if let Some(history) = dispatcher.history() {
                history.end_module(&module)?;
            }
        } else {
            unsettled.insert(module, rollback.error.clone().unwrap_or_default());
        }
        dispatcher.event(Event::Recovered(rollback));
    }
    Ok(unsettled)
}

fn put_back(supervisor: &Supervisor, checkpoints: &Store, module: &ModuleName, payload: &Value) -> RollbackRecord {
    match (checkpoints.load(module), UnitsBefore::of_payload(payload)) {
        (Ok(Some(checkpoint)), Ok(units)) => undo::everything(supervisor, module, &checkpoint, &units),
        (Ok(None), _) => undo::nothing(module, Some("its checkpoint is missing".to_owned())),
        (Err(error), _) => undo::nothing(module, Some(error.to_string())),
        (_, Err(error)) => {
            undo::nothing(module, Some(format!("what was noted of its services can't be read: {error}")))
        }
    }
}
