//! A version that a module asks for of itself, while it runs.
//!
//! What it runs from is not touched meanwhile: the version is looked at, tried out beside and noted with the module in
//! flight, and the swap takes place when the module is settled, whether it ended well or not. A run that is interrupted
//! before that is undone with all that it asked for.

use serde::{Deserialize, Serialize};
use updates_protocol::{ModuleName, SchemaVersion};

use super::error::VersionError;
use super::known::{Candidate, Known};
use crate::catalog::{Catalog, CatalogEntry, Held, SwapError};
use crate::record::{Change, UpdateRecord};
use crate::source::Mirror;
use crate::supervisor::reach::Granter;
use crate::supervisor::target::Target;
use crate::supervisor::{Supervisor, modules};

/// The version that a module wants to be at after its run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) struct Wanted {
    /// The version.
    pub(in crate::supervisor) version: SchemaVersion,
    /// Its content, as the source names it.
    pub(in crate::supervisor) tree: String,
}

/// What a module's wish comes to, or in the second place why it is refused.
pub(in crate::supervisor) type Granted = Result<(Candidate, Option<Wanted>), String>;

/// Whether the module may be put at `version`, or at its last safe one; the outer error is the supervisor's own trouble.
/// Without anything [`Wanted`] it is there already.
pub(in crate::supervisor) fn grant(
    supervisor: &Supervisor,
    target: &Target,
    version: Option<&SchemaVersion>,
) -> Result<Granted, VersionError> {
    let catalog = Catalog::open(&supervisor.layout);
    let name = &target.manifest.name;
    let known = Known::of(supervisor, &catalog, name)?;
    let candidate = match version {
        None => known.last_safe(),
        Some(version) => known.find(version).ok_or_else(|| known.unknown(version)),
    };
    let candidate = match candidate {
        Ok(candidate) => candidate,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let tree = candidate.content.tree();
    if target.tree.as_deref() == Some(tree.as_str()) && target.manifest.schema_version == candidate.version {
        return Ok(Ok((candidate, None)));
    }
    if let Some(kept) = catalog.kept(name)? {
        return Ok(Err(format!("{name} stays at its version: {kept}")));
    }
    if let Some(held) = catalog.held(name, &tree)? {
        let way_out = format!("a person lets it go with `updates unhold {name}`");
        return Ok(Err(format!("{name} {} failed before and is held: {}; {way_out}", held.version, held.reason)));
    }
    let profiles = modules::profiles(supervisor);
    let granter = Granter { catalog: &catalog, profiles: &profiles, check: true };
    let installed = catalog.module(name);
    let admitted = known.judge(&candidate).and_then(|()| candidate.admitted(&granter, installed.as_ref()));
    if let Err(error) = admitted {
        return Ok(Err(error.to_string()));
    }
    // Tried out: what the module is told now has to hold when it has ended. Dropped, it removes itself.
    drop(candidate.stage(&catalog)?);
    let wanted = Wanted { version: candidate.version.clone(), tree };
    Ok(Ok((candidate, Some(wanted))))
}

/// Puts the module at what it wanted. `None` when it is there: taking back a version that failed may have led to it.
pub(in crate::supervisor) fn settle_wanted(
    supervisor: &Supervisor,
    catalog: &Catalog,
    ran: &Target,
    wanted: &Wanted,
) -> Option<UpdateRecord> {
    let name = &ran.manifest.name;
    let from = match catalog.module(name) {
        Some(CatalogEntry::Installed(entry)) if entry.tree.as_deref() == Some(&wanted.tree) => return None,
        Some(CatalogEntry::Installed(entry)) => Some(entry.manifest.schema_version.to_string()),
        Some(CatalogEntry::Broken(_)) | None => None,
    };
    let mut record = UpdateRecord {
        module: name.to_string(),
        change: Change::Updated,
        from,
        to: Some(wanted.version.to_string()),
        notes: vec!["at its own request".to_owned()],
        by_person: false,
    };
    match swap(supervisor, catalog, ran, wanted) {
        Ok(notes) => record.notes.extend(notes),
        Err(error) => {
            record.change = Change::Failed;
            record.notes.push(error);
        }
    }
    Some(record)
}

fn swap(supervisor: &Supervisor, catalog: &Catalog, ran: &Target, wanted: &Wanted) -> Result<Vec<String>, String> {
    let name = &ran.manifest.name;
    let content = Mirror::existing(&supervisor.layout.mirror())
        .and_then(|mirror| mirror.module_of_tree(name, &wanted.tree))
        .ok_or("the mirror does not have it any more")?;
    // Held first: else the next run would bring back at once what the module left.
    if wanted.version < ran.manifest.schema_version
        && let Some(tree) = &ran.tree
    {
        let held = Held {
            version: ran.manifest.schema_version.clone(),
            tree: tree.clone(),
            reason: format!("the module went back to {} by its own request", wanted.version),
            since: jiff::Timestamp::now().to_string(),
        };
        // One that failed keeps the reason why.
        if catalog.held(name, tree).map_err(|error| error.to_string())?.is_none() {
            catalog.hold(name, held).map_err(|error| error.to_string())?;
        }
    }
    let staged = catalog.stage(name, Some(&wanted.tree), |folder| content.export(folder));
    let swapped = staged.map_err(|error| error.to_string())?.commit().map_err(|error| error.to_string())?;
    Ok(swapped.notes)
}

/// Takes back a swap that an interrupted settlement had made: the run that asked for it is undone. Says whether there was
/// one.
pub(in crate::supervisor) fn take_back(
    catalog: &Catalog,
    module: &ModuleName,
    wanted: &Wanted,
) -> Result<bool, SwapError> {
    let Some(CatalogEntry::Installed(entry)) = catalog.module(module) else { return Ok(false) };
    if !entry.unconfirmed || entry.tree.as_deref() != Some(&wanted.tree) {
        return Ok(false);
    }
    catalog.revert(module)?;
    Ok(true)
}
