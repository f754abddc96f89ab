//! Installed modules as targets: manifest, profile and folder put together; what can't be used is reported and left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use updates_protocol::ModuleName;

use super::dispatcher::{Dispatcher, without_run};
use super::error::RunError;
use super::event::Event;
use super::reach::{Granter, Held, ReachError};
use super::target::Target;
use super::{RunContext, Supervisor};
use crate::catalog::{Catalog, CatalogEntry, Installed};
use crate::config::Layout;
use crate::profile::{Profile, Profiles};
use crate::record::{ModuleRecord, ModuleStatus};

/// Every installed module that can be used, by name. Of the others those that were `named`, or all where none was, are
/// reported.
pub(super) fn installed(
    context: &RunContext<'_>,
    named: &BTreeSet<ModuleName>,
    dispatcher: &mut Dispatcher<'_>,
) -> Result<BTreeMap<ModuleName, Target>, RunError> {
    let entries = context.catalog.installed()?;
    for name in named {
        if !entries.iter().any(|entry| entry.name() == name.as_str()) {
            return Err(unknown(name, &entries));
        }
    }
    let profiles = profiles(context.supervisor);
    for problem in profiles.problems() {
        dispatcher.event(Event::Problem(problem.to_string()));
    }
    let mut targets = BTreeMap::new();
    for entry in entries {
        let wanted = named.is_empty() || named.iter().any(|name| name.as_str() == entry.name());
        match entry {
            CatalogEntry::Installed(module) => match granted(context, &profiles, *module) {
                Ok(target) => {
                    targets.insert(target.manifest.name.clone(), target);
                }
                Err((module, error)) if wanted && module.manifest.enabled => {
                    dispatcher.event(Event::Ended(Box::new(refused(&module, &error))));
                }
                Err(_) => {}
            },
            CatalogEntry::Broken(broken) if wanted => {
                let version = broken.version.map(|version| version.to_string());
                let mut record = without_run(broken.name, version, broken.problem);
                record.status = ModuleStatus::Unusable;
                dispatcher.event(Event::Ended(Box::new(record)));
            }
            CatalogEntry::Broken(_) => {}
        }
    }
    Ok(targets)
}

/// One installed module.
pub(super) fn one_installed(context: &RunContext<'_>, name: &ModuleName) -> Result<Target, RunError> {
    match context.catalog.module(name) {
        None => Err(unknown(name, &context.catalog.installed()?)),
        Some(CatalogEntry::Broken(broken)) => Err(RunError::Folder(broken.problem)),
        Some(CatalogEntry::Installed(module)) => {
            granted(context, &profiles(context.supervisor), *module).map_err(|(_, error)| error.into())
        }
    }
}

/// The module in a folder that need not be installed.
pub(super) fn one_folder(context: &RunContext<'_>, folder: &Path) -> Result<Target, RunError> {
    match Catalog::read_folder(folder) {
        CatalogEntry::Broken(broken) => Err(RunError::Folder(broken.problem)),
        CatalogEntry::Installed(module) => {
            let inside = Path::new("/run/updates/modules").join(module.name.as_str());
            // Whoever names a folder grants what its files ask for.
            let profile = profiles(context.supervisor).resolve(&module.manifest).map_err(ReachError::from)?;
            Ok(Target { inside, installed: false, ..target(*module, profile) })
        }
    }
}

/// The sandbox profiles, local ones before shipped ones.
pub(super) fn profiles(supervisor: &Supervisor) -> Profiles {
    Profiles::load(&supervisor.layout.local_profiles(), &supervisor.installation.profiles)
}

fn granted(
    context: &RunContext<'_>,
    profiles: &Profiles,
    mut module: Installed,
) -> Result<Target, (Box<Installed>, ReachError)> {
    let granter = Granter { catalog: context.catalog, profiles, check: context.check };
    let Held { reach, ungranted } = match granter.hold(&module) {
        Ok(held) => held,
        Err(error) => return Err((Box::new(module), error)),
    };
    // A patch or a grant makes what counts differ from what lies in the folder; the module is shown what counts.
    let patched = context.supervisor.layout.local_patch(&module.name).symlink_metadata().is_ok();
    let differs = patched || !ungranted.is_empty();
    module.manifest = reach.manifest;
    let effective_index = differs.then(|| serde_json::to_string_pretty(&module.manifest.raw).unwrap_or_default());
    Ok(Target { effective_index, ungranted, ..target(module, reach.profile) })
}

pub(super) fn target(module: Installed, profile: Profile) -> Target {
    Target {
        inside: Layout::module_inside(&module.name),
        manifest: module.manifest,
        warnings: module.warnings,
        profile,
        code: module.directory,
        effective_index: None,
        ungranted: Vec::new(),
        tree: module.tree,
        unconfirmed: module.unconfirmed,
        installed: true,
    }
}

fn refused(module: &Installed, error: &ReachError) -> ModuleRecord {
    let version = Some(module.manifest.schema_version.to_string());
    let mut record = without_run(module.name.to_string(), version, error.to_string());
    record.status = ModuleStatus::Failed;
    record.warnings.clone_from(&module.warnings);
    record
}

fn unknown(name: &ModuleName, entries: &[CatalogEntry]) -> RunError {
    let nearest = entries
        .iter()
        .map(|entry| (strsim::damerau_levenshtein(name.as_str(), entry.name()), entry.name()))
        .filter(|(distance, _)| *distance <= 3)
        .min()
        .and_then(|(_, name)| name.parse().ok());
    RunError::UnknownModule { name: name.clone(), nearest }
}
