//! Where checkpoints are kept: those of the present run by phase, and beside them the one of each module's last
//! successful run, which stays until the module has succeeded once more.
//!
//! A checkpoint of a successful run is promoted by exchanging the two. The former retained one then stands among those in
//! flight until nothing could want it back: a row that is gone must be gone durably first.

use std::collections::BTreeSet;

use updates_protocol::{ModuleName, Phase};

use super::in_flight::{OwnSlot, SlotPlace};
use crate::config::Layout;
use crate::fs::PathError;
use crate::history::History;
use crate::state::{Backup, StateError, Store};

/// All checkpoints below one root.
#[derive(Debug)]
pub(super) struct Checkpoints {
    layout: Layout,
    retained: Store,
    maintenance: Store,
    main: Store,
}

/// Why a slot that a row names can't be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum SlotError {
    /// It is damaged, or can't be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is none, or another one.
    #[error("the slot {slot} of {store} is missing", slot = place.slot, store = place.store.display())]
    Missing {
        /// Where it should be.
        place: SlotPlace,
    },
    /// A row of an earlier version, and nothing to go with it.
    #[error("its checkpoint is missing")]
    NoCheckpoint,
}

impl Checkpoints {
    /// Opens the stores, and makes their directories where they are missing.
    pub(super) fn open(layout: &Layout) -> Result<Self, PathError> {
        Ok(Self {
            layout: layout.clone(),
            retained: Store::open(&layout.checkpoints())?,
            maintenance: Store::open(&layout.in_flight(Phase::Maintenance))?,
            main: Store::open(&layout.in_flight(Phase::Main))?,
        })
    }

    /// Settles what a crash left in each store. What belongs to a module is for [`find`](Self::find).
    pub(super) fn recover(&self) -> Result<(), PathError> {
        [&self.retained, &self.maintenance, &self.main].into_iter().try_for_each(Store::recover)
    }

    /// The checkpoints of last successful runs.
    pub(super) fn retained(&self) -> &Store {
        &self.retained
    }

    /// The checkpoints of the present run.
    pub(super) fn in_flight(&self, phase: Phase) -> &Store {
        match phase {
            Phase::Maintenance => &self.maintenance,
            Phase::Main => &self.main,
        }
    }

    /// Makes a checkpoint of a run that succeeded the retained one. Where it is that already, nothing is done.
    pub(super) fn promote(&self, checkpoint: &Backup) -> Result<(), StateError> {
        match self.store_in_flight(checkpoint) {
            Some(store) => store.exchange(checkpoint.name(), &self.retained),
            None => Ok(()),
        }
    }

    /// The checkpoint that a row names. A promotion that nobody came to rely upon is undone.
    pub(super) fn find(&self, module: &ModuleName, place: Option<&SlotPlace>) -> Result<Backup, SlotError> {
        let Some(place) = place else {
            return self.retained.load(module)?.ok_or(SlotError::NoCheckpoint);
        };
        let other;
        let store = match self.known(place) {
            Some(store) => store,
            None => {
                other = Store::open(&place.store_of(&self.layout)).map_err(StateError::from)?;
                &other
            }
        };
        // Looked at only where the first look fails: a slot that is damaged is the one that is meant, until shown otherwise.
        let first = store.load(&place.slot);
        match &first {
            Ok(Some(backup)) if backup.info().checksum == place.checksum => return Ok(backup.clone()),
            _ => {}
        }
        if let Ok(Some(promoted)) = self.retained.load(&place.slot)
            && promoted.info().checksum == place.checksum
        {
            if !store.holds(&place.slot).map_err(StateError::from)? {
                return Ok(promoted);
            }
            store.exchange(&place.slot, &self.retained)?;
        }
        let found = store.load(&place.slot)?.filter(|backup| backup.info().checksum == place.checksum);
        found.ok_or_else(|| SlotError::Missing { place: place.clone() })
    }

    /// Removes checkpoints in flight of modules that are not: those of failures that were put back, and retained ones that
    /// gave way.
    pub(super) fn sweep(&self, history: &mut History) -> Result<(), String> {
        let mut left = Vec::new();
        for store in [&self.maintenance, &self.main] {
            let names = store.names().map_err(|error| error.to_string())?;
            left.extend(names.into_iter().map(|name| (store, name)));
        }
        if left.is_empty() {
            return Ok(());
        }
        let rows = history.in_flight().map_err(|error| error.to_string())?;
        let wanted: BTreeSet<ModuleName> = rows.into_iter().map(|row| row.module).collect();
        left.retain(|(_, name)| !wanted.contains(name));
        if left.is_empty() {
            return Ok(());
        }
        // A row that came back with a power cut would find nothing.
        history.sync().map_err(|error| error.to_string())?;
        left.into_iter().try_for_each(|(store, name)| store.remove(&name).map(drop)).map_err(|error| error.to_string())
    }

    /// Where a slot that a module changed lies.
    pub(super) fn own_store(&self, slot: &OwnSlot) -> Result<Store, PathError> {
        Store::open(&slot.store_of(&self.layout))
    }

    fn store_in_flight(&self, checkpoint: &Backup) -> Option<&Store> {
        let store = checkpoint.path().parent();
        [&self.maintenance, &self.main].into_iter().find(|known| Some(known.root()) == store)
    }

    fn known(&self, place: &SlotPlace) -> Option<&Store> {
        let store = place.store_of(&self.layout);
        [&self.retained, &self.maintenance, &self.main].into_iter().find(|known| known.root() == store)
    }
}
