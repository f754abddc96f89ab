//! Settling what an interrupted run left: first the swaps of code and slots, then every module that was running.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use updates_protocol::ModuleName;

use super::checkpoints::Checkpoints;
use super::dispatcher::Dispatcher;
use super::error::RunError;
use super::event::Event;
use super::in_flight::WayBack;
use super::lock::RunLock;
use super::stores::stores;
use super::surroundings::Surroundings;
use super::versions::take_back;
use super::{Supervisor, forgotten, undo};
use crate::catalog::Catalog;
use crate::fs::remove_unfinished;
use crate::history::History;
use crate::process::CgroupHierarchy;
use crate::record::RollbackRecord;
use crate::state::{Backup, Store};

/// How often a restore is begun before a person is asked: one that is killed each time would otherwise be repeated, and
/// perhaps take the machine down, every night.
const MAX_TRIES: u32 = 5;

/// Puts every module back that was running when a run was interrupted. Returns those that could not be, with the reason;
/// they must not run. `insist` tries even those that were given up.
pub(super) fn settle(
    supervisor: &Supervisor,
    _lock: &RunLock,
    catalog: &Catalog,
    checkpoints: &Checkpoints,
    insist: bool,
    dispatcher: &mut Dispatcher<'_>,
) -> Result<BTreeMap<ModuleName, String>, RunError> {
    for folder in [supervisor.layout.state(), supervisor.layout.self_update()] {
        remove_unfinished(&folder)?;
    }
    let recovery = catalog.recover()?;
    for note in recovery.notes {
        tracing::info!("{note}");
    }
    for problem in recovery.problems {
        dispatcher.event(Event::Problem(problem.to_string()));
    }
    checkpoints.recover()?;
    let run_id = dispatcher.run_id().clone();
    let forgotten = match dispatcher.history() {
        Some(history) => forgotten::note_again(&supervisor.layout, checkpoints, history, &run_id),
        None => Ok(Vec::new()),
    };
    match forgotten {
        Ok(modules) => modules.into_iter().for_each(|module| {
            let text = format!(
                "{module}: its checkpoint is older than the history; it may have been running when that was lost, \
                 and is put back"
            );
            dispatcher.event(Event::Problem(text));
        }),
        Err(error) => dispatcher.event(Event::Problem(error)),
    }
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
            let way_out = undo::way_out(&module);
            let reason = format!("putting it back was tried {} times without success; {way_out}", row.tries);
            unsettled.insert(module, reason);
            continue;
        }
        if let Some(history) = dispatcher.history() {
            // Uncounted where the disk is full: putting back is what may free it.
            if let Err(error) = history.count_try(&module) {
                dispatcher.event(Event::Problem(error.to_string()));
            }
        }
        let rollback = match WayBack::of_payload(&row.payload) {
            Ok(way_back) => put_back(supervisor, catalog, checkpoints, &module, &way_back),
            Err(error) => {
                let way_out = undo::way_out(&module);
                undo::nothing(&module, Some(format!("what was noted of it can't be read: {error}; {way_out}")))
            }
        };
        if rollback.complete {
            // A row that stays, for want of room, means a restore too many; the next module may be what frees the disk.
            if let Some(Err(error)) = dispatcher.history().map(|history| history.end_module(&module)) {
                dispatcher.event(Event::Problem(error.to_string()));
            }
        } else {
            unsettled.insert(module, rollback.error.clone().unwrap_or_default());
        }
        dispatcher.event(Event::Recovered(rollback));
    }
    // Only now: what a crash left of a slot is settled by the row that names it first.
    let places = stores(&supervisor.layout).unwrap_or_else(|error| {
        dispatcher.event(Event::Problem(error.to_string()));
        Vec::new()
    });
    for place in places {
        if let Err(error) = Store::open(&place).and_then(|store| store.recover()) {
            dispatcher.event(Event::Problem(error.to_string()));
        }
    }
    sweep(supervisor, checkpoints, dispatcher);
    Ok(unsettled)
}

