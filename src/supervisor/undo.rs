//! Taking back what a module did: its files, databases and services, the slots of its own that it changed, and its code
//! where this version has not proved itself yet.

use updates_protocol::ModuleName;

use super::RunContext;
use super::checkpoints::Checkpoints;
use super::in_flight::OwnSlot;
use super::surroundings::Surroundings;
use super::target::Target;
use super::versions::put_back_safe;
use crate::catalog::{Held, Reverted};
use crate::record::RollbackRecord;
use crate::state::{Backup, RestoreError, Restored};

/// Paths that are listed in a record.
const LISTED: usize = 1000;

/// Puts everything back from a checkpoint, and then the slots that the module changed. What is not back is said in the
/// record; the next start tries again.
pub(super) fn everything(
    surroundings: &Surroundings<'_>,
    module: &ModuleName,
    checkpoint: &Backup,
    checkpoints: &Checkpoints,
    slots: &[OwnSlot],
) -> RollbackRecord {
    let mut record = restore(surroundings, module, checkpoint, false);
    if record.complete {
        for slot in slots {
            let store = checkpoints.own_store(slot).map_err(Into::into);
            if let Err(error) = store.and_then(|store| store.put_back_former(&slot.slot, slot.existed)) {
                record.complete = false;
                record.error = Some(format!("its backup {} is not as it was: {error}", slot.slot));
            }
        }
    }
    record
}

/// Puts back what one slot holds, and nothing else.
pub(super) fn restore(
    surroundings: &Surroundings<'_>,
    module: &ModuleName,
    backup: &Backup,
    forced_service_start: bool,
) -> RollbackRecord {
    let mut record = nothing(module, None);
    let done = surroundings.while_restoring(|live| {
        let plan = backup.plan(live).map_err(RestoreError::Refused)?;
        if forced_service_start { plan.with_forced_service_start() } else { plan }.apply()
    });
    let Restored { changed, steps, .. } = match done {
        Ok(restored) => {
            record.complete = true;
            restored
        }
        Err(error) => {
            record.error = Some(format!("{error}; {}", way_out(module)));
            match error {
                RestoreError::Incomplete { restored, .. } => restored,
                RestoreError::Refused(_) => Restored::default(),
            }
        }
    };
    record.restored = changed.iter().take(LISTED).map(|path| path.display().to_string()).collect();
    record.services = steps;
    record
}

/// What a person can do about a module that is not back.
pub(super) fn way_out(module: &ModuleName) -> String {
    format!(
        "mend the cause, then `updates recover`; or restore another backup with `updates backup restore {module}`, or put \
         it right by hand and say so with `updates recover --accept {module}`"
    )
}

/// A rollback that has done nothing yet, or could not for a reason.
pub(super) fn nothing(module: &ModuleName, error: Option<String>) -> RollbackRecord {
    let (restored, services) = (Vec::new(), Vec::new());
    RollbackRecord { module: module.clone(), complete: false, restored, services, code: false, error }
}

/// Puts the version before back in the place of one that has not proved itself. A version that ran well once is left
/// alone: it is not its code that is new. With `hold` the version is not installed again until it changes. Where the folder
/// of the version before is gone, the last safe version comes from the mirror. Returns what a person should know.
pub(super) fn code(
    context: &RunContext<'_>,
    target: &Target,
    hold: bool,
    reason: &str,
    record: &mut RollbackRecord,
) -> Option<String> {
    if !target.unconfirmed {
        return None;
    }
    let name = &target.manifest.name;
    let held = Held {
        version: target.manifest.schema_version.clone(),
        tree: target.tree.clone().unwrap_or_default(),
        reason: reason.to_owned(),
        since: jiff::Timestamp::now().to_string(),
    };
    // Held first: killed between the two, the version is still in place, fails again and is taken back then.
    let held = if hold { context.catalog.hold(name, held).map_err(|error| error.to_string()) } else { Ok(()) };
    let done = held.and_then(|()| context.catalog.revert(name).map_err(|error| error.to_string()));
    match done {
        Ok(Reverted::Nothing) => {}
        Ok(Reverted::Previous(_) | Reverted::Removed) => record.code = true,
        Ok(Reverted::Lost) => {
            let gone = "the folder of the version before is gone";
            return match put_back_safe(context.supervisor, context.catalog, name, target.tree.as_deref()) {
                Ok(Some(version)) => {
                    record.code = true;
                    Some(format!("{gone}; {version}, which ran well last, was installed from the mirror"))
                }
                Ok(None) => None,
                Err(error) => Some(format!("{gone}, and its code stays as it is: {error}")),
            };
        }
        Err(error) => {
            record.complete = false;
            record.error = Some(format!("the module's former code is not back: {error}"));
        }
    }
    None
}
