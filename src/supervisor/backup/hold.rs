//! The lock for as long as something is changed, with everything settled first that an interrupted run left.

use std::collections::BTreeMap;
use std::time::Duration;

use updates_protocol::ModuleName;

use crate::catalog::Catalog;
use crate::history::History;
use crate::record::{ExitStatus, RunKind};
use crate::supervisor::checkpoints::Checkpoints;
use crate::supervisor::dispatcher::Dispatcher;
use crate::supervisor::run::new_run_id;
use crate::supervisor::{Observer, RunError, RunLock, Supervisor, recover};

/// The run lock, and what could not be settled below it.
#[must_use]
pub(in crate::supervisor) struct Hold {
    _lock: RunLock,
    /// Modules that are not put back, with the reason.
    pub unsettled: BTreeMap<ModuleName, String>,
}

impl Supervisor {
    /// Takes the lock, and puts back what an interrupted run left, as each run does. That is remembered as a recovery of
    /// its own where there was anything.
    pub(in crate::supervisor) fn hold(&self, wait: Duration, observer: &mut dyn Observer) -> Result<Hold, RunError> {
        let lock = self.lock(wait)?;
        let history = History::open(&self.layout.database())?;
        let mut dispatcher = Dispatcher::new(RunKind::Recover, new_run_id(), Some(history), observer)?;
        let catalog = Catalog::open(&self.layout);
        let checkpoints = Checkpoints::open(&self.layout)?;
        let unsettled = match recover::settle(self, &lock, &catalog, &checkpoints, false, &mut dispatcher) {
            Ok(unsettled) => unsettled,
            Err(error) => return Err(dispatcher.fail(error)),
        };
        if dispatcher.has_recovered() {
            dispatcher.finish(|_| match unsettled.is_empty() {
                true => ExitStatus::Success,
                false => ExitStatus::RollbackFailed,
            });
        } else {
            dispatcher.forget();
        }
        Ok(Hold { _lock: lock, unsettled })
    }
}
