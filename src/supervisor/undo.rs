//! Taking back what a module did: its files, the services that it changed, and its code where this version has not proved itself yet.

use updates_protocol::ModuleName;

use super::target::Target;
use super::units::{StepsBack, UnitsBefore};
use super::{RunContext, Supervisor};
use crate::catalog::{Held, Reverted};
use crate::record::RollbackRecord;
use crate::state::Backup;

/// Paths that are listed in a record.
const LISTED: usize = 1000;

/// Puts files back from a checkpoint, and the units that the module had changed to what they were. What is not back is
/// said in the record; the next start tries again.
pub(super) fn everything(
    supervisor: &Supervisor,
    module: &ModuleName,
    checkpoint: &Backup,
    units: &UnitsBefore,
) -> RollbackRecord {
    let mut record = nothing(module, None);
    if units.is_empty() {
        files(supervisor, checkpoint, &mut record);
        return record;
    }
    let mut steps = StepsBack::new();
    let systemd = supervisor.systemd().map_err(|error| steps.problems.push(error)).ok();
    if let Some(systemd) = &systemd {
        units.stop(systemd, &mut steps);
    }
    files(supervisor, checkpoint, &mut record);
    match &systemd {
        Some(systemd) if record.complete => units.start(systemd, &mut steps),
        Some(_) => steps.problems.push("its services are not started, since its files are not back".to_owned()),
        None => {}
    }
    record.services = steps.done;
    if !steps.problems.is_empty() {
        record.complete = false;
        let problems = steps.problems.join("; ");
        record.error = Some(match record.error.take() {
            Some(error) => format!("{error}; {problems}"),
            None => format!("its services are not as they were: {problems}"),
        });
    }
    record
}

/// A rollback that has done nothing yet, or could not for a reason.
pub(super) fn nothing(module: &ModuleName, error: Option<String>) -> RollbackRecord {
    let (restored, services) = (Vec::new(), Vec::new());
    RollbackRecord { module: module.clone(), complete: false, restored, services, code: false, error }
}

fn files(supervisor: &Supervisor, checkpoint: &Backup, record: &mut RollbackRecord) {
    match checkpoint.restore(&supervisor.layout.machine()) {
        Ok(restored) => {
            record.complete = true;
            record.restored = restored.changed.iter().take(LISTED).map(|path| path.display().to_string()).collect();
        }
        Err(error) => record.error = Some(error.to_string()),
    }
}

/// Puts the version before back in the place of one that has not proved itself. A version that ran well once is left
/// alone: it is not its code that is new. With `hold` the version is not installed again until it changes.
pub(super) fn code(context: &RunContext<'_>, target: &Target, hold: bool, reason: &str, record: &mut RollbackRecord) {
    if !target.unconfirmed {
        return;
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
        Err(error) => {
            record.complete = false;
            record.error = Some(format!("the module's former code is not back: {error}"));
        }
    }
}
