//! How far trust in a fetched head reaches: over all of it, or module by module through their own tags.

use git2::{Oid, Repository};
use updates_protocol::Manifest;

use super::judge::{first_trusted, known_tags};
use super::rule::Signers;
use super::{Distrust, Trust, tags};
use crate::config::Verify;
use crate::source::{Revision, SourceModule, mirror};

/// What of a fetched head may be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cover {
    /// Everything; and who signed it, where somebody had to.
    Whole(Option<String>),
    /// Each module that a signed tag of its own covers.
    EachModule {
        /// The rule that is asked for each.
        trust: Trust,
        /// Whether the head may be remembered as accepted: all that changed since the last one is covered.
        complete: bool,
    },
}

impl Cover {
    /// Whether `module`, in the version that its `index.json` has, may be installed.
    pub fn judge(&self, module: &SourceModule, version: &str) -> Result<(), Distrust> {
        match self {
            Self::Whole(_) => Ok(()),
            Self::EachModule { trust, .. } => {
                let repository = mirror::open(&module.mirror).map_err(|error| Distrust::Unreadable {
                    what: module.name().to_string(),
                    reason: error.message().to_owned(),
                })?;
                let all = known_tags(&repository, module.tree)?;
                of_module(&trust.signers()?, &repository, &all, module, version)
            }
        }
    }
}

/// Judges a fetched head whose `accepted` predecessor, if any, may be built upon.
pub(in crate::source) fn cover(
    trust: &Trust,
    repository: &Repository,
    revision: &Revision,
    commit: Oid,
    accepted: Option<Oid>,
) -> Result<Cover, Distrust> {
    let refused = match trust.signer(repository, commit, None) {
        Ok(signer) => return Ok(Cover::Whole(signer)),
        Err(refused @ Distrust::NoTag { .. }) if trust.verify == Verify::Tag => refused,
        Err(refused) => return Err(refused),
    };
    // What is as it was in the accepted head needs no new tag.
    let before = accepted.and_then(|accepted| tags::modules_of(repository, accepted));
    let Ok(modules) = revision.modules() else { return Err(refused) };
    // Read once: a source may have thousands of tags.
    let (signers, all) = (trust.signers()?, known_tags(repository, commit)?);
    let (mut covered, mut uncovered) = (0, 0);
    for module in modules.into_iter().flatten() {
        if before.as_ref().is_some_and(|before| {
            before.get_name(module.name().as_str()).is_some_and(|entry| entry.id() == module.tree)
        }) {
            continue;
        }
        let version = Manifest::parse(module.index(), module.name()).map(|(manifest, _)| manifest.schema_version);
        // A broken manifest is never installed, so that nothing has to cover it.
        let Ok(version) = version else { continue };
        match of_module(&signers, repository, &all, &module, &version.to_string()) {
            Ok(()) => covered += 1,
            Err(Distrust::Rule(error)) => return Err(error.into()),
            Err(_) => uncovered += 1,
        }
        if covered > 0 && uncovered > 0 {
            break;
        }
    }
    // A head that no tag speaks for at all is refused as a whole.
    if covered == 0 && (uncovered > 0 || before.is_none()) {
        return Err(refused);
    }
    Ok(Cover::EachModule { trust: trust.clone(), complete: uncovered == 0 })
}

fn of_module(
    signers: &Signers,
    repository: &Repository,
    all: &[tags::Tag],
    module: &SourceModule,
    version: &str,
) -> Result<(), Distrust> {
    let own: Vec<_> = all.iter().filter(|tag| tags::is_of(&tag.name, module.name().as_str(), version)).collect();
    let leads_here = |tag: &tags::Tag| {
        let commit = tags::commit_of(repository, tag.target)?;
        let entry = tags::modules_of(repository, commit)?.get_name(module.name().as_str())?.id();
        Some(entry == module.tree)
    };
    let (here, elsewhere): (Vec<&tags::Tag>, Vec<_>) = own.into_iter().partition(|tag| leads_here(tag) == Some(true));
    let what = format!("{} {version}", module.name());
    let refused = match first_trusted(repository, all, here.into_iter(), signers) {
        Ok(_) => return Ok(()),
        Err(Some(Distrust::Rule(error))) => return Err(error.into()),
        Err(refused) => refused,
    };
    let why = match (refused, elsewhere.first()) {
        (Some(refused), _) => format!(": {refused}"),
        (None, Some(tag)) => format!(": the tag {:?} is of other files than these", tags::printable(&tag.name)),
        (None, None) => String::new(),
    };
    Err(Distrust::NoTag { what, why })
}
