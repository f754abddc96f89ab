//! `updates run`: lock, settle, sync, replace, plan, run, publish; the steps of a cycle in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use updates_protocol::{Manifest, ModuleName, RunId, SchemaVersion};

use super::checkpoints::Checkpoints;
use super::crew::run_all;
use super::dispatcher::{Dispatcher, without_run};
use super::error::RunError;
use super::event::{Event, Observer};
use super::gate::{Clock, Gate};
use super::lock::RunLock;
use super::reach::Granter;
use super::replace::Scope;
use super::select::{select, units_of_groups};
use super::self_update::{self, Next, Start};
use super::target::Target;
use super::{RunContext, Supervisor, modules, recover, replace, rot, sync};
use crate::catalog::Catalog;
use crate::fs::create_directory;
use crate::history::History;
use crate::program::{Note, Notes, Trial};
use crate::record::{ExitStatus, ModuleStatus, OutsideWindow, RunKind, RunRecord};

/// What `updates run` was asked for.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Only these modules; empty means all.
    pub modules: BTreeSet<ModuleName>,
    /// Whether the source is left alone.
    pub no_sync: bool,
    /// Whether it runs outside of the maintenance window too.
    pub ignore_window: bool,
    /// How long to wait for another run.
    pub wait: Duration,
    /// What the maintenance window is held against.
    pub clock: Clock,
    /// The settings file of the command line, for a newer version of this program to read.
    pub config_file: Option<PathBuf>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            modules: BTreeSet::new(),
            no_sync: false,
            ignore_window: false,
            wait: Duration::ZERO,
            clock: jiff::Zoned::now,
            config_file: None,
        }
    }
}

impl Supervisor {
    /// One cycle. The record says everything; its `status` is the exit code.
    pub fn run(&self, options: &RunOptions, observer: &mut dyn Observer) -> Result<RunRecord, RunError> {
        let lock = self.lock(options.wait)?;
        let mut refused = self_update::catch_up(&self.layout, &lock, Start::Counted);
        loop {
            let history = History::open(&self.layout.database())?;
            let run_id = new_run_id();
            let mut dispatcher = Dispatcher::new(RunKind::Run, run_id.clone(), Some(history), observer)?;
            match self.cycle(options, &lock, run_id, refused.take(), &mut dispatcher) {
                Ok(None) => {
                    let interrupted = self.cancel.reason().is_some();
                    if dispatcher.is_outside_window() && !dispatcher.has_recovered() && !dispatcher.has_problems() {
                        // It must not take the place of the run before in what a person is told.
                        return Ok(dispatcher.finish_forgotten(|record| status(record, interrupted)));
                    }
                    return Ok(dispatcher.finish(|record| status(record, interrupted)));
                }
                // The record of this run ends with the flip; what comes next is a run of the new version.
                Ok(Some(version)) => {
                    drop(dispatcher.finish(|_| ExitStatus::Success));
                    refused = Some(self.continue_as(&version, &lock));
                }
                Err(error) => return Err(dispatcher.fail(error)),
            }
        }
    }

    /// Goes on as another version, counted first. Returns why that is not possible, with the link as it was before.
    fn continue_as(&self, version: &SchemaVersion, lock: &RunLock) -> String {
        let reason = match Trial::count(&self.layout) {
            Ok(()) => self_update::continue_as(&self.layout, version, lock).to_string(),
            Err(error) => error.to_string(),
        };
        match self.unflip(version, &reason) {
            Ok(()) => format!("updates {version} was not put in use: {reason}"),
            Err(error) => format!("updates {version} can't be executed ({reason}), and is still in use: {error}"),
        }
    }

    fn cycle(
        &self,
        options: &RunOptions,
        lock: &RunLock,
        run_id: RunId,
        refused: Option<String>,
        dispatcher: &mut Dispatcher<'_>,
    ) -> Result<Option<SchemaVersion>, RunError> {
        if let Some(note) = Notes(&self.layout).text(Note::Tell)? {
            dispatcher.event(Event::Problem(note));
        }
        let catalog = Catalog::open(&self.layout);
        let checkpoints = Checkpoints::open(&self.layout)?;
        let unsettled = recover::settle(self, lock, &catalog, &checkpoints, false, dispatcher)?;
        let gate = match options.ignore_window {
            true => Gate::open(),
            false => Gate::new(self.config.window.clone(), options.clock),
        };
        if let Some(shut) = gate.shut() {
            let opens = shut.opens.map(|opens| opens.strftime("%FT%T%:z").to_string());
            dispatcher.event(Event::OutsideWindow(OutsideWindow { window: shut.window, opens }));
            return Ok(None);
        }
        if !options.no_sync
            && self.cancel.reason().is_none()
            && let Some(found) = sync::fetch(self, dispatcher)
        {
            let next = match refused {
                // Once a run is enough.
                Some(problem) => {
                    dispatcher.event(Event::Problem(problem));
                    self_update::stay(self, &found, dispatcher)
                }
                None => self_update::step(self, lock, &found, options.config_file.as_ref(), dispatcher),
            };
            match next {
                Next::Continue(version) => return Ok(Some(version)),
                Next::InstalledModules => {}
                Next::Modules => {
                    let profiles = modules::profiles(self);
                    let granter = Granter { catalog: &catalog, profiles: &profiles, check: false };
                    let scope = Scope { named: &options.modules, unsettled: &unsettled, granter };
                    replace::newer(found, &scope, dispatcher);
                }
            }
        }
        let mut context = RunContext::new(self, run_id, &catalog, Some((lock, &checkpoints)), Vec::new())?;
        context.gate = gate;
        run_installed(&context, &options.modules, &unsettled, self.config.jobs, dispatcher)?;
        recover::sweep(self, &checkpoints, dispatcher);
        if self.cancel.reason().is_none() {
            let held = recover::held(dispatcher);
            rot::look(self, &checkpoints, |module| held.contains(module), dispatcher);
        }
        publish(&catalog, dispatcher);
        Ok(None)
    }

