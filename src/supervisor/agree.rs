//! `updates sandbox grant`: what a module asks for beyond what it was granted, and a person's agreement to that.
//!
//! What is agreed to is a value that was shown: whatever the source says a minute later asks anew.

use std::time::Duration;

use updates_protocol::{Manifest, ModuleName, SchemaVersion};

use super::error::RunError;
use super::reach::{Granter, ReachError};
use super::versions::{Known, VersionError};
use super::{Supervisor, modules, sync};
use crate::catalog::{Catalog, CatalogEntry, Decision, Grant, GrantedBy, Installed, compare};
use crate::config::Layout;
use crate::profile::{Profile, Profiles};

/// What one version of a module asks for beyond what it was granted.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The version.
    pub version: String,
    /// Whether it is installed; otherwise it is in the source and waits.
    pub installed: bool,
    /// What it asks for, each in words.
    pub more: Vec<String>,
    grant: Grant,
}

/// What holds for an installed module: with its local settings, and no more than it was granted.
#[derive(Debug, Clone)]
pub struct Holding {
    /// The manifest that counts.
    pub manifest: Manifest,
    /// The profile that its sandbox is made from.
    pub profile: Profile,
    /// What it asks for beyond that, each in words.
    pub ungranted: Vec<String>,
}

/// What holds for `module` in a run that began now. Nothing is written.
pub fn holding(layout: &Layout, profiles: &Profiles, module: &Installed) -> Result<Holding, ReachError> {
    let catalog = Catalog::open(layout);
    let held = Granter { catalog: &catalog, profiles, check: true }.hold(module)?;
    Ok(Holding { manifest: held.reach.manifest, profile: held.reach.profile, ungranted: held.ungranted })
}

impl Supervisor {
    /// What `module` asks for and was not granted: as it is installed, and as the source had it at the last sync. With
    /// `version`, what that one asks for, which is found as a checkout finds it.
    pub fn asks(&self, module: &ModuleName, version: Option<&SchemaVersion>) -> Result<Vec<Ask>, VersionError> {
        let catalog = Catalog::open(&self.layout);
        let profiles = modules::profiles(self);
        let granter = Granter { catalog: &catalog, profiles: &profiles, check: true };
        let entry = catalog.module(module).ok_or(RunError::UnknownModule { name: module.clone(), nearest: None })?;
        let mut asks = Vec::new();
        let judged = |manifest: &Manifest| -> Result<Ask, ReachError> {
            let more = granter.newly_asked(Some(&entry), manifest)?;
            // With the local settings, as it was judged: what they cover was not shown.
            let grant = Grant::of(&catalog.effective(module, &manifest.raw)?.raw, GrantedBy::Person);
            Ok(Ask { version: grant.version.clone(), installed: false, more, grant })
        };
        if let Some(version) = version {
            let known = Known::of(self, &catalog, module)?;
            let found = known.find(version).ok_or_else(|| known.unknown(version))?;
            let (manifest, _) = Manifest::parse(found.content.index(), module).map_err(|error| {
                let (module, version) = (module.clone(), version.clone());
                VersionError::Unusable { module, version, problem: format!("index.json: {error}") }
            })?;
            asks.push(judged(&manifest)?);
            asks.retain(|ask| !ask.more.is_empty());
            return Ok(asks);
        }
        if let CatalogEntry::Installed(installed) = &entry {
            let more = granter.asked_by(installed)?;
            let grant = Grant::of(&installed.manifest.raw, GrantedBy::Person);
            asks.push(Ask { version: grant.version.clone(), installed: true, more, grant });
        }
        if let Some(found) = sync::last_seen(self, module)
            && let Ok((manifest, _)) = Manifest::parse(found.index(), module)
            && matches!(compare(Some(&entry), &manifest), Decision::Update { .. })
        {
            asks.push(judged(&manifest)?);
        }
        asks.retain(|ask| !ask.more.is_empty());
        Ok(asks)
    }

    /// Grants what was asked for, durably; it holds from the next run on.
    pub fn agree(&self, module: &ModuleName, asks: Vec<Ask>) -> Result<(), RunError> {
        let _lock = self.lock(Duration::ZERO)?;
        let catalog = Catalog::open(&self.layout);
        let profiles = modules::profiles(self);
        let granter = Granter { catalog: &catalog, profiles: &profiles, check: false };
        if let Some(CatalogEntry::Installed(installed)) = catalog.module(module) {
            // What was granted before there was a list of grants stays granted.
            granter.asked_by(&installed)?;
        }
        for ask in asks {
            catalog.grant(module, ask.grant).map_err(ReachError::from)?;
        }
        Ok(())
    }
}
