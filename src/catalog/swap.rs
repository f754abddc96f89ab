//! What becomes of a version that was swapped in: it has run well, or it is taken back, or the power went.

use std::io;
use std::path::Path;

use rustix::io::Errno;
use updates_protocol::{ModuleName, SchemaVersion};

use super::Catalog;
use super::document::DocumentError;
use super::record::{LastGood, Record};
use crate::fs::{PathError, exchange, remove_tree, remove_unfinished, rename_new};

/// Why a swap did not come to pass.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// The file system can't exchange two folders.
    #[error(
        "the file system of {folder} can't exchange two folders in one step (renameat2 RENAME_EXCHANGE: {reason}); \
         keep modules on ext4, xfs, btrfs or tmpfs"
    )]
    Unsupported {
        /// The module's folder.
        folder: String,
        /// What the system said.
        reason: io::Error,
    },
    /// A file of this machine.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A folder of this machine.
    #[error("module {name}: {source}")]
    Path {
        /// Which module.
        name: ModuleName,
        /// What could not be done.
        #[source]
        source: PathError,
    },
    /// A folder of this machine, before it was clear whose.
    #[error(transparent)]
    Place(#[from] PathError),
}

impl SwapError {
    pub(super) fn refused(name: &ModuleName, error: PathError) -> Self {
        let unsupported = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::XDEV].map(Errno::raw_os_error);
        if error.source.raw_os_error().is_some_and(|code| unsupported.contains(&code)) {
            return Self::Unsupported { folder: error.path.display().to_string(), reason: error.source };
        }
        Self::Path { name: name.clone(), source: error }
    }
}

/// A version that is installed and has not run yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Swapped {
    /// The version before; absent for a new module, and where the folder was not installed by the catalog.
    pub from: Option<SchemaVersion>,
    /// The version now.
    pub to: SchemaVersion,
    /// What to know of the merge of `index.json`.
    pub notes: Vec<String>,
}

/// What taking back did.
#[derive(Debug, Clone, PartialEq)]
pub enum Reverted {
    /// The version before is back, whichever it is.
    Previous(Option<SchemaVersion>),
    /// The module was new and is gone again.
    Removed,
    /// The folder of the version before is gone: what is installed stays until a version is staged in its stead.
    Lost,
    /// There was nothing to take back: what is installed has run well before.
    Nothing,
}

/// A version that was swapped in and has neither been confirmed nor taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unconfirmed {
    /// Which module.
    pub name: ModuleName,
    /// Whether it was not installed before.
    pub is_new: bool,
}

/// What [`Catalog::recover`] found.
#[derive(Debug, Default)]
pub struct Recovery {
    /// What was tidied, one sentence each.
    pub notes: Vec<String>,
    /// What could not be.
    pub problems: Vec<DocumentError>,
}

impl Catalog {
    /// The installed version of `name` has run well: what was kept of the one before is removed.
    pub fn confirm(&self, name: &ModuleName) -> Result<(), DocumentError> {
        let (Some(record), _) = self.settle(name)? else { return Ok(()) };
        if record.last_good == LastGood::Installed {
            return Ok(());
        }
        let installed = self.seen(name)?.installed.and_then(|inode| record.entry(inode).cloned());
        let entries = installed.into_iter().collect();
        self.write_record(name, Some(&Record { entries, last_good: LastGood::Installed }))?;
        // Not named by the record any more: an interruption leaves it to recovery.
        Ok(remove_tree(&self.previous(name))?)
    }

    /// Takes the newest version of `name` back, in one step: the last version that ran well is installed again, or the
    /// module is removed when it was new.
    pub fn revert(&self, name: &ModuleName) -> Result<Reverted, SwapError> {
        let (Some(record), _) = self.settle(name)? else { return Ok(Reverted::Nothing) };
        let folder = self.layout.module(name);
        let reverted = match record.last_good {
            LastGood::Installed => return Ok(Reverted::Nothing),
            LastGood::Lost => return Ok(Reverted::Lost),
            LastGood::Absent => {
                rename_new(&folder, &self.staged(name)).map_err(|error| SwapError::refused(name, error))?;
                Reverted::Removed
            }
            LastGood::Folder(good) => {
                exchange(&self.previous(name), &folder).map_err(|error| SwapError::refused(name, error))?;
                Reverted::Previous(record.entry(good).and_then(|entry| entry.version.clone()))
            }
        };
        self.settle(name)?;
        Ok(reverted)
    }

    /// Every module whose newest version has not run well yet, by name.
    pub fn unconfirmed(&self) -> Result<Vec<Unconfirmed>, DocumentError> {
        let mut unconfirmed = Vec::new();
        for name in self.known()? {
            match self.record(&name)?.map(|record| record.last_good) {
                None | Some(LastGood::Installed) => {}
                Some(last_good) => unconfirmed.push(Unconfirmed { name, is_new: last_good == LastGood::Absent }),
            }
        }
        Ok(unconfirmed)
    }

    /// Settles whatever an interruption left: afterwards each module is the old or the new one, with the record of just
    /// that, and nothing lies around. A new version that was in place stays, unconfirmed.
    pub fn recover(&self) -> Result<Recovery, PathError> {
        let mut recovery = Recovery::default();
        for name in self.known()? {
            match self.settle(&name) {
                Ok((_, note)) => recovery.notes.extend(note.map(|note| format!("module {name}: {note}"))),
                Err(error) => recovery.problems.push(error),
            }
        }
        let index = self.layout.global_index();
        let beside_index = index.parent().map(Path::to_owned);
        let own = [self.layout.catalog(), self.records(), self.safe_folder(), self.grants_folder()];
        for folder in own.into_iter().chain([self.settings_folder()]).chain(beside_index) {
            remove_unfinished(&folder)?;
        }
        Ok(recovery)
    }
}
