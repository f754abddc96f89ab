//! `updates backup restore` and `updates rollback`: first what would change, as a value, then the change itself.
//!
//! Between the two the lock is free, for a person may think as long as they like. What was shown is the slot; the machine is
//! compared anew when the change is made, since it does not stand still meanwhile.

use std::time::Duration;

use updates_protocol::{ModuleName, RunId};

use super::begun::Begun;
use super::differences::Differences;
use super::error::BackupError;
use super::rollback::{self, CodeStays};
use super::slots::{Slot, Slots};
use crate::history::History;
use crate::record::{ExitStatus, ModuleRecord, ModuleStatus, RollbackRecord, RunKind, RunRecord};
use crate::state::{Backup, RestoreError, StateError};
use crate::supervisor::dispatcher::{Dispatcher, without_run};
use crate::supervisor::run::new_run_id;
use crate::supervisor::surroundings::Surroundings;
use crate::supervisor::{Event, Observer, Supervisor, undo};

/// Paths that are listed in a record.
const LISTED: usize = 1000;

/// What a person wants back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// What a backup holds.
    Restore,
    /// What was before the module's last successful run. What is now is saved first.
    Rollback,
}

/// What would be put back, to be shown to a person.
#[derive(Debug)]
#[must_use = "nothing is put back before it is carried out"]
pub struct Prospect {
    /// The module.
    pub module: ModuleName,
    /// The slot's label.
    pub label: String,
    /// What it holds.
    pub backup: Backup,
    /// What differs now.
    pub differences: Differences,
    /// Where the slot's time knew another version of the module's code.
    pub code: Option<CodeStays>,
    /// Whether every saved unit is started, whatever it was.
    pub forced_start: bool,
    /// Whether an earlier run or restore of the module is not put back, and can't be. That this one is settles it.
    pub unsettled: bool,
    goal: Goal,
}

impl Prospect {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        let starts = self.forced_start && !self.backup.manifest().header.services.is_empty();
        self.differences.is_empty() && !starts && !self.unsettled
    }

    /// Whether what is there now is saved before it is changed. What is half put back is not, since it is no state that anybody
    /// wants, and would take the place of what the first try saved.
    pub fn saves_present(&self) -> bool {
        self.goal == Goal::Rollback && !self.differences.is_empty() && !self.unsettled
    }

    /// What it is for.
    pub fn goal(&self) -> Goal {
        self.goal
    }
}

impl Supervisor {
    /// What differs now from `slot`. Nothing is changed and no lock is taken: beside a run, it is what is there at this
    /// moment.
    pub fn differences(&self, slot: &Slot, backup: &Backup) -> Result<Differences, BackupError> {
        let surroundings = Surroundings::of_module(self, &slot.module);
        Ok(surroundings.while_saving(|live| Differences::of(backup, live))?)
    }

    /// What putting `module` back would change; from the slot that `named` names, or the usual one. An interrupted run is
    /// settled first, so that what is shown is what there is to decide about.
    pub fn prospect(
        &self,
        goal: Goal,
        module: &ModuleName,
        named: Option<&str>,
        forced_start: bool,
        wait: Duration,
        observer: &mut dyn Observer,
    ) -> Result<Prospect, BackupError> {
        let choose = |slots: &Slots| match goal {
            Goal::Restore => slots.choose(module, named).map(|slot| slot.label.clone()),
            Goal::Rollback => slots.checkpoint(module).map(|slot| slot.label.clone()),
        };
        // A wrong name needs no lock.
        let label = choose(&Slots::list(&self.layout)?)?;
        let unsettled = self.hold(wait, observer)?.unsettled.contains_key(module);
        let slots = Slots::list(&self.layout)?;
        let slot = slots.choose(module, Some(&label))?;
        let unusable = |source| BackupError::Unusable { module: module.clone(), source };
        let backup = slot.reload().map_err(unusable)?.ok_or_else(|| BackupError::Replaced(label.clone()))?;
        let differences = self.differences(slot, &backup)?;
        let code = match goal {
            Goal::Rollback => rollback::code_stays(self, module, &backup)?,
            Goal::Restore => None,
        };
        Ok(Prospect { module: module.clone(), label, backup, differences, code, forced_start, unsettled, goal })
    }

