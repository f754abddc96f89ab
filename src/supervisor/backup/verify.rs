//! `updates backup verify`: every byte of a slot read again and held against its manifest.

use super::slots::Slot;
use crate::state::{Backup, Progress, StateError};

/// How often a slot that is replaced meanwhile is begun anew.
const TRIES: usize = 3;

/// What a verification found.
#[derive(Debug)]
#[must_use = "a slot that is damaged can't be put back"]
pub enum Verified {
    /// All of it is as it was saved.
    Sound,
    /// It was removed meanwhile.
    Gone,
    /// It can't be put back.
    Damaged(StateError),
}

impl Slot {
    /// Reads all of it again, and tells `report` how far it has come. No lock is needed: one that is made anew meanwhile is read from its beginning again.
    pub fn verify(&self, report: &mut dyn FnMut(Progress)) -> Verified {
        let mut tries = 0;
        loop {
            tries += 1;
            let backup = match self.reload() {
                Ok(Some(backup)) => backup,
                Ok(None) => return Verified::Gone,
                Err(error) => return Verified::Damaged(error),
            };
            match backup.verify_with(report) {
                Ok(()) => return Verified::Sound,
                Err(_) if tries < TRIES && self.was_replaced(&backup) => {}
                Err(error) => return Verified::Damaged(error),
            }
        }
    }

    fn was_replaced(&self, backup: &Backup) -> bool {
        match self.reload() {
            Ok(now) => now.is_none_or(|now| now.manifest().checksum != backup.manifest().checksum),
            Err(_) => false,
        }
    }
}
