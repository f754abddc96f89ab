//! `updates versions`: every version of a module that is known, and what each is.

use jiff::civil::Date;
use serde::Serialize;
use updates_protocol::{ModuleName, SchemaVersion};

use super::error::VersionError;
use super::known::{Candidate, Known, Origin};
use crate::catalog::{Catalog, CatalogEntry, Kept};
use crate::supervisor::Supervisor;

/// What is known of the versions of a module.
#[derive(Debug, Clone, Serialize)]
pub struct Versions {
    /// Which module.
    pub module: ModuleName,
    /// The newest first.
    pub versions: Vec<ListedVersion>,
    /// What keeps the module at its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// Tags that look like versions of it and are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
}

/// A tag that is no version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its name.
    pub tag: String,
    /// What is wrong.
    pub problem: String,
}

/// One version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedVersion {
    /// The version.
    pub version: SchemaVersion,
    /// Its tag; absent for one that is only installed, or only on the branch.
    pub tag: Option<String>,
    /// The day that the tag names.
    pub date: Option<Date>,
    /// Whether it is installed.
    pub installed: bool,
    /// Whether it is installed and has not run well yet.
    pub unconfirmed: bool,
    /// Whether it is what finished a run well last.
    pub last_safe: bool,
    /// Whether the branch's head has it.
    pub branch: bool,
    /// Why it is held, when it failed before.
    pub held: Option<String>,
    #[serde(skip)]
    tree: Option<String>,
}

impl ListedVersion {
    fn of(candidate: &Candidate) -> Self {
        let (tag, date) = match &candidate.origin {
            Origin::Tag { tag, date, .. } => (Some(tag.clone()), Some(*date)),
            Origin::Branch { .. } | Origin::RanHere => (None, None),
        };
        Self { tag, date, tree: Some(candidate.content.tree()), ..Self::named(candidate.version.clone()) }
    }

    fn named(version: SchemaVersion) -> Self {
        Self {
            version,
            tag: None,
            date: None,
            installed: false,
            unconfirmed: false,
            last_safe: false,
            branch: false,
            held: None,
            tree: None,
        }
    }

    // The content decides where it is known: a tag may have been moved, and the branch may have changed a version.
    fn is(&self, version: &SchemaVersion, tree: Option<&str>) -> bool {
        let same = self.version == *version && self.version.build() == version.build();
        same && tree.is_none_or(|tree| self.tree.as_deref().is_none_or(|own| own == tree))
    }
}

impl Supervisor {
    /// The versions of `module`, as the source had them at the last sync. Nothing is written, and no lock is taken.
    pub fn versions(&self, module: &ModuleName) -> Result<Versions, VersionError> {
        let catalog = Catalog::open(&self.layout);
        let known = Known::of(self, &catalog, module)?;
        let mut versions: Vec<ListedVersion> = known.tagged().map(|tagged| ListedVersion::of(&tagged)).collect();
        let mut mark = |version: &SchemaVersion, tree: Option<&str>, set: &dyn Fn(&mut ListedVersion)| {
            let mut found = versions.iter_mut().filter(|listed| listed.is(version, tree)).peekable();
            if found.peek().is_some() {
                found.for_each(set);
                return;
            }
            let mut listed = ListedVersion { tree: tree.map(str::to_owned), ..ListedVersion::named(version.clone()) };
            set(&mut listed);
            versions.push(listed);
        };
        if let Some(branch) = &known.branch {
            mark(&branch.version, Some(&branch.content.tree()), &|listed| listed.branch = true);
        }
        if let Some(safe) = &known.safe {
            mark(&safe.version, safe.tree.as_deref(), &|listed| listed.last_safe = true);
        }
        let installed = match catalog.module(module) {
            Some(CatalogEntry::Installed(entry)) => {
                Some((entry.manifest.schema_version.clone(), entry.tree.clone(), entry.unconfirmed))
            }
            Some(CatalogEntry::Broken(broken)) => broken.version.map(|version| (version, None, false)),
            None => None,
        };
        if let Some((version, tree, unconfirmed)) = &installed {
            mark(version, tree.as_deref(), &|listed| {
                (listed.installed, listed.unconfirmed) = (true, *unconfirmed);
            });
        }
        for held in catalog.all_held()?.remove(module).unwrap_or_default() {
            let tree = (!held.tree.is_empty()).then_some(held.tree.as_str());
            let listed = versions.iter_mut().filter(|listed| listed.is(&held.version, tree));
            listed.for_each(|listed| listed.held = Some(held.reason.clone()));
        }
        if versions.is_empty() && known.tags.rejected.is_empty() && catalog.module(module).is_none() {
            return Err(VersionError::UnknownModule(module.clone()));
        }
        versions.sort_by(|left, right| right.version.cmp(&left.version).then_with(|| right.date.cmp(&left.date)));
        let refused = known.tags.rejected.into_iter();
        let refused = refused.map(|tag| Refused { tag: tag.tag, problem: tag.problem }).collect();
        Ok(Versions { module: module.clone(), versions, kept: catalog.kept(module)?, refused })
    }
}