    pub(super) fn lock(&self, wait: Duration) -> Result<RunLock, RunError> {
        let stop = || self.cancel.reason().is_some();
        let lock = match self_update::inherited_lock() {
            Some(descriptor) => RunLock::inherit(descriptor, &self.layout.lock(), wait, stop)?,
            None => RunLock::take(&self.layout.lock(), wait, stop)?,
        };
        let state = self.layout.state();
        create_directory(state.parent().unwrap_or(&state), 0o755)?;
        create_directory(&state, 0o700)?;
        Ok(lock)
    }
}

/// Writes the global index as it has to be now.
pub(super) fn publish(catalog: &Catalog, dispatcher: &mut Dispatcher<'_>) {
    let published = catalog
        .installed()
        .map_err(|error| error.to_string())
        .and_then(|modules| catalog.publish_index(&modules).map_err(|error| error.to_string()));
    if let Err(error) = published {
        dispatcher.event(Event::Problem(error));
    }
}

/// Selects among the installed modules, and runs the selected ones.
pub(super) fn run_installed(
    context: &RunContext<'_>,
    named: &BTreeSet<ModuleName>,
    unsettled: &BTreeMap<ModuleName, String>,
    jobs: usize,
    dispatcher: &mut Dispatcher<'_>,
) -> Result<(), RunError> {
    let mut usable = modules::installed(context, named, dispatcher)?;
    let mut stuck = Vec::new();
    for (module, error) in unsettled {
        stuck.extend(usable.remove(module));
        if named.is_empty() || named.contains(module) {
            let mut record = without_run(module.to_string(), None, error.clone());
            record.status = ModuleStatus::RollbackFailed;
            dispatcher.event(Event::Ended(Box::new(record)));
        }
    }
    let manifests: Vec<Manifest> = usable.values().map(|target| target.manifest.clone()).collect();
    let (active, reason) = context.supervisor.active_units(&units_of_groups(&manifests));
    if let Some(reason) = reason {
        dispatcher.event(Event::Problem(format!("which services are active is not known: {reason}")));
    }
    let (chosen, skips) = select(&manifests, named, |unit| active.get(unit).copied().unwrap_or(false));
    for skip in skips {
        let version = usable.get(&skip.module).map(|target| target.manifest.schema_version.to_string());
        dispatcher.event(Event::Ended(Box::new(without_run(skip.module.to_string(), version, skip.reason))));
    }
    let targets: BTreeMap<ModuleName, Target> =
        chosen.into_iter().filter_map(|module| usable.remove_entry(&module)).collect();
    dispatcher.event(Event::Planned(targets.keys().cloned().collect()));
    run_all(context, &targets, &stuck, jobs, dispatcher);
    Ok(())
}

/// The exit status that a record amounts to.
pub(super) fn status(record: &RunRecord, interrupted: bool) -> ExitStatus {
    let any = |status: ModuleStatus| record.modules.iter().any(|module| module.status == status);
    if any(ModuleStatus::RollbackFailed) || record.recovered.iter().any(|recovered| !recovered.complete) {
        ExitStatus::RollbackFailed
    } else if interrupted {
        ExitStatus::Interrupted
    } else if any(ModuleStatus::RolledBack) || any(ModuleStatus::Failed) {
        ExitStatus::ModuleFailed
    } else if record
        .modules
        .iter()
        .all(|module| matches!(module.status, ModuleStatus::Skipped | ModuleStatus::Unusable))
    {
        ExitStatus::NothingSelected
    } else {
        ExitStatus::Success
    }
}

/// A new run id: the time, so that ids sort, and four random characters.
pub(super) fn new_run_id() -> RunId {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let mut random = [0u8; 2];
    // Without randomness two runs of one second would only share a name; the database refuses the second.
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).ok();
    format!("{now}-{:02x}{:02x}", random[0], random[1])
        .parse()
        .unwrap_or_else(|_| unreachable!("digits, letters and a dash are a run id"))
}
