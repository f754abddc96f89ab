//! What is noted of a module while it runs, durably and before it is done: each slot of its own that it changes, and the
//! version that it wants to be at. Beside it, which of its units can be taken back.

use std::cell::RefCell;

use updates_protocol::{ModuleName, UnitName};

use super::in_flight::{self, OwnSlot, WayBack};
use super::note::Notes;
use super::surroundings::Surroundings;
use super::versions::Wanted;
use crate::config::Layout;
use crate::state::{Backup, Store};

/// One phase of one module, from its checkpoint to its end.
pub(super) struct Journal<'a> {
    module: &'a ModuleName,
    layout: &'a Layout,
    notes: &'a Notes,
    /// What its state is saved from and put back to.
    pub(super) surroundings: &'a Surroundings<'a>,
    saved_units: Vec<String>,
    noted: RefCell<WayBack>,
}

impl<'a> Journal<'a> {
    /// Of a module that can be taken back to `checkpoint`; without one nothing may be changed.
    pub(super) fn new(
        module: &'a ModuleName,
        layout: &'a Layout,
        notes: &'a Notes,
        surroundings: &'a Surroundings<'a>,
        checkpoint: Option<&Backup>,
    ) -> Self {
        let saved = checkpoint.map(|checkpoint| checkpoint.info().services).unwrap_or_default();
        let saved_units = saved.iter().map(UnitName::with_suffix).collect();
        let noted = checkpoint.map(|checkpoint| WayBack::to(layout, checkpoint)).unwrap_or_default();
        Self { module, layout, notes, surroundings, saved_units, noted: RefCell::new(noted) }
    }

    /// The way back as it is noted now.
    pub(super) fn way_back(&self) -> WayBack {
        self.noted.borrow().clone()
    }

    /// Whether there is a checkpoint to go back to.
    pub(super) fn has_checkpoint(&self) -> bool {
        self.noted.borrow().checkpoint.is_some()
    }

    /// Notes the version that the module is put at when it is settled; the last word counts, and `None` means to stay.
    pub(super) fn will_check_out(&self, wanted: Option<Wanted>) -> Result<(), String> {
        let mut way_back = self.way_back();
        if way_back.checkout == wanted {
            return Ok(());
        }
        way_back.checkout = wanted;
        self.notes
            .remember(self.module, way_back.payload())
            .map_err(|reason| format!("the version stays, since the wish can't be written down: {reason}"))?;
        self.noted.replace(way_back);
        Ok(())
    }

    /// Whether the checkpoint says what a unit was like.
    pub(super) fn has_saved(&self, unit: &UnitName) -> bool {
        self.saved_units.contains(&unit.with_suffix())
    }

    /// To be called before each change to a slot. When this returns, a restart of the machine knows what to take back.
    pub(super) fn will_change(&self, store: &Store, name: &ModuleName) -> Result<(), String> {
        let place = in_flight::inside(self.layout, store.root());
        let mut way_back = self.way_back();
        if way_back.slots.iter().any(|slot| slot.store == place && slot.slot == *name) {
            return Ok(());
        }
        let noted = store.drop_former(name).and_then(|()| store.holds(name)).map_err(|error| error.to_string());
        noted
            .and_then(|existed| {
                way_back.slots.push(OwnSlot { store: place, slot: name.clone(), existed });
                self.notes.remember(self.module, way_back.payload())
            })
            .map_err(|reason| {
                format!("the backup {name} is left as it is, since what it was can't be written down: {reason}")
            })?;
        self.noted.replace(way_back);
        Ok(())
    }
}
