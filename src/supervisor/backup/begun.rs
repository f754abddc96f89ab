//! A restore that a person began, written down before its first change, so that the next start finishes it.
//!
//! The store's place is that of the machine that modules see, so that a root may be moved; the checksum says which slot of
//! the name is meant.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use updates_protocol::{ModuleName, Phase, RunId};

use crate::config::Layout;
use crate::history::{History, HistoryError, InFlight};
use crate::state::{Backup, Store};

/// The key in what is noted with a module in flight.
const KEY: &str = "restore";

/// A restore that is under way.
#[derive(Debug)]
#[must_use = "it is settled, or left to the next start"]
pub(super) struct Begun {
    module: ModuleName,
    former: Option<InFlight>,
}

/// What is put back, as a row has it.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::supervisor) struct BegunRestore {
    store: PathBuf,
    slot: ModuleName,
    checksum: String,
    #[serde(default)]
    pub(in crate::supervisor) forced_service_start: bool,
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
        let store = backup.path().parent().unwrap_or(Path::new("/"));
        let store = store.strip_prefix(layout.root()).map_or(store.to_owned(), |below| Path::new("/").join(below));
        let (slot, checksum) = (backup.name().clone(), backup.manifest().checksum.clone());
        let restore = BegunRestore { store, slot, checksum, forced_service_start };
        history.begin_module(run_id, &module, Phase::Main, 1, &json!({ KEY: restore }))?;
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

impl BegunRestore {
    /// What a row says of a restore; `None` for a row of a module that ran.
    pub(in crate::supervisor) fn of_payload(payload: &Value) -> Option<Self> {
        Self::deserialize(payload.get(KEY)?).ok()
    }

    /// The slot that was being put back.
    pub(in crate::supervisor) fn backup(&self, layout: &Layout) -> Result<Backup, String> {
        let place = layout.root().join(self.store.strip_prefix("/").unwrap_or(&self.store));
        let store = Store::find(&place).map_err(|error| error.to_string())?;
        let backup = match store {
            Some(store) => store.load(&self.slot).map_err(|error| error.to_string())?,
            None => None,
        };
        let found = backup.filter(|backup| backup.manifest().checksum == self.checksum);
        found.ok_or_else(|| format!("the slot {} of {} is missing", self.slot, place.display()))
    }
}
