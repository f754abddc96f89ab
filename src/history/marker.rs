//! A file beside the database that is there while a run is under way, and stays when one was interrupted: what tells the
//! start of the machine, without opening anything, whether there may be something to settle.
//!
//! It is a hint and no more. What is to be put back, the rows say; a marker that stands without reason costs one look.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::{History, HistoryError};
use crate::fs::{IoContext, sync_directory};

/// Its name in the folder of the database. `updates-recover.service` looks for it.
pub(super) const NAME: &str = "unsettled";

impl History {
    /// Puts the marker there, durably. To be done before anything is changed.
    pub(super) fn mark(&self) -> Result<(), HistoryError> {
        let marker = self.marker();
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&marker) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            other => drop(other.at("create", &marker)?),
        }
        Ok(sync_directory(marker.parent().unwrap_or(&marker))?)
    }

    /// Takes the marker away where no module is left in flight. To be done when all before is durable.
    pub(super) fn unmark(&self) -> Result<(), HistoryError> {
        if !self.in_flight()?.is_empty() {
            return Ok(());
        }
        let marker = self.marker();
        match fs::remove_file(&marker) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Ok(Err(error).at("remove", &marker)?),
            // Lost in a power cut, the removal costs the next start a look.
            _ => Ok(()),
        }
    }

    fn marker(&self) -> PathBuf {
        self.reader.path.with_file_name(NAME)
    }
}
