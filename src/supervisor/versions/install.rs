//! The one way in which a version that somebody asked for is installed: staged from the object store, merged, swapped.

use updates_protocol::{Manifest, ModuleName, SchemaVersion};

use super::error::VersionError;
use super::known::{Candidate, Known};
use crate::catalog::{Catalog, CatalogEntry, DocumentError, Staged, Swapped};
use crate::supervisor::Supervisor;
use crate::supervisor::reach::Granter;
use crate::supervisor::target::Target;

impl Candidate {
    /// Its manifest, if it can be used here and asks for no more than was granted.
    pub(super) fn admitted(
        &self,
        granter: &Granter<'_>,
        installed: Option<&CatalogEntry>,
    ) -> Result<Manifest, VersionError> {
        let module = self.content.name();
        let unusable =
            |problem: String| VersionError::Unusable { module: module.clone(), version: self.version.clone(), problem };
        let parsed = Manifest::parse(self.content.index(), module);
        let (manifest, _) = parsed.map_err(|error| unusable(format!("index.json: {error}")))?;
        granter.profiles.resolve(&manifest).map_err(|error| unusable(error.to_string()))?;
        let asks = granter.newly_asked(installed, &manifest)?;
        if asks.is_empty() {
            return Ok(manifest);
        }
        Err(VersionError::Ungranted { module: module.clone(), version: self.version.clone(), asks })
    }

    /// Writes it beside what is installed.
    pub(super) fn stage<'c>(&self, catalog: &'c Catalog) -> Result<Staged<'c>, VersionError> {
        let content = &self.content;
        Ok(catalog.stage(content.name(), Some(&content.tree()), |folder| content.export(folder))?)
    }

    /// Installs it. It has to run well, like any other version that is new in its place.
    pub(super) fn install(&self, catalog: &Catalog) -> Result<Swapped, VersionError> {
        Ok(self.stage(catalog)?.commit()?)
    }
}

/// Says that what ran is good in the place where it is. Where the run went well as a whole, maintenance too, it is the last
/// safe version from now on.
pub(in crate::supervisor) fn confirm(catalog: &Catalog, ran: &Target, went_well: bool) -> Result<(), DocumentError> {
    let name = &ran.manifest.name;
    // Before what it would go back to is removed.
    if went_well {
        catalog.note_safe(name, &ran.manifest.schema_version, ran.tree.as_deref())?;
    }
    catalog.confirm(name)?;
    ran.tree.as_deref().map_or(Ok(()), |tree| catalog.unhold_content(name, tree))
}

/// Installs the last safe version in the place of `failed`, whose predecessor's folder is gone. Says which that is; `None`
/// where `failed` itself is the last that ran well.
pub(in crate::supervisor) fn put_back_safe(
    supervisor: &Supervisor,
    catalog: &Catalog,
    module: &ModuleName,
    failed: Option<&str>,
) -> Result<Option<SchemaVersion>, VersionError> {
    let known = Known::of(supervisor, catalog, module)?;
    let safe = known.last_safe()?;
    if Some(safe.content.tree().as_str()) == failed {
        return Ok(None);
    }
    known.judge(&safe)?;
    let swapped = safe.install(catalog)?;
    // It has run well before; killed ahead of this, it only has to do so once more.
    catalog.confirm(module)?;
    Ok(Some(swapped.to))
}
