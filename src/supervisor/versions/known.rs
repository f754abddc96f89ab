//! Which versions of a module can be had without asking the source, and whether one of them is trusted.

use git2::Oid;
use jiff::civil::Date;
use updates_protocol::{Manifest, ModuleName, SchemaVersion};

use super::error::VersionError;
use crate::catalog::{Catalog, Safe};
use crate::source::{Mirror, SourceConfig, SourceModule, VersionTags};
use crate::supervisor::{Supervisor, sync};

/// A version that can be installed.
#[derive(Debug, Clone)]
pub(in crate::supervisor) struct Candidate {
    pub(in crate::supervisor) version: SchemaVersion,
    pub(in crate::supervisor) content: SourceModule,
    pub(in crate::supervisor) origin: Origin,
}

/// Where a version comes from.
#[derive(Debug, Clone)]
pub(in crate::supervisor) enum Origin {
    /// A tag of the source.
    Tag { tag: String, date: Date, commit: Oid, object: Option<Oid> },
    /// The branch's head.
    Branch { commit: Oid },
    /// It ran well here, and the mirror still has its content.
    RanHere,
}

/// What is known of one module's versions.
pub(in crate::supervisor) struct Known {
    module: ModuleName,
    source: Option<(Mirror, SourceConfig)>,
    pub(in crate::supervisor) tags: VersionTags,
    pub(in crate::supervisor) branch: Option<Candidate>,
    pub(in crate::supervisor) safe: Option<Safe>,
}

impl Origin {
    /// The tag, where it is one.
    pub(in crate::supervisor) fn tag(&self) -> Option<&str> {
        match self {
            Origin::Tag { tag, .. } => Some(tag),
            Origin::Branch { .. } | Origin::RanHere => None,
        }
    }
}

impl Known {
    /// Looks at the mirror as it is. Without a source, or before its first sync, only what ran well here is known.
    pub(in crate::supervisor) fn of(
        supervisor: &Supervisor,
        catalog: &Catalog,
        module: &ModuleName,
    ) -> Result<Self, VersionError> {
        let source = sync::config_of(supervisor)
            .and_then(|config| Mirror::existing(&supervisor.layout.mirror()).map(|mirror| (mirror, config)));
        let (mut tags, mut branch) = (VersionTags::default(), None);
        if let Some((mirror, config)) = &source {
            tags = mirror.tags_of(config, module)?;
            branch = mirror.head(config).and_then(|head| {
                let content = head.module_named(module).ok()?;
                let (manifest, _) = Manifest::parse(content.index(), module).ok()?;
                let origin = Origin::Branch { commit: head.commit() };
                Some(Candidate { version: manifest.schema_version, content, origin })
            });
        }
        Ok(Self { module: module.clone(), source, tags, branch, safe: catalog.last_safe(module)? })
    }

    /// Every tagged version, the newest first.
    pub(in crate::supervisor) fn tagged(&self) -> impl Iterator<Item = Candidate> {
        self.tags.versions.iter().map(|tag| Candidate {
            version: tag.name.version.clone(),
            content: tag.content.clone(),
            origin: Origin::Tag { tag: tag.tag.clone(), date: tag.name.date, commit: tag.commit, object: tag.object },
        })
    }

    /// The version, from the first that has it: a tag, the latest of several; the branch; what ran well here.
    pub(in crate::supervisor) fn find(&self, version: &SchemaVersion) -> Option<Candidate> {
        let all = || self.tagged().chain(self.branch.clone()).chain(self.ran_here());
        // As it is written first: 1.0.0+a and 1.0.0+b are equal to semver.
        let same = |candidate: &Candidate| candidate.version == *version;
        all()
            .find(|candidate| same(candidate) && candidate.version.build() == version.build())
            .or_else(|| all().find(same))
    }

    /// The last safe version: by the content that it had, which needs no tag, or else by a tag that names it.
    pub(in crate::supervisor) fn last_safe(&self) -> Result<Candidate, VersionError> {
        let Some(safe) = &self.safe else { return Err(VersionError::NoneSafe(self.module.clone())) };
        let gone = || VersionError::SafeIsGone { module: self.module.clone(), version: safe.version.clone() };
        self.ran_here().or_else(|| self.find(&safe.version)).ok_or_else(gone)
    }

    /// The module's content of this tree, where the mirror has it.
    pub(in crate::supervisor) fn content(&self, tree: &str) -> Option<SourceModule> {
        self.source.as_ref()?.0.module_of_tree(&self.module, tree)
    }

    fn ran_here(&self) -> Option<Candidate> {
        let safe = self.safe.as_ref()?;
        let content = self.content(safe.tree.as_deref()?)?;
        Some(Candidate { version: safe.version.clone(), content, origin: Origin::RanHere })
    }

    /// Refuses what is not signed as the settings ask. What ran well here was judged when it was installed.
    pub(in crate::supervisor) fn judge(&self, candidate: &Candidate) -> Result<(), VersionError> {
        let (commit, tag) = match candidate.origin {
            Origin::Tag { commit, object, .. } => (commit, object),
            Origin::Branch { commit } => (commit, None),
            Origin::RanHere => return Ok(()),
        };
        let Some((mirror, config)) = &self.source else { return Ok(()) };
        config.trust.judge(mirror, commit, tag).map_err(|source| VersionError::Distrusted {
            module: self.module.clone(),
            version: candidate.version.clone(),
            source: Box::new(source),
        })
    }

    /// Why there is no such version: the tag that was refused, or what there is.
    pub(in crate::supervisor) fn unknown(&self, version: &SchemaVersion) -> VersionError {
        let start = format!("{}-v{version}-", self.module);
        let refused = self.tags.rejected.iter().find(|rejected| rejected.tag.starts_with(&start));
        // The branch's version has a tag as well, as a rule.
        let mut there: Vec<SchemaVersion> = self.tagged().chain(self.branch.clone()).map(|each| each.version).collect();
        there.sort_by(|one, other| other.cmp(one));
        there.dedup_by_key(|version| version.to_string());
        let hint = match (refused, there.as_slice()) {
            (Some(refused), _) => format!(": {refused}"),
            (None, []) if self.source.is_none() => "; no source has been synced yet".to_owned(),
            (None, []) => "; it has no tag of this module".to_owned(),
            (None, there) => {
                let more = if there.len() > 5 { " and more" } else { "" };
                let named: Vec<String> = there.iter().take(5).map(ToString::to_string).collect();
                format!("; it has {}{more}", named.join(", "))
            }
        };
        VersionError::UnknownVersion { module: self.module.clone(), version: version.clone(), hint }
    }
}
