//! `updates backup remove`: one slot, whatever its condition.

use std::time::Duration;

use super::error::BackupError;
use super::slots::{Slot, SlotKind};
use crate::history::HistoryReader;
use crate::state::Store;
use crate::supervisor::{Observer, Supervisor};

impl Supervisor {
    /// Removes a slot. Says whether it was still there. A checkpoint stays as long as its module may have to be put back from
    /// it.
    pub fn remove_backup(&self, slot: &Slot, wait: Duration, observer: &mut dyn Observer) -> Result<bool, BackupError> {
        let _hold = self.hold(wait, observer)?;
        if slot.kind == SlotKind::Checkpoint {
            let in_flight = match HistoryReader::open(&self.layout.database())? {
                Some(history) => history.in_flight()?,
                None => Vec::new(),
            };
            if in_flight.iter().any(|row| row.module == slot.module) {
                return Err(BackupError::InFlight(slot.module.clone()));
            }
        }
        let Some(store) = Store::find(&slot.store)? else { return Ok(false) };
        store.recover()?;
        Ok(store.remove(&slot.name)?)
    }
}
