//! One signature, verified with the program of its kind against the keys of that kind.

use super::rule::{KEYRING, SIGNERS, Signers};
use super::signed::Signed;
use super::{RuleError, openpgp, ssh};

/// The kinds of signatures that git makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ssh,
    OpenPgp,
    X509,
}

/// Why a signature does not count.
pub(super) enum Bad {
    /// It could not be verified at all.
    Rule(RuleError),
    /// It was, and this is wrong.
    Refused(String),
}

impl From<RuleError> for Bad {
    fn from(error: RuleError) -> Self {
        Self::Rule(error)
    }
}

impl Kind {
    /// The kind that a signature's first line names.
    pub(super) fn of(signature: &[u8]) -> Option<Self> {
        let kinds: [(&[u8], Self); 4] = [
            (b"-----BEGIN SSH SIGNATURE-----", Self::Ssh),
            (b"-----BEGIN PGP SIGNATURE-----", Self::OpenPgp),
            (b"-----BEGIN PGP MESSAGE-----", Self::OpenPgp),
            (b"-----BEGIN SIGNED MESSAGE-----", Self::X509),
        ];
        kinds.into_iter().find(|(begin, _)| signature.starts_with(begin)).map(|(_, kind)| kind)
    }
}

/// Verifies; returns who signed, for people.
pub(super) fn verify(signed: &Signed, signers: &Signers) -> Result<String, Bad> {
    let lacks = |what: &str, key: &str| Bad::Refused(format!("it is signed with an {what} key, and {key} is not set"));
    match Kind::of(&signed.signature) {
        Some(Kind::Ssh) => ssh::verify(signed, signers.ssh.as_deref().ok_or_else(|| lacks("SSH", SIGNERS))?),
        Some(Kind::OpenPgp) => {
            openpgp::verify(signed, signers.openpgp.as_deref().ok_or_else(|| lacks("OpenPGP", KEYRING))?)
        }
        Some(Kind::X509) => Err(Bad::Refused("its signature is X.509, which is not verified here".to_owned())),
        None => Err(Bad::Refused("its signature is of no known kind".to_owned())),
    }
}
