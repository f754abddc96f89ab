//! One module from its checkpoint to its verdict, in a thread of its own.
//!
//! The order keeps the law "done or undone": the checkpoint is durable, then the row that says "running" is durable, then
//! placeholders are made and the module runs; the row goes only when the module is settled, and what it did is durable. The
//! checkpoint of the first phase of a run that went well becomes the retained one before that, so that a person can go
//! back one run.

use std::time::SystemTime;

use serde_json::Value;
use updates_protocol::{Entry, Phase, UnitName};

use super::attempt::{self, Scene};
use super::event::Event;
use super::journal::Journal;
use super::note::Notes;
use super::surroundings::Surroundings;
use super::target::{Target, host};
use super::verdict::{Host, judge};
use super::versions::{confirm, settle_wanted};
use super::writable::{self, Entry as Writable};
use super::{RunContext, places, undo, volatile, written};
use crate::catalog::CatalogEntry;
use crate::record::{Attempt, ModuleRecord, ModuleStatus, Outcome, RollbackRecord, Verdict};
use crate::service::ServiceError;
use crate::state::{self, Backup, StateError};

/// How a phase ended.
enum End {
    /// It ran well.
    Kept { value: Option<Value>, updated: bool },
    /// It failed; what it did was taken back as far as the rollback says.
    Failed { message: String, value: Option<Value>, rollback: Option<RollbackRecord>, why: Why },
}

/// Whose doing a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The module's: its version is not to be trusted.
    Module,
    /// Its surroundings': it never had its turn, and the same version may well run tomorrow.
    Surroundings,
    /// Somebody ended the run.
    Interrupted,
}

impl Why {
    fn of(outcome: &Outcome, host: Host) -> Self {
        match outcome {
            Outcome::Cancelled => Why::Interrupted,
            // An executable that can't be executed is the module's own file. Every other step is the sandbox's, and an
            // interpreter that is missing the administrator's.
            Outcome::NotStarted { step, .. } if step != "exec" || host == Host::Python => Why::Surroundings,
            _ => Why::Module,
        }
    }
}

/// Runs one module and says what became of it.
pub(super) fn run(context: &RunContext<'_>, target: &Target, notes: &Notes) -> ModuleRecord {
    let mut record = ModuleRecord {
        module: target.manifest.name.to_string(),
        version: Some(target.manifest.schema_version.to_string()),
        status: ModuleStatus::Succeeded,
        message: None,
        result: None,
        attempts: Vec::new(),
        rollback: None,
        volatile_paths: target.profile.volatile_paths.iter().map(ToString::to_string).collect(),
        warnings: target.warnings.clone(),
        ungranted: target.ungranted.clone(),
    };
    for warning in &target.warnings {
        let text = format!("{}: {warning}", target.code.join("index.json").display());
        notes.event(Event::Warning { module: target.manifest.name.clone(), text });
    }
    if !target.ungranted.is_empty() {
        let text = format!("asks for more than was granted, and runs without it: {}", target.ungranted.join(", "));
        notes.event(Event::Warning { module: target.manifest.name.clone(), text });
    }
    let phases = if context.check { vec![Phase::Main] } else { target.phases() };
    let surroundings = Surroundings::new(context.supervisor, &target.manifest.databases);
    let (mut first, mut all_well) = (None, true);
    for phase in &phases {
        let phase = *phase;
        let promotes = all_well && phases.last() == Some(&phase);
        let worker =
            Worker { context, target, notes, surroundings: &surroundings, first: first.as_ref(), promotes, phase };
        let (end, checkpoint) = worker.run(&mut record.attempts);
        all_well &= matches!(end, End::Kept { .. });
        first = first.or(checkpoint);
        match end {
            End::Kept { value, updated } => {
                if updated && record.status == ModuleStatus::Succeeded {
                    record.status = ModuleStatus::Updated;
                }
                if phase == Phase::Main {
                    record.result = value;
                }
            }
            End::Failed { message, value, rollback, why } => {
                let code = rollback.as_ref().is_some_and(|rollback| rollback.code);
                record.status = match &rollback {
                    Some(rollback) if !rollback.complete => ModuleStatus::RollbackFailed,
                    _ if why == Why::Interrupted => ModuleStatus::Interrupted,
                    Some(_) if why == Why::Module => ModuleStatus::RolledBack,
                    _ => ModuleStatus::Failed,
                };
                let what = if phase == Phase::Maintenance { "maintenance: " } else { "" };
                record.message = Some(format!("{what}{message}"));
                record.result = value.or(record.result);
                record.rollback = rollback;
                // Code that was taken back is not the code that was to run next; a person decides about the rest.
                if code || why == Why::Interrupted || record.status == ModuleStatus::RollbackFailed {
                    break;
                }
            }
        }
    }
    record
}

