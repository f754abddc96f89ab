//! The workers: as many threads as the schedule allows, each with one module, all reporting to the dispatcher.

use std::collections::BTreeMap;
use std::thread;

use updates_protocol::{Database, ModuleName, UnitName};

use super::dispatcher::{Dispatcher, without_run};
use super::event::Event;
use super::note::{Note, Notes};
use super::schedule::{Schedule, Task};
use super::target::Target;
use super::{RunContext, worker, writable};
use crate::record::ModuleStatus;

/// Runs every target and returns when all are done. After an interruption those that had not started are skipped; those
/// that share something with one of `stuck`, which an earlier run could not put back, don't run either.
pub(super) fn run_all(
    context: &RunContext<'_>,
    targets: &BTreeMap<ModuleName, Target>,
    stuck: &[Target],
    jobs: usize,
    dispatcher: &mut Dispatcher<'_>,
) {
    let tasks = targets.values().map(|target| task(context, target)).collect();
    let mut schedule = Schedule::new(tasks, jobs);
    stuck.iter().for_each(|target| schedule.stuck(task(context, target)));
    let (notes, inbox) = Notes::channel();
    let mut interrupted = false;
    thread::scope(|scope| {
        loop {
            if !interrupted && context.supervisor.cancel.reason().is_some() {
                interrupted = true;
                dispatcher.event(Event::Interrupted);
                for module in schedule.cancel() {
                    let version = targets.get(&module).map(|t| t.manifest.schema_version.to_string());
                    let message = "the run was interrupted before its turn".to_owned();
                    dispatcher.event(Event::Ended(Box::new(without_run(module.to_string(), version, message))));
                }
            }
            if schedule.is_waiting()
                && let Some(shut) = context.gate.shut()
            {
                for module in schedule.cancel() {
                    let version = targets.get(&module).map(|t| t.manifest.schema_version.to_string());
                    let message = format!("the maintenance window ({}) closed before its turn", shut.window);
                    dispatcher.event(Event::Ended(Box::new(without_run(module.to_string(), version, message))));
                }
            }
            for (module, stuck) in schedule.withdraw() {
                let version = targets.get(&module).map(|t| t.manifest.schema_version.to_string());
                let message = format!(
                    "did not run, since it may write what {stuck} goes back to, which is not put back yet; see to that first"
                );
                let mut record = without_run(module.to_string(), version, message);
                record.status = ModuleStatus::Failed;
                dispatcher.event(Event::Ended(Box::new(record)));
            }
            while let Some(target) = schedule.start().and_then(|module| targets.get(&module)) {
                let notes = notes.clone();
                scope.spawn(move || {
                    let record = worker::run(context, target, &notes);
                    notes.done(record);
                });
            }
            if schedule.running() == 0 {
                break;
            }
            let Ok(note) = inbox.recv() else { break };
            let is_stuck = matches!(&note, Note::Done(record) if record.status == ModuleStatus::RollbackFailed);
            if let Some(module) = dispatcher.note(note) {
                if is_stuck { schedule.finished_stuck(&module) } else { schedule.finished(&module) }
            }
        }
    });
}

fn task(context: &RunContext<'_>, target: &Target) -> Task {
    // Two modules that declare different folders below one that is not there yet share that one.
    let layout = &context.supervisor.layout;
    let resolved = writable::resolve(layout, &target.manifest.name, target.declared().into_iter()).unwrap_or_default();
    let resolved = resolved.into_iter().filter(writable::Entry::is_new).map(|entry| entry.path);
    let databases = &target.manifest.databases;
    let files = databases.iter().filter_map(|database| match database {
        Database::Sqlite { database } => Some(database.clone()),
        Database::Postgresql(_) | Database::Mysql(_) => None,
    });
    let saved: Vec<_> = target.declared().into_iter().chain(resolved).chain(files).collect();
    Task {
        reads: target.manifest.sandbox.read_only_paths.clone(),
        module: target.manifest.name.clone(),
        priority: target.manifest.priority,
        exclusive: target.manifest.exclusive || target.profile.exclusive,
        paths: saved.iter().chain(&target.profile.volatile_paths).cloned().collect(),
        saved,
        units: target.units().map(UnitName::with_suffix).collect(),
        databases: databases.iter().filter_map(server_database).collect(),
    }
}

fn server_database(database: &Database) -> Option<String> {
    let kind = match database {
        Database::Sqlite { .. } => return None,
        Database::Postgresql(_) => "postgresql",
        Database::Mysql(_) => "mysql",
    };
    database.server().map(|server| format!("{kind} {}", server.database))
}
