//! A restore that a person began, written down before its first change, so that the next start finishes it.

use updates_protocol::{ModuleName, Phase, RunId};

use crate::config::Layout;
use crate::history::{History, HistoryError, InFlight};
use crate::state::Backup;
use crate::supervisor::in_flight::{PersonsRestore, SlotPlace, WayBack};

/// A restore that is under way.
#[derive(Debug)]
#[must_use = "it is settled, or left to the next start"]
pub(super) struct Begun {
    module: ModuleName,
    former: Option<InFlight>,
}

impl Begun {
    /// Notes durably that `backup` is being put back. What was noted with its module before is settled by it.
    pub fn note(
        layout: &Layout,
        history: &mut History,
        run_id: &RunId,
        backup: &Backup,
        forced_service_start: bool,
    ) -> Result<Self, HistoryError> {
        let module = backup.owner().clone();
        let former = history.in_flight()?.into_iter().find(|row| row.module == module);
        let restore = PersonsRestore { from: SlotPlace::of(layout, backup), forced_service_start };
        let way_back = WayBack::restoring(restore);
        history.begin_module(run_id, &module, Phase::Main, 1, &way_back.payload())?;
        Ok(Self { module, former })
    }

    /// Everything is back, and with it whatever an earlier run had left.
    pub fn done(self, history: &mut History) -> Result<(), HistoryError> {
        history.end_module(&self.module)
    }

    /// Nothing was changed: what was noted before holds again.
    pub fn refused(self, history: &mut History) -> Result<(), HistoryError> {
        match self.former {
            Some(former) => history.begin_modules(&[former]),
            None => history.end_module(&self.module),
        }
    }
}
