//! `updates checkout`: a version that a person names, or the last safe one, takes the place of what is installed.
//!
//! An older version than the source's would be replaced by the next run, so the module is kept at it, and that is said. It
//! is written down before the swap: without the swap it means nothing.

use std::time::Duration;

use updates_protocol::{ModuleName, SchemaVersion};

use super::error::VersionError;
use super::known::{Candidate, Known};
use crate::catalog::{Catalog, CatalogEntry, Kept, KeptBy};
use crate::supervisor::reach::Granter;
use crate::supervisor::{Observer, RunError, Supervisor, modules, sync};

/// What `updates checkout` was asked for.
#[derive(Debug, Clone)]
pub struct CheckoutOptions {
    /// Which module.
    pub module: ModuleName,
    /// Which version; the last safe one when absent.
    pub version: Option<SchemaVersion>,
    /// Whether the source is left alone, even when the version is not in the mirror.
    pub no_sync: bool,
    /// How long to wait for another run.
    pub wait: Duration,
}

/// What a checkout did.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedOut {
    /// The version that was installed before, where that is known.
    pub from: Option<SchemaVersion>,
    /// The version now.
    pub to: SchemaVersion,
    /// The tag that it came from.
    pub tag: Option<String>,
    /// Whether anything was replaced; not, when it is the installed version.
    pub changed: bool,
    /// What keeps it from being replaced by the next run.
    pub kept: Option<Kept>,
    /// What else to know: of the merge of `index.json`, that it had failed before, that the source was not reached.
    pub notes: Vec<String>,
}

impl Supervisor {
    /// Installs a version of a module. It has to run well, or goes back like any other.
    pub fn checkout(&self, options: &CheckoutOptions, observer: &mut dyn Observer) -> Result<CheckedOut, VersionError> {
        let module = &options.module;
        let hold = self.hold(options.wait, observer)?;
        if let Some(reason) = hold.unsettled.get(module) {
            return Err(RunError::Unsettled { module: module.clone(), reason: reason.clone() }.into());
        }
        let catalog = Catalog::open(&self.layout);
        let mut notes = Vec::new();
        let (known, candidate) = self.wanted(options, &catalog, &mut notes)?;
        let installed = catalog.module(module);
        let from = match &installed {
            Some(CatalogEntry::Installed(entry)) => Some(entry.manifest.schema_version.clone()),
            Some(CatalogEntry::Broken(broken)) => broken.version.clone(),
            None => None,
        };
        if let Some(CatalogEntry::Installed(entry)) = &installed
            && entry.tree.as_deref() == Some(candidate.content.tree().as_str())
            && entry.manifest.schema_version == candidate.version
        {
            let (to, tag) = (candidate.version.clone(), candidate.origin.tag().map(str::to_owned));
            return Ok(CheckedOut { from, to, tag, changed: false, kept: catalog.kept(module)?, notes });
        }
        known.judge(&candidate)?;
        let profiles = modules::profiles(self);
        let granter = Granter { catalog: &catalog, profiles: &profiles, check: false };
        let manifest = candidate.admitted(&granter, installed.as_ref())?;
        let tree = candidate.content.tree();
        let failed_before = catalog.held(module, &tree)?;
        let staged = candidate.stage(&catalog)?;
        if installed.is_none() {
            granter.welcome(&manifest)?;
        }
        if let Some(held) = failed_before {
            // A person's word counts for more; if it fails once more, it is held once more.
            catalog.unhold_content(module, &tree)?;
            notes.push(format!("it failed before: {}", held.reason));
        }
        self.keep_or_let_go(&catalog, &known, &candidate, from.as_ref())?;
        let swapped = staged.commit()?;
        notes.extend(swapped.notes);
        if let Some(CatalogEntry::Installed(entry)) = catalog.module(module)
            && !entry.manifest.enabled
        {
            notes.push("it is disabled, and does not run".to_owned());
        }
        match catalog.installed() {
            Ok(modules) => drop(catalog.publish_index(&modules)?),
            Err(error) => notes.push(format!("the global index is written by the next run: {error}")),
        }
        let (tag, kept) = (candidate.origin.tag().map(str::to_owned), catalog.kept(module)?);
        Ok(CheckedOut { from, to: swapped.to, tag, changed: true, kept, notes })
    }

    fn wanted(
        &self,
        options: &CheckoutOptions,
        catalog: &Catalog,
        notes: &mut Vec<String>,
    ) -> Result<(Known, Candidate), VersionError> {
        let module = &options.module;
        let known = Known::of(self, catalog, module)?;
        let Some(version) = &options.version else {
            return known.last_safe().map(|safe| (known, safe));
        };
        if let Some(found) = known.find(version) {
            return Ok((known, found));
        }
        if options.no_sync {
            return Err(known.unknown(version));
        }
        // What is there already needs no network; what is not may be new.
        match sync::refresh(self) {
            None => return Err(known.unknown(version)),
            Some(Ok(())) => {}
            Some(Err(error)) => notes.push(format!("the source could not be read: {error}")),
        }
        let known = Known::of(self, catalog, module)?;
        match known.find(version) {
            Some(found) => Ok((known, found)),
            None => match (known.unknown(version), notes.pop()) {
                (VersionError::UnknownVersion { module, version, hint }, Some(note)) => {
                    Err(VersionError::UnknownVersion { module, version, hint: format!("{hint}; {note}") })
                }
                (error, _) => Err(error),
            },
        }
    }

    // What a person said with `hold` stays as it was said. A checkout's own word gives way to the next one's.
    fn keep_or_let_go(
        &self,
        catalog: &Catalog,
        known: &Known,
        candidate: &Candidate,
        from: Option<&SchemaVersion>,
    ) -> Result<(), VersionError> {
        let module = candidate.content.name();
        let kept = catalog.kept(module)?;
        if kept.as_ref().is_some_and(|kept| kept.by == KeptBy::Hold) {
            return Ok(());
        }
        let newest = known.branch.as_ref().map(|branch| &branch.version).or(from);
        if newest.is_some_and(|newest| candidate.version < *newest) {
            let former = kept.and(from).cloned();
            let kept = Kept::now(KeptBy::Checkout, Some(candidate.version.clone()), None, None);
            catalog.keep(module, Kept { former, ..kept })?;
        } else {
            catalog.let_go(module)?;
        }
        Ok(())
    }
}
