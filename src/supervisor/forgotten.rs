//! Checkpoints in flight that are older than the history: the database was lost or moved aside, and with it the rows that
//! said which modules were running. Their modules are noted again, so that they are put back like any other.
//!
//! Otherwise a checkpoint that no row names is a leftover: its module never started, or is settled. A module whose
//! checkpoint was the retained one itself leaves nothing here, and can't be found.

use updates_protocol::{ModuleName, Phase, RunId};

use super::checkpoints::Checkpoints;
use super::in_flight::{OwnSlot, SlotPlace, WayBack, inside};
use super::stores::stores;
use crate::config::Layout;
use crate::fs::Time;
use crate::history::{History, InFlight};
use crate::state::Store;

/// Notes them durably, and returns which they are.
pub(super) fn note_again(
    layout: &Layout,
    checkpoints: &Checkpoints,
    history: &mut History,
    run_id: &RunId,
) -> Result<Vec<ModuleName>, String> {
    let beginning = history.reader().beginning().map_err(|error| error.to_string())?;
    let Some(beginning) = beginning
        .map(|started| Time { seconds: started.as_second(), nanoseconds: started.subsec_nanosecond().unsigned_abs() })
    else {
        return Ok(Vec::new());
    };
    let known: Vec<_> = history.in_flight().map_err(|error| error.to_string())?;
    let mut found: Vec<InFlight> = Vec::new();
    // Where both phases have one, maintenance had ended well.
    for phase in [Phase::Main, Phase::Maintenance] {
        let store = checkpoints.in_flight(phase);
        for module in store.names().map_err(|error| error.to_string())? {
            if known.iter().chain(&found).any(|row| row.module == module) {
                continue;
            }
            let Some(checkpoint) = unsettled(checkpoints, store, &module, beginning, layout) else { continue };
            let slots = kept(layout, &module)?;
            let way_back = WayBack { checkpoint: Some(checkpoint), slots, ..WayBack::default() };
            let payload = way_back.payload();
            found.push(InFlight { module, run_id: run_id.clone(), phase, attempt: 1, tries: 0, payload });
        }
    }
    if !found.is_empty() {
        history.begin_modules(&found).map_err(|error| error.to_string())?;
    }
    Ok(found.into_iter().map(|row| row.module).collect())
}

/// The checkpoint of a module, if it is older than the history and not one that gave way to a newer one.
fn unsettled(
    checkpoints: &Checkpoints,
    store: &Store,
    module: &ModuleName,
    beginning: Time,
    layout: &Layout,
) -> Option<SlotPlace> {
    match store.load(module) {
        Ok(None) => None,
        Ok(Some(checkpoint)) => {
            let began = checkpoint.manifest().header.began;
            let promoted = checkpoints.retained().load(module).ok().flatten();
            let gave_way = promoted.is_some_and(|promoted| promoted.manifest().header.began > began);
            (began < beginning && !gave_way).then(|| SlotPlace::of(layout, &checkpoint))
        }
        // It can't be told, and the module must not run as if nothing were wrong: the try says what is, and what to do.
        Err(_) => {
            let (store, slot) = (inside(layout, store.root()), module.clone());
            Some(SlotPlace { store, slot, checksum: String::new() })
        }
    }
}

/// Slots of a module that were kept because it changed them in the run.
fn kept(layout: &Layout, module: &ModuleName) -> Result<Vec<OwnSlot>, String> {
    let mut found = Vec::new();
    for place in stores(layout).map_err(|error| error.to_string())? {
        let store = Store::open(&place).map_err(|error| error.to_string())?;
        for (slot, owner) in store.formers().map_err(|error| error.to_string())? {
            if owner == *module {
                found.push(OwnSlot { store: inside(layout, &place), slot, existed: true });
            }
        }
    }
    Ok(found)
}
