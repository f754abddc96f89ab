//! `updates backup create`: what an installed module declares, saved into the usual store under the module's name.

use std::time::{Duration, Instant};

use updates_protocol::ModuleName;

use super::declared::Declared;
use super::error::BackupError;
use crate::fs::create_directory;
use crate::state::{Backup, Sealed, Store};
use crate::supervisor::{Event, Observer, RunError, Supervisor};

/// What a person who gives no description gets.
const DESCRIPTION: &str = "made by hand";

/// A backup that was made.
#[derive(Debug)]
pub struct Created {
    /// The slot.
    pub backup: Backup,
    /// Its label, `updates/MODULE`.
    pub label: String,
    /// Whether nothing had changed since the former backup, which was kept as it is.
    pub reused: bool,
    /// How many files are as the former backup has them, and share its content; `None` where there was none, or it was
    /// kept.
    pub unchanged: Option<u64>,
    /// What is declared and was not saved, each in words.
    pub left_out: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl Supervisor {
    /// Saves what `module` declares. The former backup stands until the new one does.
    pub fn create_backup(
        &self,
        module: &ModuleName,
        description: Option<&str>,
        wait: Duration,
        observer: &mut dyn Observer,
    ) -> Result<Created, BackupError> {
        // Looked at first: a wrong name needs no lock.
        let (Declared { paths, units, databases, left_out }, surroundings) = self.declared(module)?;
        let hold = self.hold(wait, observer)?;
        if let Some(reason) = hold.unsettled.get(module) {
            // What is live now is no state that anybody wants back.
            return Err(RunError::Unsettled { module: module.clone(), reason: reason.clone() }.into());
        }
        let began = Instant::now();
        let place = self.layout.backups();
        create_directory(place.parent().unwrap_or(&place), 0o755)?;
        let store = Store::open(&place)?;
        store.recover()?;
        let stood = replaceable(&store, module, module)?.is_some();
        let pending = store.begin(module, module, description.unwrap_or(DESCRIPTION));
        let pending = pending.paths(paths).services(units).databases(databases);
        let pending = pending.progress(|progress| observer.observe(&Event::working(module, progress)));
        let sealed = match surroundings.while_saving(|live| pending.seal(live)) {
            Err(_) if self.cancel.reason().is_some() => return Err(BackupError::Interrupted),
            other => other?,
        };
        let (reused, unchanged) = match &sealed {
            Sealed::Reused(_) => (true, None),
            Sealed::Written(_, shared) => (false, stood.then_some(shared.files - shared.copied)),
        };
        let backup = sealed.into_backup();
        let label = format!("updates/{module}");
        Ok(Created { backup, label, reused, unchanged, left_out, took: began.elapsed() })
    }
}

/// The slot `name`, which a backup of `owner` is about to replace. One that is damaged is replaced as well; one that belongs to
/// another module, or that a newer program can still put back, is not.
pub(super) fn replaceable(store: &Store, name: &ModuleName, owner: &ModuleName) -> Result<Option<Backup>, BackupError> {
    let label = format!("updates/{name}");
    match store.load(name) {
        Ok(Some(former)) if former.owner() != owner => Err(BackupError::Taken { label, owner: former.owner().clone() }),
        Err(source) if source.is_newer_format() => Err(BackupError::Newer { module: owner.clone(), label, source }),
        other => Ok(other.ok().flatten()),
    }
}