    /// Puts back what was shown. The record says what was done, and is remembered; its status is the exit code.
    pub fn carry_out(
        &self,
        prospect: &Prospect,
        wait: Duration,
        observer: &mut dyn Observer,
    ) -> Result<RunRecord, BackupError> {
        let _hold = self.hold(wait, observer)?;
        let slots = Slots::list(&self.layout)?;
        let slot = slots.choose(&prospect.module, Some(&prospect.label))?;
        let backup = match slot.reload()? {
            Some(backup) if backup.manifest().checksum == prospect.backup.manifest().checksum => backup,
            _ => return Err(BackupError::Replaced(prospect.label.clone())),
        };
        let kind = match prospect.goal {
            Goal::Restore => RunKind::Restore,
            Goal::Rollback => RunKind::Rollback,
        };
        let (run_id, history) = (new_run_id(), History::open(&self.layout.database())?);
        let mut dispatcher = Dispatcher::new(kind, run_id.clone(), Some(history), observer)?;
        let done = self.put_back(prospect, &backup, &run_id, &mut dispatcher);
        match done {
            Ok(record) => {
                let well = record.status == ModuleStatus::Restored;
                dispatcher.event(Event::Ended(Box::new(record)));
                Ok(dispatcher.finish(|_| if well { ExitStatus::Success } else { ExitStatus::RollbackFailed }))
            }
            Err(error) => {
                dispatcher.give_up(error.to_string(), error.status());
                Err(error)
            }
        }
    }

    fn put_back(
        &self,
        prospect: &Prospect,
        backup: &Backup,
        run_id: &RunId,
        dispatcher: &mut Dispatcher<'_>,
    ) -> Result<ModuleRecord, BackupError> {
        let surroundings = Surroundings::of_module(self, &prospect.module);
        let mut from = format!("put back from {}, saved {}", prospect.label, saved_at(backup));
        if prospect.saves_present() {
            // First, so that a checkpoint that can't be put back costs nobody what an earlier rollback saved.
            let module = &prospect.module;
            backup
                .verify_with(&mut |progress| dispatcher.event(Event::working(module, progress)))
                .map_err(|source| BackupError::Unusable { module: module.clone(), source })?;
            let before = rollback::save_present(self, backup, &surroundings, dispatcher)?;
            from = format!("{from}; what was before is in {before}");
        }
        if self.cancel.reason().is_some() {
            return Err(BackupError::Interrupted);
        }
        let begun = match dispatcher.history() {
            Some(history) => Some(Begun::note(&self.layout, history, run_id, backup, prospect.forced_start)?),
            None => None,
        };
        let module = prospect.module.clone();
        let applied = surroundings.while_restoring(|live| {
            let plan = backup.plan(live).map_err(RestoreError::Refused)?;
            let plan = if prospect.forced_start { plan.with_forced_service_start() } else { plan };
            plan.apply_with(&mut |progress| dispatcher.event(Event::working(&module, progress)))
        });
        let mut rollback = undo::nothing(&module, None);
        let settled = match (&applied, begun, dispatcher.history()) {
            (Ok(_), Some(begun), Some(history)) => begun.done(history),
            (Err(RestoreError::Refused(_)), Some(begun), Some(history)) => begun.refused(history),
            // The next start goes on.
            _ => Ok(()),
        };
        if let Err(error) = settled {
            dispatcher.event(Event::Problem(error.to_string()));
        }
        let message = match applied {
            Ok(restored) => {
                rollback.complete = true;
                rollback.services = restored.steps;
                list(&mut rollback, &restored.changed);
                from
            }
            Err(error) => {
                let way_out = match &error {
                    RestoreError::Refused(StateError::Damaged { .. }) => {
                        "`updates backup list` shows what else there is to go back to"
                    }
                    RestoreError::Refused(_) => "mend the cause, and do it again",
                    RestoreError::Incomplete { restored, .. } => {
                        rollback.services.clone_from(&restored.steps);
                        list(&mut rollback, &restored.changed);
                        "mend the cause; doing it again goes on, and so do `updates recover` and the next run"
                    }
                };
                rollback.error = Some(format!("{error}; {way_out}"));
                format!("could not be {from}: {error}")
            }
        };
        let status = if rollback.complete { ModuleStatus::Restored } else { ModuleStatus::RollbackFailed };
        let version = rollback::installed_version(self, &module);
        let record = without_run(module.to_string(), version, message);
        Ok(ModuleRecord { status, rollback: Some(rollback), ..record })
    }
}

fn list(record: &mut RollbackRecord, changed: &[std::path::PathBuf]) {
    record.restored = changed.iter().take(LISTED).map(|path| path.display().to_string()).collect();
}

/// When a slot was made: RFC 3339, UTC.
pub(super) fn saved_at(backup: &Backup) -> String {
    let seconds = i64::try_from(backup.manifest().header.timestamp).unwrap_or_default();
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}
