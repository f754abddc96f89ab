//! Slots that are exchanged for others and may have to come back: the one that a module's own request replaces or
//! removes, and the retained checkpoint that gives way to a newer one.
//!
//! `.NAME_backup.before` is a former slot that is kept. Whoever asks for it has noted that durably, and whether there was
//! a slot at all, and calls [`Store::put_back_former`] or [`Store::drop_former`] in the end, after a crash as well: here
//! nothing tells which of the two is due.

use std::fs;

use updates_protocol::ModuleName;

use super::backup::Backup;
use super::error::StateError;
use super::slot::{self, Places, is_there, remove, swap};
use super::store::Store;
use crate::fs::{IoContext, PathError, sync_directory};

impl Store {
    /// Whether there is a slot of a name, usable or not.
    pub fn holds(&self, name: &ModuleName) -> Result<bool, PathError> {
        is_there(&self.places(name).slot())
    }

    /// As [`Store::remove`], but keeps the slot as [`super::PendingBackup::keep_former`] does.
    pub fn remove_and_keep_former(&self, name: &ModuleName) -> Result<bool, PathError> {
        let places = self.places(name);
        let was_there = is_there(&places.slot())?;
        places.keep_former()?;
        // Where a former one was kept already, this one is of the same run and nobody goes back to it.
        self.remove(name)?;
        Ok(was_there)
    }

    /// Puts the slot of a name back to what was kept. `existed` says whether there was one when keeping began; where there
    /// was and nothing is kept, nothing had been replaced yet, and where there was none, none is left. Repeated, it comes to
    /// the same end.
    pub fn put_back_former(&self, name: &ModuleName, existed: bool) -> Result<(), StateError> {
        let places = self.places(name);
        if !existed {
            // A slot that was made twice is the former one of the second time, and of the same run.
            self.drop_former(name)?;
            places.remove()?;
        } else if is_there(&places.before_slot())? {
            places.remove()?;
            fs::rename(places.before_slot(), places.slot()).at("put back", &places.slot())?;
            sync_directory(places.store())?;
        }
        let info = self.load(name).ok().flatten().map(|backup| backup.info());
        self.note(name, info);
        Ok(())
    }

    /// Removes what was kept of a name; the slot stays as it is.
    pub fn drop_former(&self, name: &ModuleName) -> Result<(), PathError> {
        remove(&self.places(name).before_slot())
    }

    /// The slots that are kept, and which module made each; one that can't be read is nobody's.
    pub fn formers(&self) -> Result<Vec<(ModuleName, ModuleName)>, StateError> {
        let names = slot::names(self.root())?.into_iter();
        let owned = names.filter_map(|name| {
            let former = Backup::open(&self.places(&name).before_slot(), &name).ok().flatten()?;
            Some((name, former.owner().clone()))
        });
        Ok(owned.collect())
    }

    /// Settles what was kept of names that nobody goes back to. A slot that is missing comes back, since more than needed
    /// is no loss.
    pub fn settle_formers(&self, is_wanted: impl Fn(&ModuleName) -> bool) -> Result<(), StateError> {
        for name in slot::names(self.root())?.into_iter().filter(|name| !is_wanted(name)) {
            let places = self.places(&name);
            if !is_there(&places.before_slot())? {
                continue;
            }
            if is_there(&places.slot())? { self.drop_former(&name)? } else { self.put_back_former(&name, true)? }
        }
        Ok(())
    }

    /// Exchanges the slot of a name with that of another store on the same file system, where there may be none: killed
    /// at any moment, the slot of this store stands in one of the two, and the other store has a slot if it had one.
    ///
    /// The other store's former slot then stands here; exchanging again undoes it.
    pub fn exchange(&self, name: &ModuleName, with: &Store) -> Result<(), StateError> {
        let (here, there) = (self.places(name), with.places(name));
        there.recover()?;
        swap(&here.slot(), &there.slot(), &there.old_slot())
            .map_err(std::io::Error::from)
            .at("put in place", &there.slot())?;
        sync_directory(there.store())?;
        sync_directory(here.store())?;
        // Only where the file system has no exchange: what is there came by two renames.
        if is_there(&there.old_slot())? {
            fs::rename(there.old_slot(), here.slot()).at("keep", &here.slot())?;
        }
        for store in [self, with] {
            store.note(name, store.load(name).ok().flatten().map(|backup| backup.info()));
        }
        Ok(())
    }

    fn places(&self, name: &ModuleName) -> Places {
        Places::new(self.root(), name)
    }
}

impl Places {
    /// Makes room for another slot and keeps the present one, unless one is kept already. Killed right after it, there is
    /// no slot, and [`Store::put_back_former`] brings it back. Says whether it was kept by this call.
    pub(super) fn keep_former(&self) -> Result<bool, PathError> {
        if is_there(&self.before_slot())? || !is_there(&self.slot())? {
            return Ok(false);
        }
        fs::rename(self.slot(), self.before_slot()).at("keep", &self.slot())?;
        sync_directory(self.store())?;
        Ok(true)
    }
}
