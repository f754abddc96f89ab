//! `updates check`: what a run would change. Nothing is written: the fetch goes into a scratch folder, modules see
//! everything read-only, and neither lock nor database is touched.

use std::collections::{BTreeMap, BTreeSet};

use updates_protocol::ModuleName;

use super::dispatcher::Dispatcher;
use super::error::RunError;
use super::event::Observer;
use super::reach::Granter;
use super::replace::Scope;
use super::run::{new_run_id, run_installed, status};
use super::{RunContext, Supervisor, modules, replace, self_update, sync};
use crate::catalog::Catalog;
use crate::fs::IoContext;
use crate::record::{Change, ExitStatus, ModuleStatus, RunKind, RunRecord};

/// What `updates check` was asked for.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// Only these modules; empty means all.
    pub modules: BTreeSet<ModuleName>,
    /// Whether the source is left alone.
    pub no_sync: bool,
    /// Whether pending updates are told by the exit code.
    pub exit_code: bool,
}

impl Supervisor {
    /// Looks at what a run would do.
    pub fn check(&self, options: &CheckOptions, observer: &mut dyn Observer) -> Result<RunRecord, RunError> {
        let run_id = new_run_id();
        let mut dispatcher = Dispatcher::new(RunKind::Check, run_id.clone(), None, observer)?;
        let catalog = Catalog::open(&self.layout);
        if !options.no_sync && self.config.source.url.is_some() {
            let temporary = std::env::temp_dir();
            let scratch = tempfile::Builder::new()
                .prefix("updates-check-")
                .tempdir_in(&temporary)
                .at("create a folder in", &temporary)?;
            if let Some(found) = sync::look(self, scratch.path(), &mut dispatcher)
                && self_update::look(self, &found, &mut dispatcher)
            {
                let profiles = modules::profiles(self);
                let granter = Granter { catalog: &catalog, profiles: &profiles, check: true };
                let scope = Scope { named: &options.modules, unsettled: &BTreeMap::new(), granter };
                replace::would_replace(found, &scope, &mut dispatcher);
            }
        }
        let context = RunContext::new(self, run_id, &catalog, None, Vec::new())?;
        run_installed(&context, &options.modules, &BTreeMap::new(), self.config.jobs, &mut dispatcher)?;
        let interrupted = self.cancel.reason().is_some();
        Ok(dispatcher.finish(|record| match status(record, interrupted) {
            ExitStatus::Success | ExitStatus::NothingSelected if options.exit_code && is_pending(record) => {
                ExitStatus::Pending
            }
            // A source with modules that are all new has something to tell, though nothing is installed to run.
            ExitStatus::NothingSelected if is_pending(record) => ExitStatus::Success,
            other => other,
        }))
    }
}

/// Whether a run would change something: newer code, or a module that says so.
fn is_pending(record: &RunRecord) -> bool {
    let code = record.updates.iter().any(|update| matches!(update.change, Change::Installed | Change::Updated));
    let program = record.program.iter().any(|update| update.change == Change::Updated);
    code || program
        || record.modules.iter().any(|module| module.status == ModuleStatus::Updated)
        || pending_by_word(record).next().is_some()
}

/// Modules whose result lists what they would change.
fn pending_by_word(record: &RunRecord) -> impl Iterator<Item = String> + use<> {
    let would = |value: &serde_json::Value| match value.get("would_change") {
        Some(serde_json::Value::Array(items)) => !items.is_empty(),
        Some(serde_json::Value::Object(items)) => !items.is_empty(),
        Some(serde_json::Value::Bool(would)) => *would,
        _ => false,
    };
    let names: Vec<String> = record
        .modules
        .iter()
        .filter(|module| module.result.as_ref().is_some_and(would))
        .map(|module| module.module.clone())
        .collect();
    names.into_iter()
}
