//! The workers: as many threads as the schedule allows, each with one module, all reporting to the dispatcher.

use std::collections::BTreeMap;
use std::thread;

use updates_protocol::{ModuleName, UnitName};

use super::dispatcher::{Dispatcher, without_run};
use super::event::Event;
use super::note::Notes;
use super::schedule::{Schedule, Task};
use super::target::Target;
use super::{RunContext, worker, writable};

/// Runs every target and returns when all are done. After an interruption those that had not started are skipped.
pub(super) fn run_all(
    context: &RunContext<'_>,
    targets: &BTreeMap<ModuleName, Target>,
    jobs: usize,
    dispatcher: &mut Dispatcher<'_>,
) {
    let tasks = targets.values().map(|target| task(context, target)).collect();
    let mut schedule = Schedule::new(tasks, jobs);
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
            if let Some(module) = dispatcher.note(note) {
                schedule.finished(&module);
            }
        }
    });
}

fn task(context: &RunContext<'_>, target: &Target) -> Task {
    // Two modules that declare different folders below one that is not there yet share that one.
    let layout = &context.supervisor.layout;
    let resolved = writable::resolve(layout, &target.manifest.name, target.declared().into_iter()).unwrap_or_default();
    let resolved = resolved.into_iter().filter(writable::Entry::is_new).map(|entry| entry.path);
    let declared = target.declared().into_iter().chain(target.profile.volatile_paths.iter().cloned());
    Task {
        reads: target.manifest.sandbox.read_only_paths.clone(),
        module: target.manifest.name.clone(),
        priority: target.manifest.priority,
        exclusive: target.manifest.exclusive || target.profile.exclusive,
        paths: declared.chain(resolved).collect(),
        units: target.units().map(UnitName::with_suffix).collect(),
    }
}
