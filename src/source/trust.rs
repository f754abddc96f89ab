//! Who has to have signed what is installed: the rule, and its judgement of a commit or a tag.

use std::path::PathBuf;

use git2::Oid;

use super::Mirror;
use crate::config::Verify;

/// The rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// What must be signed.
    pub verify: Verify,
    /// Who may sign with an SSH key.
    pub allowed_signers: Option<PathBuf>,
    /// Who may sign with an OpenPGP key.
    pub keyring: Option<PathBuf>,
}

/// Why something is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    /// The rule asks for a signature, and this release can't verify one.
    #[error("{what} is not installed: source.verify asks for a signature, and none can be verified")]
    Unverified {
        /// The commit or tag, for people.
        what: String,
    },
}

impl Trust {
    /// Judges `commit`, that a tag object `tag` may point to.
    pub fn judge(&self, _mirror: &Mirror, commit: Oid, _tag: Option<Oid>) -> Result<(), Distrust> {
        match self.verify {
            Verify::None => Ok(()),
            Verify::Commit | Verify::Tag => Err(Distrust::Unverified { what: format!("commit {commit}") }),
        }
    }
}