struct Worker<'a> {
    context: &'a RunContext<'a>,
    target: &'a Target,
    notes: &'a Notes,
    surroundings: &'a Surroundings<'a>,
    /// The checkpoint of an earlier phase of this run.
    first: Option<&'a Backup>,
    /// Whether the run as a whole has gone well once this phase has.
    promotes: bool,
    phase: Phase,
}

impl Worker<'_> {
    /// The end, and the checkpoint that it began with.
    fn run(&self, attempts: &mut Vec<Attempt>) -> (End, Option<Backup>) {
        let (entry, writable) = match self.prepare() {
            Ok(prepared) => prepared,
            Err(reason) => return (not_run(reason), None),
        };
        let (name, layout) = (&self.target.manifest.name, &self.context.supervisor.layout);
        if self.context.check {
            let journal = Journal::new(name, layout, self.notes, self.surroundings, None);
            return (self.attempts(&entry, &writable, &journal, None, attempts), None);
        }
        let checkpoint = match self.checkpoint(&writable) {
            Ok(checkpoint) => checkpoint,
            Err(_) if self.context.supervisor.cancel.reason().is_some() => return (interrupted(), None),
            Err(reason) => {
                return (not_run(format!("did not run, since its checkpoint can't be taken: {reason}")), None);
            }
        };
        let journal = Journal::new(name, layout, self.notes, self.surroundings, Some(&checkpoint));
        (self.supervised(&entry, &writable, &journal, &checkpoint, attempts), Some(checkpoint))
    }

    /// What is run, and what it may write.
    fn prepare(&self) -> Result<(Entry, Vec<Writable>), String> {
        let entry = self.target.entry(self.phase, &self.context.supervisor.config.python)?;
        let state = places::make(self.context, self.target)?;
        let declared = self.target.declared().into_iter().chain(state);
        let (layout, name) = (&self.context.supervisor.layout, &self.target.manifest.name);
        let writable = writable::resolve(layout, name, declared).map_err(|error| error.to_string())?;
        Ok((entry, writable))
    }

    fn supervised(
        &self,
        entry: &Entry,
        writable: &[Writable],
        journal: &Journal<'_>,
        checkpoint: &Backup,
        attempts: &mut Vec<Attempt>,
    ) -> End {
        let (name, layout) = (&self.target.manifest.name, &self.context.supervisor.layout);
        if let Err(reason) = self.notes.begin(name, self.phase, journal.way_back().payload()) {
            return not_run(format!("did not run, since its start can't be written down: {reason}"));
        }
        let made = writable
            .iter()
            .try_for_each(|entry| entry.make(&layout.machine()))
            .and_then(|()| volatile::make(self.context, self.target));
        let since = SystemTime::now();
        let end = match made {
            Ok(_made) => self.attempts(entry, writable, journal, Some(checkpoint), attempts),
            Err(error) => self.roll_back(error.to_string(), None, checkpoint, journal, Why::Surroundings),
        };
        // Whatever the end is: nothing else takes these back.
        let taken = self.take_privileges(since);
        let end = match end {
            End::Kept { value, updated } => {
                match taken.or_else(|| self.broken_itself()).or_else(|| self.lends_more(checkpoint)) {
                    Some(problem) => self.roll_back(problem, value, checkpoint, journal, Why::Module),
                    None => match self.write_out(writable) {
                        Err(problem) => self.roll_back(problem, value, checkpoint, journal, Why::Surroundings),
                        Ok(()) => End::Kept { value, updated },
                    },
                }
            }
            failed => {
                if let Some(text) = taken {
                    self.notes.event(Event::Warning { module: name.clone(), text });
                }
                failed
            }
        };
        match &end {
            End::Kept { .. } => {
                self.keep(writable);
                self.promote(checkpoint);
                self.check_out(journal);
                self.settle_kept(journal);
            }
            // A rollback that failed stays on the list: the next start tries again.
            End::Failed { rollback: Some(rollback), .. } if !rollback.complete => {}
            End::Failed { why, .. } => {
                if *why != Why::Interrupted {
                    self.check_out(journal);
                }
                self.notes.settled(name);
            }
        }
        end
    }

    /// Puts the module at the version that it asked for. Before the row goes: killed in between, that takes it back.
    fn check_out(&self, journal: &Journal<'_>) {
        let Some(wanted) = journal.way_back().checkout else { return };
        let update = settle_wanted(self.context.supervisor, self.context.catalog, self.target, &wanted);
        if let Some(update) = update {
            self.notes.event(Event::Update(update));
        }
    }

    /// Before the row goes: killed in between, the row still names its checkpoint, wherever it stands then.
    fn promote(&self, checkpoint: &Backup) {
        if !self.promotes {
            return;
        }
        let promoted = self.context.checkpoints().map(|known| known.promote(self.first.unwrap_or(checkpoint)));
        if let Ok(Err(error)) = promoted {
            let name = &self.target.manifest.name;
            let text = format!("{name}: `updates rollback` can't go back to before this run: {error}");
            self.notes.event(Event::Problem(text));
        }
    }

    fn settle_kept(&self, journal: &Journal<'_>) {
        let name = &self.target.manifest.name;
        let (slots, checkpoints) = (journal.way_back().slots, self.context.checkpoints());
        let (false, Ok(checkpoints)) = (slots.is_empty(), checkpoints) else { return self.notes.settled(name) };
        // What was kept for the way back goes only when nobody can be sent there any more. What stays, a start settles.
        if self.notes.settled_durably(name).is_err() {
            return;
        }
        for slot in slots {
            let dropped = checkpoints.own_store(&slot).and_then(|store| store.drop_former(&slot.slot));
            if let Err(error) = dropped {
                self.notes.event(Event::Problem(format!("{name}: {error}")));
            }
        }
    }

    fn write_out(&self, writable: &[Writable]) -> Result<(), String> {
        let machine = self.context.supervisor.layout.machine();
        written::write_out(&machine, writable, !self.units().is_empty())
            .map_err(|error| format!("what it did can't be made durable: {error}"))
    }

    /// What is wrong with the module's own folder, where it may write there and left it unusable.
    fn broken_itself(&self) -> Option<String> {
        let declared = self.target.declared();
        if !self.target.installed || !declared.iter().any(|path| path.as_path().starts_with(&self.target.inside)) {
            return None;
        }
        match self.context.catalog.module(&self.target.manifest.name) {
            Some(CatalogEntry::Installed(_)) => {
                self.target.entry(self.phase, &self.context.supervisor.config.python).err()
            }
            Some(CatalogEntry::Broken(broken)) => Some(broken.problem),
            None => Some("it removed its own folder".to_owned()),
        }
    }

    /// Which file lends a privilege that it did not lend before, where the profile does not say that this is the module's
    /// work. What can't be looked at is no success; what a service keeps changing meanwhile is only said.
    fn lends_more(&self, checkpoint: &Backup) -> Option<String> {
        if self.target.profile.may_lend_privileges() {
            return None;
        }
        match checkpoint.gained(&self.context.supervisor.layout.machine()) {
            Ok(gained) => gained.map(|gained| format!("{gained}, which no module of its profile may give to a file")),
            Err(error @ StateError::Vanishing(_)) => {
                let text = format!("setuid bits and file capabilities were not looked for: {error}");
                self.notes.event(Event::Warning { module: self.target.manifest.name.clone(), text });
                None
            }
            Err(error) => Some(format!("what it left behind can't be looked at: {error}")),
        }
    }

    /// The same for paths without a checkpoint, where privileges are taken off at once.
    fn take_privileges(&self, since: SystemTime) -> Option<String> {
        let profile = &self.target.profile;
        if profile.may_lend_privileges() || profile.volatile_paths.is_empty() {
            return None;
        }
        let machine = self.context.supervisor.layout.machine();
        match state::take_privileges(&machine, &profile.volatile_paths, since) {
            Ok(taken) => taken.first().map(|gained| {
                format!("{gained}, which no module of its profile may give to a file; it was taken off again")
            }),
            Err(error) => {
                let text = format!("setuid bits and file capabilities were not looked for in volatile paths: {error}");
                self.notes.event(Event::Warning { module: self.target.manifest.name.clone(), text });
                None
            }
        }
    }

    fn checkpoint(&self, writable: &[Writable]) -> Result<Backup, String> {
        let (name, checkpoints) = (&self.target.manifest.name, self.context.checkpoints()?);
        // Looked at only to spare writing; one that can't be used is found out where it is needed.
        let retained = checkpoints.retained().load(name).ok().flatten();
        let former = self.first.cloned().or(retained);
        // The same words each time: a slot that would say the same is kept as it is.
        let description = format!("before a run of {name}");
        let seal = |units: Vec<UnitName>| {
            let pending = checkpoints
                .in_flight(self.phase)
                .begin(name, name, &description)
                .paths(writable.iter().map(|entry| entry.path.clone()))
                .services(units)
                .databases(self.target.manifest.databases.iter().cloned())
                .progress(|progress| self.notes.event(Event::working(name, progress)));
            let pending = former.iter().fold(pending, |pending, former| pending.link_from(former));
            self.surroundings.while_saving(|live| pending.seal(live))
        };
        let sealed = match seal(self.units()) {
            // Many a machine has no systemd, and its modules declare units all the same.
            Err(StateError::Service(ServiceError::NotRunning { .. })) => seal(Vec::new()),
            other => other,
        };
        sealed.map(state::Sealed::into_backup).map_err(|error| error.to_string())
    }

    /// Every unit that a request may change, where there is a systemd. Those that keep the machine running no request may,
    /// and putting one back would be just that.
    fn units(&self) -> Vec<UnitName> {
        if self.surroundings.systemd().is_none() {
            return Vec::new();
        }
        self.target.units().filter(|unit| unit.not_controllable().is_none()).cloned().collect()
    }

    fn attempts(
        &self,
        entry: &Entry,
        writable: &[Writable],
        journal: &Journal<'_>,
        checkpoint: Option<&Backup>,
        attempts: &mut Vec<Attempt>,
    ) -> End {
        let host = host(entry);
        let mut number = 1;
        loop {
            let module = self.target.manifest.name.clone();
            self.notes.event(Event::Started { module: module.clone(), phase: self.phase, attempt: number });
            let scene = Scene { target: self.target, phase: self.phase, number, entry, writable, journal };
            let mut attempt = attempt::run(self.context, &scene, self.notes);
            let judgement = judge(&attempt.outcome, host, number);
            attempt.verdict = judgement.verdict;
            let value = match &attempt.outcome {
                Outcome::Reported { value } => Some(value.clone()),
                _ => None,
            };
            let why = Why::of(&attempt.outcome, host);
            let message = with_limits(judgement.message.unwrap_or_default(), &attempt.limits_hit);
            attempts.push(attempt);
            match (judgement.verdict, checkpoint) {
                (Verdict::Keep, _) => return End::Kept { value, updated: judgement.updated },
                (Verdict::Restart, _) => {
                    self.notes.event(Event::Restarting { module });
                    number += 1;
                }
                (Verdict::RollBack | Verdict::Hold, Some(checkpoint)) => {
                    return self.roll_back(message, value, checkpoint, journal, why);
                }
                (Verdict::RollBack | Verdict::Hold, None) => {
                    return End::Failed { message, value, rollback: None, why };
                }
            }
        }
    }

    fn roll_back(
        &self,
        message: String,
        value: Option<Value>,
        checkpoint: &Backup,
        journal: &Journal<'_>,
        why: Why,
    ) -> End {
        let module = self.target.manifest.name.clone();
        self.notes.event(Event::RollingBack { module, reason: message.clone() });
        let name = &self.target.manifest.name;
        let mut rollback = match self.context.checkpoints() {
            Ok(checkpoints) => {
                undo::everything(self.surroundings, name, checkpoint, checkpoints, &journal.way_back().slots)
            }
            Err(reason) => undo::nothing(name, Some(reason)),
        };
        if rollback.complete && self.target.installed && why != Why::Interrupted {
            let note = undo::code(self.context, self.target, why == Why::Module, &message, &mut rollback);
            if let Some(text) = note {
                self.notes.event(Event::Warning { module: name.clone(), text });
            }
        }
        End::Failed { message, value, rollback: Some(rollback), why }
    }

    fn keep(&self, writable: &[Writable]) {
        for entry in writable {
            if let Err(error) = entry.tidy() {
                self.notes.event(Event::Problem(format!("{}: {error}", self.target.manifest.name)));
            }
        }
        if self.phase == Phase::Main
            && self.target.installed
            && let Err(error) = confirm(self.context.catalog, self.target, self.promotes)
        {
            self.notes.event(Event::Problem(format!("{}: {error}", self.target.manifest.name)));
        }
    }
}

// A failed fork or a child that the kernel ended is often all that a module knows of a limit.
fn with_limits(message: String, hit: &[String]) -> String {
    let untold: Vec<_> = hit.iter().filter(|limit| !message.contains(limit.as_str())).cloned().collect();
    if message.is_empty() || untold.is_empty() { message } else { format!("{message}; {}", untold.join("; ")) }
}

fn interrupted() -> End {
    let message = "the run was interrupted before it started".to_owned();
    End::Failed { message, value: None, rollback: None, why: Why::Interrupted }
}

fn not_run(message: String) -> End {
    End::Failed { message, value: None, rollback: None, why: Why::Surroundings }
}
