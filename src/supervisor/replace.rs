//! Phase 1: modules of the source that are new or newer are staged beside and swapped in, each judged alone.

use std::collections::{BTreeMap, BTreeSet};

use updates_protocol::{Manifest, ModuleName};

use super::dispatcher::Dispatcher;
use super::event::Event;
use super::reach::Granter;
use super::sync::Found;
use crate::catalog::{Catalog, Decision, compare};
use crate::record::{Change, UpdateRecord};
use crate::source::{Cover, RejectedFolder, SourceModule};

/// Which modules of the source are looked at.
pub(super) struct Scope<'a> {
    /// Only these; empty means all.
    pub(super) named: &'a BTreeSet<ModuleName>,
    /// Not these: an interrupted run left them and they could not be put back.
    pub(super) unsettled: &'a BTreeMap<ModuleName, String>,
    /// What a manifest's `sandbox` has to fit: a version that could never run must not replace one that does. And what
    /// it may ask for.
    pub(super) granter: Granter<'a>,
}

/// Installs what is new or newer and not held.
pub(super) fn newer(found: Found, scope: &Scope<'_>, dispatcher: &mut Dispatcher<'_>) {
    let Found { modules, cover, .. } = found;
    for_each(modules, scope, dispatcher, |module, manifest| {
        let mut record = judged(decide(scope.granter, module, manifest)?, module, manifest, &cover);
        if record.change == Change::Installed
            && let Err(error) = scope.granter.welcome(manifest)
        {
            record.change = Change::Failed;
            record.notes.push(error.to_string());
        }
        Some(match record.change {
            Change::Installed | Change::Updated => swap_in(scope.granter.catalog, module, record),
            _ => record,
        })
    });
}

/// Says what [`newer`] would do.
pub(super) fn would_replace(found: Found, scope: &Scope<'_>, dispatcher: &mut Dispatcher<'_>) {
    let Found { modules, cover, .. } = found;
    for_each(modules, scope, dispatcher, |module, manifest| {
        Some(judged(decide(scope.granter, module, manifest)?, module, manifest, &cover))
    });
}

/// The same record, unless it is of a version that would be installed and is not trusted.
fn judged(mut record: UpdateRecord, module: &SourceModule, manifest: &Manifest, cover: &Cover) -> UpdateRecord {
    if matches!(record.change, Change::Installed | Change::Updated | Change::Waiting)
        && let Err(distrust) = cover.judge(module, &manifest.schema_version.to_string())
    {
        record.change = Change::Failed;
        record.notes = vec![distrust.to_string()];
    }
    record
}

fn for_each(
    found: Vec<Result<SourceModule, RejectedFolder>>,
    scope: &Scope<'_>,
    dispatcher: &mut Dispatcher<'_>,
    act: impl Fn(&SourceModule, &Manifest) -> Option<UpdateRecord>,
) {
    for module in found {
        let record = match &module {
            Err(rejected) if scope.named.is_empty() => {
                Some(invalid(&rejected.folder, format!("the source's {rejected}")))
            }
            Err(_) => None,
            Ok(module) if !scope.named.is_empty() && !scope.named.contains(module.name()) => None,
            Ok(module) if scope.unsettled.contains_key(module.name()) => None,
            Ok(module) => match Manifest::parse(module.index(), module.name()) {
                Ok((manifest, _)) => match scope.granter.profiles.resolve(&manifest) {
                    Ok(_) => act(module, &manifest),
                    Err(error) => Some(unusable(module, &error)),
                },
                Err(error) => Some(unusable(module, &error)),
            },
        };
        if let Some(record) = record {
            dispatcher.event(Event::Update(record));
        }
    }
}

/// What is to be done with a module; `None` where there is nothing to say.
fn decide(granter: Granter<'_>, module: &SourceModule, manifest: &Manifest) -> Option<UpdateRecord> {
    let (name, catalog) = (module.name(), granter.catalog);
    let installed = catalog.module(name);
    let mut record = UpdateRecord {
        module: name.to_string(),
        change: Change::Installed,
        from: None,
        to: Some(manifest.schema_version.to_string()),
        notes: Vec::new(),
        by_person: false,
    };
    match compare(installed.as_ref(), manifest) {
        Decision::Same => return None,
        Decision::Install => {}
        Decision::Update { from, .. } => {
            record.change = Change::Updated;
            record.from = Some(from.to_string());
        }
        Decision::Older { installed, .. } => {
            record.change = Change::Older;
            record.from = Some(installed.to_string());
            return Some(record);
        }
        Decision::DisabledLocally => {
            record.change = Change::Disabled;
            record.from = match &installed {
                Some(crate::catalog::CatalogEntry::Installed(module)) => Some(module.manifest.schema_version.clone()),
                Some(crate::catalog::CatalogEntry::Broken(broken)) => broken.version.clone(),
                None => None,
            }
            .filter(|version| *version < manifest.schema_version)
            .map(|version| version.to_string());
            // That a disabled module is as old as the source is no news.
            return record.from.is_some().then_some(record);
        }
        Decision::Invalid(problem) => return Some(invalid(name.as_str(), problem)),
    }
    match catalog.kept(name) {
        Ok(Some(kept)) if record.change == Change::Updated => {
            record.change = Change::Held;
            record.by_person = true;
            record.notes.push(kept.to_string());
            return Some(record);
        }
        Ok(_) => {}
        Err(error) => return Some(invalid(name.as_str(), error.to_string())),
    }
    match catalog.held(name, &module.tree()) {
        Ok(None) => {}
        Ok(Some(held)) => {
            record.change = Change::Held;
            record.notes.push(held.reason);
            return Some(record);
        }
        Err(error) => return Some(invalid(name.as_str(), error.to_string())),
    }
    match granter.newly_asked(installed.as_ref(), manifest) {
        Ok(more) if more.is_empty() => {}
        Ok(more) => {
            record.change = Change::Waiting;
            record.notes = more;
        }
        Err(error) => return Some(invalid(name.as_str(), error.to_string())),
    }
    Some(record)
}

fn swap_in(catalog: &Catalog, module: &SourceModule, mut record: UpdateRecord) -> UpdateRecord {
    let staged = catalog.stage(module.name(), Some(&module.tree()), |folder| module.export(folder));
    let swapped = staged.map_err(|error| error.to_string()).and_then(|staged| {
        // The swap is one step; whatever fails before it leaves what is installed.
        staged.commit().map_err(|error| error.to_string())
    });
    match swapped {
        Ok(swapped) => record.notes = swapped.notes,
        Err(error) => {
            record.change = Change::Failed;
            record.notes.push(error);
        }
    }
    record
}

fn unusable(module: &SourceModule, error: &dyn std::error::Error) -> UpdateRecord {
    let name = module.name().as_str();
    invalid(name, format!("the source's modules/{name}/index.json: {error}"))
}

fn invalid(module: &str, problem: String) -> UpdateRecord {
    UpdateRecord {
        module: module.to_owned(),
        change: Change::Invalid,
        from: None,
        to: None,
        notes: vec![problem],
        by_person: false,
    }
}
