//! What differs now from a slot, as a value that outlives the slot: paths, units and databases.

use crate::state::{Backup, Difference, Live, StateError};
use updates_protocol::Database;

use crate::service::UnitDifference;

/// What is not as a slot has it.
#[derive(Debug, Clone, Default)]
pub struct Differences {
    /// Paths, a directory before what it holds.
    pub paths: Vec<Difference>,
    /// Units.
    pub units: Vec<UnitDifference>,
    /// Databases that differ, or of which only a restore would tell.
    pub databases: Vec<Database>,
}

impl Differences {
    /// Compares the machine with a slot. Nothing is changed.
    pub(super) fn of(backup: &Backup, live: Live<'_>) -> Result<Self, StateError> {
        let plan = backup.plan(live)?;
        let databases = plan.databases().iter().map(|saved| saved.database.clone()).collect();
        Ok(Self { paths: plan.differences().to_vec(), units: plan.units().to_vec(), databases })
    }

    /// Whether everything is as the slot has it.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.units.is_empty() && self.databases.is_empty()
    }
}