fn put_back(
    supervisor: &Supervisor,
    catalog: &Catalog,
    checkpoints: &Checkpoints,
    module: &ModuleName,
    way_back: &WayBack,
) -> RollbackRecord {
    let mut surroundings = Surroundings::of_module(supervisor, module);
    if way_back.is_of_another_boot() {
        surroundings = surroundings.after_a_boot();
    }
    let place = way_back.restore.as_ref().map(|restore| &restore.from).or(way_back.checkpoint.as_ref());
    match (checkpoints.find(module, place), &way_back.restore) {
        (Ok(backup), Some(restore)) => undo::restore(&surroundings, module, &backup, restore.forced_service_start),
        (Ok(backup), None) => {
            let mut record = undo::everything(&surroundings, module, &backup, checkpoints, &way_back.slots);
            if let Some(wanted) = way_back.checkout.as_ref().filter(|_| record.complete) {
                match take_back(catalog, module, wanted) {
                    Ok(code) => record.code = code,
                    Err(error) => {
                        record.complete = false;
                        record.error = Some(format!("its former code is not back: {error}; {}", undo::way_out(module)));
                    }
                }
            }
            record
        }
        (Err(error), _) => undo::nothing(module, Some(format!("{error}; {}", undo::way_out(module)))),
    }
}

/// The modules that are not put back.
pub(super) fn held(dispatcher: &mut Dispatcher<'_>) -> BTreeSet<ModuleName> {
    let rows = dispatcher.history().and_then(|history| history.in_flight().ok()).unwrap_or_default();
    rows.into_iter().map(|row| row.module).collect()
}

/// Removes what nobody goes back to any more. That it is there does no harm, so that nothing depends on it.
pub(super) fn sweep(supervisor: &Supervisor, checkpoints: &Checkpoints, dispatcher: &mut Dispatcher<'_>) {
    let Some(history) = dispatcher.history() else { return };
    if let Err(error) = remove_leftovers(supervisor, checkpoints, history) {
        dispatcher.event(Event::Problem(format!("what an earlier run left can't be removed: {error}")));
    }
}

fn remove_leftovers(supervisor: &Supervisor, checkpoints: &Checkpoints, history: &mut History) -> Result<(), String> {
    checkpoints.sweep(history)?;
    let rows = history.in_flight().map_err(|error| error.to_string())?;
    // Where one can't be read, any slot may be among those that it goes back to.
    let wanted: Result<Vec<WayBack>, _> = rows.iter().map(|row| WayBack::of_payload(&row.payload)).collect();
    let Ok(wanted) = wanted else { return Ok(()) };
    let wanted = |name: &ModuleName| wanted.iter().flat_map(|way| &way.slots).any(|slot| slot.slot == *name);
    for place in stores(&supervisor.layout).map_err(|error| error.to_string())? {
        let store = Store::open(&place).map_err(|error| error.to_string())?;
        store.settle_formers(wanted).map_err(|error| error.to_string())?;
    }
    Ok(())
}

impl Supervisor {
    /// Takes a module that could not be put back as it is now: a person has put it right, or wants it so. It runs again
    /// from the next run on. Says whether there was anything to be put back.
    pub fn accept(&self, module: &ModuleName) -> Result<bool, RunError> {
        let _lock = self.lock(Duration::ZERO)?;
        let mut history = History::open(&self.layout.database())?;
        let Some(row) = history.in_flight()?.into_iter().find(|row| row.module == *module) else { return Ok(false) };
        let checkpoints = Checkpoints::open(&self.layout)?;
        checkpoints.recover()?;
        history.end_module(module)?;
        history.settled()?;
        // Nobody shall rely upon a checkpoint that was the reason.
        let place = WayBack::of_payload(&row.payload).ok().and_then(|way_back| way_back.checkpoint);
        let retained = checkpoints.retained();
        let is_rotten =
            |checkpoint: Backup| checkpoint.path().parent() == Some(retained.root()) && checkpoint.verify().is_err();
        if checkpoints.find(module, place.as_ref()).is_ok_and(is_rotten) {
            retained.remove(module)?;
        }
        if let Err(error) = remove_leftovers(self, &checkpoints, &mut history) {
            tracing::warn!("what is left of the run stays until the next start: {error}");
        }
        Ok(true)
    }
}
