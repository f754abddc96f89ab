//! `updates rollback`: one run back, and the way to take that back in turn.
//!
//! The checkpoint of the last successful run is what is put back. Before that the present state of the same paths, units and
//! databases is saved as `MODULE_before-rollback` in the usual store; content that the checkpoint has too is shared with it.

use updates_protocol::ModuleName;

use super::create::replaceable;
use super::error::BackupError;
use super::restore::saved_at;
use crate::catalog::{Catalog, CatalogEntry};
use crate::fs::{create_directory, sha256};
use crate::history::HistoryReader;
use crate::record::{ModuleStatus, RunKind};
use crate::state::{Backup, StateError, Store};
use crate::supervisor::dispatcher::Dispatcher;
use crate::supervisor::surroundings::Surroundings;
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

/// How many characters of a longer name are kept, before eight digits of its hash.
const ROOM: usize = 39;
/// What the slot of a rollback is called beside its module.
const BEFORE_ROLLBACK: &str = "_before-rollback";

/// The slot that a rollback saves the present state in. Of a name that is too long, the beginning and its hash.
pub fn before_rollback(module: &ModuleName) -> ModuleName {
    let name = format!("{module}{BEFORE_ROLLBACK}").parse();
    name.unwrap_or_else(|_| {
        let begin: String = module.as_str().chars().take(ROOM).collect();
        let hash = sha256(module.as_str().as_bytes());
        let short = format!("{begin}-{}{BEFORE_ROLLBACK}", &hash[..8]).parse();
        short.unwrap_or_else(|_| unreachable!("64 characters that a name may hold"))
    })
}

/// Saves what is there now of everything that `checkpoint` holds. Returns the label of the slot.
pub(super) fn save_present(
    supervisor: &Supervisor,
    checkpoint: &Backup,
    surroundings: &Surroundings<'_>,
    dispatcher: &mut Dispatcher<'_>,
) -> Result<String, BackupError> {
    let owner = checkpoint.owner();
    let name = before_rollback(owner);
    let place = supervisor.layout.backups();
    create_directory(place.parent().unwrap_or(&place), 0o755)?;
    let store = Store::open(&place)?;
    store.recover()?;
    replaceable(&store, &name, owner)?;
    let header = &checkpoint.manifest().header;
    let description = format!("before a rollback to {}", saved_at(checkpoint));
    let pending = store
        .begin(&name, owner, &description)
        .paths(header.paths.iter().cloned())
        .leave_out(header.left_out.iter().cloned())
        .services(header.services.keys().cloned())
        .databases(header.databases.iter().map(|saved| saved.database.clone()))
        .link_from(checkpoint)
        .progress(|progress| dispatcher.event(Event::working(owner, progress)));
    match surroundings.while_saving(|live| pending.seal(live)) {
        Err(_) if supervisor.cancel.reason().is_some() => Err(BackupError::Interrupted),
        Err(source @ (StateError::NoSpace { .. } | StateError::NoInodes { .. })) => {
            Err(BackupError::NoRoomToSave { module: owner.clone(), source })
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rollback_saves_has_a_name_of_its_own_however_long_the_module_is_called() {
        let name = |text: &str| before_rollback(&text.parse().unwrap()).to_string();
        assert_eq!(name("web"), "web_before-rollback");
        let (one, other) = (name(&format!("{}a", "x".repeat(63))), name(&format!("{}b", "x".repeat(63))));
        assert!(one.ends_with(BEFORE_ROLLBACK) && one.len() == 64 && one != other, "{one} {other}");
    }
}
