//! `updates runner`: one module alone, installed or from a folder, with the same checkpoint, sandbox and verdict as in a
//! run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use updates_protocol::{ModuleName, RunId};

use super::checkpoints::Checkpoints;
use super::crew::run_all;
use super::dispatcher::Dispatcher;
use super::error::RunError;
use super::event::{Event, Observer};
use super::lock::RunLock;
use super::run::{new_run_id, publish, status};
use super::self_update::{self, Start};
use super::{RunContext, Supervisor, modules, recover};
use crate::catalog::Catalog;
use crate::history::History;
use crate::record::{ExitStatus, RunKind, RunRecord};

/// Which module `updates runner` runs.
#[derive(Debug, Clone)]
pub enum OneModule {
    /// An installed one.
    Installed(ModuleName),
    /// The one in this folder, an absolute path.
    Folder(PathBuf),
}

/// What `updates runner` was asked for.
#[derive(Debug, Clone)]
pub struct OneOptions {
    /// Which module.
    pub module: OneModule,
    /// What reaches `main(args)`.
    pub arguments: Vec<String>,
    /// Whether nothing may be changed.
    pub check: bool,
    /// Whether to trace the module and explain what was refused; that makes it slower.
    pub explain_denials: bool,
    /// How long to wait for another run.
    pub wait: Duration,
}

impl Supervisor {
    /// Runs one module alone, whether it is enabled or not.
    pub fn run_one(&self, options: &OneOptions, observer: &mut dyn Observer) -> Result<RunRecord, RunError> {
        let lock = if options.check { None } else { Some(self.lock(options.wait)?) };
        if let Some(lock) = &lock
            && let Some(problem) = self_update::catch_up(&self.layout, lock, Start::Plain)
        {
            tracing::error!("{problem}");
        }
        let (history, checkpoints) = match &lock {
            Some(_) => {
                let history = History::open(&self.layout.database())?;
                (Some(history), Some(Checkpoints::open(&self.layout)?))
            }
            None => (None, None),
        };
        let run_id = new_run_id();
        let mut dispatcher = Dispatcher::new(RunKind::Runner, run_id.clone(), history, observer)?;
        let done = self.alone(options, lock.as_ref().zip(checkpoints.as_ref()), run_id, &mut dispatcher);
        if let Err(error) = done {
            return Err(dispatcher.fail(error));
        }
        let interrupted = self.cancel.reason().is_some();
        Ok(dispatcher.finish(|record| status(record, interrupted)))
    }

    fn alone(
        &self,
        options: &OneOptions,
        held: Option<(&RunLock, &Checkpoints)>,
        run_id: RunId,
        dispatcher: &mut Dispatcher<'_>,
    ) -> Result<(), RunError> {
        let catalog = Catalog::open(&self.layout);
        let mut unsettled = BTreeMap::new();
        if let Some((lock, checkpoints)) = held {
            unsettled = recover::settle(self, lock, &catalog, checkpoints, false, dispatcher)?;
        }
        let mut context = RunContext::new(self, run_id, &catalog, held, options.arguments.clone())?;
        context.trace = options.explain_denials;
        let target = match &options.module {
            OneModule::Installed(name) => modules::one_installed(&context, name)?,
            OneModule::Folder(folder) => modules::one_folder(&context, folder)?,
        };
        if let Some(reason) = unsettled.remove(&target.manifest.name) {
            return Err(RunError::Unsettled { module: target.manifest.name, reason });
        }
        let targets = BTreeMap::from([(target.manifest.name.clone(), target)]);
        run_all(&context, &targets, &[], 1, dispatcher);
        if let Some((_, checkpoints)) = held {
            recover::sweep(self, checkpoints, dispatcher);
            if matches!(options.module, OneModule::Installed(_)) {
                publish(&catalog, dispatcher);
            }
        }
        Ok(())
    }

    /// Settles what an interrupted run left. `insist`: also where earlier starts had given up. `None`: there was nothing.
    pub fn recover(&self, insist: bool, observer: &mut dyn Observer) -> Result<Option<RunRecord>, RunError> {
        let lock = self.lock(Duration::ZERO)?;
        let history = History::open(&self.layout.database())?;
        let mut dispatcher = Dispatcher::new(RunKind::Recover, new_run_id(), Some(history), observer)?;
        let catalog = Catalog::open(&self.layout);
        let checkpoints = Checkpoints::open(&self.layout)?;
        let unsettled = match recover::settle(self, &lock, &catalog, &checkpoints, insist, &mut dispatcher) {
            Ok(unsettled) => unsettled,
            Err(error) => return Err(dispatcher.fail(error)),
        };
        if !dispatcher.has_recovered() && unsettled.is_empty() {
            dispatcher.forget();
            return Ok(None);
        }
        // Those that are given up are not tried here, and must not look as if there was nothing.
        for (module, reason) in &unsettled {
            if !dispatcher.has_tried(module) {
                dispatcher.event(Event::Problem(format!("{module}: {reason}")));
            }
        }
        Ok(Some(dispatcher.finish(|_| match unsettled.is_empty() {
            true => ExitStatus::Success,
            false => ExitStatus::RollbackFailed,
        })))
    }
}
