//! Taking back what a module did: its files, and its code where this version has not proved itself yet.

use updates_protocol::ModuleName;

use super::RunContext;
use super::target::Target;
use crate::catalog::{Held, Reverted};
use crate::config::Layout;
use crate::record::RollbackRecord;
use crate::state::Backup;

/// Paths that are listed in a record.
const LISTED: usize = 1000;

/// Puts files back from a checkpoint. What is not back is said in the record; the next start tries again.
pub(super) fn files(layout: &Layout, module: &ModuleName, checkpoint: &Backup) -> RollbackRecord {
    let mut record =
        RollbackRecord { module: module.clone(), complete: false, restored: Vec::new(), code: false, error: None };
    let machine = layout.machine();
    match checkpoint.restore(&machine) {
        Ok(restored) => {
            record.complete = true;
            record.restored = restored.changed.iter().take(LISTED).map(|path| path.display().to_string()).collect();
        }
        Err(error) => record.error = Some(error.to_string()),
    }
    record
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
