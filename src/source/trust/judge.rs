//! The rule's judgement of a commit, or of a tag that points to one.

use git2::{Oid, Repository};

use super::rule::Signers;
use super::signature::{self, Bad};
use super::{Distrust, Trust, signed, tags};
use crate::config::Verify;
use crate::source::Mirror;

/// The most signed tags of one commit that are verified: each costs a process.
const TAGS: usize = 32;

impl Trust {
    /// Judges `commit`, and where the rule asks for a tag, the tag object `tag`, which has to point to it.
    ///
    /// Without `tag`, any tag of the mirror that is signed by somebody trusted and points to the commit will do, unless its
    /// name is that of one module's release.
    pub fn judge(&self, mirror: &Mirror, commit: Oid, tag: Option<Oid>) -> Result<(), Distrust> {
        self.signer(&mirror.repository, commit, tag).map(drop)
    }

    /// Who signed what [`Trust::judge`] asks for; `None` where nothing has to be signed.
    pub(in crate::source) fn signer(
        &self,
        repository: &Repository,
        commit: Oid,
        tag: Option<Oid>,
    ) -> Result<Option<String>, Distrust> {
        match (self.verify, tag) {
            (Verify::None, _) => Ok(None),
            (Verify::Commit, _) => of_commit(repository, commit, &self.signers()?).map(Some),
            (Verify::Tag, Some(tag)) => of_tag(repository, commit, tag, &self.signers()?).map(Some),
            (Verify::Tag, None) => by_any_tag(repository, commit, &self.signers()?).map(Some),
        }
    }
}

fn of_commit(repository: &Repository, commit: Oid, signers: &Signers) -> Result<String, Distrust> {
    let what = format!("commit {commit:.12}");
    let signed = match signed::commit(repository, commit) {
        Err(reason) => return Err(Distrust::Unreadable { what, reason }),
        Ok(None) => return Err(Distrust::Unsigned { what, how: "git commit -S" }),
        Ok(Some(signed)) => signed,
    };
    match signature::verify(&signed, signers) {
        Ok(signer) => Ok(signer),
        Err(Bad::Rule(error)) => Err(error.into()),
        Err(Bad::Refused(why)) => Err(Distrust::Signature { what, why }),
    }
}

fn of_tag(repository: &Repository, commit: Oid, tag: Oid, signers: &Signers) -> Result<String, Distrust> {
    let all = known_tags(repository, commit)?;
    let signer = tags::verify(repository, &all, tag, signers)?;
    if tags::commit_of(repository, tag) == Some(commit) {
        Ok(signer)
    } else {
        Err(Distrust::Elsewhere { tag: tag.to_string(), commit: format!("{commit:.12}") })
    }
}

fn by_any_tag(repository: &Repository, commit: Oid, signers: &Signers) -> Result<String, Distrust> {
    let all = known_tags(repository, commit)?;
    // Whoever released one module has not spoken for the rest of the commit.
    let pointing = all.iter().filter(|tag| {
        tags::commit_of(repository, tag.target) == Some(commit)
            && !tags::is_of_one_module(repository, commit, &tag.name)
    });
    first_trusted(repository, &all, pointing, signers).map_err(|refused| match refused {
        Some(Distrust::Rule(error)) => error.into(),
        Some(refused) => Distrust::NoTag { what: format!("commit {commit:.12}"), why: format!(": {refused}") },
        None => Distrust::NoTag { what: format!("commit {commit:.12}"), why: String::new() },
    })
}

pub(super) fn known_tags(repository: &Repository, commit: Oid) -> Result<Vec<tags::Tag>, Distrust> {
    tags::all(repository).map_err(|error| Distrust::Unreadable {
        what: format!("commit {commit:.12}"),
        reason: error.message().to_owned(),
    })
}

/// The first of these tags that is trusted: who signed it. Otherwise why the first signed one is not, if any is there.
pub(super) fn first_trusted<'t>(
    repository: &Repository,
    all: &[tags::Tag],
    candidates: impl Iterator<Item = &'t tags::Tag>,
    signers: &Signers,
) -> Result<String, Option<Distrust>> {
    let mut refused: Option<Distrust> = None;
    let mut tried = 0;
    for tag in candidates {
        match tags::verify(repository, all, tag.target, signers) {
            Ok(signer) => return Ok(signer),
            // Costs nothing, and says the least.
            Err(unsigned @ Distrust::Unsigned { .. }) => refused = refused.or(Some(unsigned)),
            Err(rule @ Distrust::Rule(_)) => return Err(Some(rule)),
            Err(other) => {
                tried += 1;
                if refused.as_ref().is_none_or(|known| matches!(known, Distrust::Unsigned { .. })) {
                    refused = Some(other);
                }
            }
        }
        if tried == TAGS {
            break;
        }
    }
    Err(refused)
}
