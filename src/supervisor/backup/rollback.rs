//! `updates rollback`: one run back, and the way to take that back in turn.
//!
//! The checkpoint of the last successful run is what is put back. Before that the present state of the same paths, units and
//! databases is saved as `MODULE_before-rollback` in the usual store; content that the checkpoint has too is shared with it.

use updates_protocol::ModuleName;

use super::error::BackupError;
use super::ground::Ground;
use super::restore::saved_at;
use crate::catalog::{Catalog, CatalogEntry};
use crate::fs::create_directory;
use crate::history::HistoryReader;
use crate::record::{ModuleStatus, RunKind};
use crate::state::{Backup, Store};
use crate::supervisor::dispatcher::Dispatcher;
use crate::supervisor::{Event, Supervisor};

/// How many runs are looked through for the version that ran last before a checkpoint.
const RUNS: u32 = 200;

/// The code is another one than at the time of the checkpoint, and is not taken back with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeStays {
    /// The installed version.
    pub installed: String,
    /// The version that had run last when the checkpoint was taken.
    pub then: String,
}

/// The slot that a rollback saves the present state in; `None` for a module whose name is too long for it.
pub fn before_rollback(module: &ModuleName) -> Option<ModuleName> {
    format!("{module}_before-rollback").parse().ok()
}

/// Saves what is there now of everything that `checkpoint` holds. Returns the label of the slot.
pub(super) fn save_present(
    supervisor: &Supervisor,
    checkpoint: &Backup,
    ground: &Ground,
    dispatcher: &mut Dispatcher<'_>,
) -> Result<String, BackupError> {
    let owner = checkpoint.owner();
    let name = before_rollback(owner).unwrap_or_else(|| owner.clone());
    let place = supervisor.layout.backups();
    create_directory(place.parent().unwrap_or(&place), 0o755)?;
    let store = Store::open(&place)?;
    store.recover()?;
    let header = &checkpoint.manifest().header;
    let description = format!("before a rollback to {}", saved_at(checkpoint));
    let sealed = store
        .begin(&name, owner, &description)
        .paths(header.paths.iter().cloned())
        .leave_out(header.left_out.iter().cloned())
        .services(header.services.keys().cloned())
        .databases(header.databases.iter().map(|saved| saved.database.clone()))
        .link_from(checkpoint)
        .progress(|progress| dispatcher.event(Event::working(owner, progress)))
        .seal(ground.live(supervisor));
    match sealed {
        Err(_) if supervisor.cancel.reason().is_some() => Err(BackupError::Interrupted),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(format!("updates/{name}")),
    }
}

/// Whether the installed version is another one than the last that had run when `checkpoint` was taken.
pub(super) fn code_stays(
    supervisor: &Supervisor,
    module: &ModuleName,
    checkpoint: &Backup,
) -> Result<Option<CodeStays>, BackupError> {
    let Some(installed) = installed_version(supervisor, module) else { return Ok(None) };
    let Some(history) = HistoryReader::open(&supervisor.layout.database())? else { return Ok(None) };
    let ran_well = history.module_history(module, RUNS)?.into_iter().filter(|run| {
        matches!(run.kind, RunKind::Run | RunKind::Runner)
            && matches!(run.record.status, ModuleStatus::Updated | ModuleStatus::Succeeded)
            && begun_by(&run.started, checkpoint.manifest().header.timestamp)
    });
    // The newest of them is the run that took the checkpoint; the one before left what the checkpoint holds.
    let then = ran_well.skip(1).find_map(|run| run.record.version);
    Ok(then.filter(|then| *then != installed).map(|then| CodeStays { installed, then }))
}

/// Whether a run that began at `started`, RFC 3339, had begun in the second `taken`.
fn begun_by(started: &str, taken: u64) -> bool {
    let started = started.parse::<jiff::Timestamp>().ok().and_then(|moment| u64::try_from(moment.as_second()).ok());
    started.is_some_and(|started| started <= taken)
}

/// The installed version of a module.
pub(super) fn installed_version(supervisor: &Supervisor, module: &ModuleName) -> Option<String> {
    match Catalog::open(&supervisor.layout).module(module)? {
        CatalogEntry::Installed(installed) => Some(installed.manifest.schema_version.to_string()),
        CatalogEntry::Broken(broken) => broken.version.map(|version| version.to_string()),
    }
}
