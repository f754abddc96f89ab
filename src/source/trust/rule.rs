//! The rule that the settings make: what must be signed, and by whom; and whether its files can be relied on.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::RuleError;
use super::armor::keys;
use crate::config::Verify;
use crate::fs::IoContext;

pub(super) const SIGNERS: &str = "source.allowed_signers";
pub(super) const KEYRING: &str = "source.keyring";

/// The most that a file of signers may have, in bytes.
const LARGEST: u64 = 16 << 20;

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

/// The files of a rule, read and found to be such that they can be relied on.
pub(super) struct Signers {
    /// The file of SSH keys.
    pub ssh: Option<PathBuf>,
    /// The OpenPGP keys, as gpgv(1) reads them.
    pub openpgp: Option<Vec<u8>>,
}

impl Trust {
    /// Whether signatures could be verified by this rule now: its files and the programs that it needs.
    pub fn check(&self) -> Result<(), RuleError> {
        if self.verify == Verify::None {
            return Ok(());
        }
        let signers = self.signers()?;
        if signers.ssh.is_some() {
            super::ssh::probe()?;
        }
        if signers.openpgp.is_some() {
            super::openpgp::probe()?;
        }
        Ok(())
    }

    /// Reads the files; a rule that nobody could fulfil is an error, and so is a file that anybody may have written.
    pub(super) fn signers(&self) -> Result<Signers, RuleError> {
        if self.allowed_signers.is_none() && self.keyring.is_none() {
            return Err(RuleError::Nobody);
        }
        let ssh = self.allowed_signers.as_deref().map(allowed_signers).transpose()?;
        let openpgp = self.keyring.as_deref().map(keyring).transpose()?;
        Ok(Signers { ssh, openpgp })
    }
}

fn allowed_signers(path: &Path) -> Result<PathBuf, RuleError> {
    let content = read(SIGNERS, path)?;
    let names_somebody = content
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .any(|line| !line.is_empty() && !line.starts_with(b"#"));
    if names_somebody {
        Ok(path.to_owned())
    } else {
        Err(problem(SIGNERS, path, "names nobody; see ssh-keygen(1), ALLOWED SIGNERS"))
    }
}

fn keyring(path: &Path) -> Result<Vec<u8>, RuleError> {
    keys(read(KEYRING, path)?).map_err(|words| problem(KEYRING, path, words))
}

fn problem(key: &'static str, file: &Path, problem: impl Into<String>) -> RuleError {
    RuleError::Content { key, file: file.to_owned(), problem: problem.into() }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, RuleError> {
    let unreadable = |source| RuleError::File { key, source };
    // A pipe would block, and anybody may write into one.
    let metadata = std::fs::metadata(path).at("read", path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(problem(key, path, "is not a regular file"));
    }
    let mut content = Vec::new();
    let read = File::open(path).and_then(|file| {
        let metadata = file.metadata()?;
        file.take(LARGEST + 1).read_to_end(&mut content)?;
        Ok::<_, io::Error>(metadata)
    });
    let metadata = read.at("read", path).map_err(unreadable)?;
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(problem(key, path, format!("belongs to user {owner}, who could let anybody sign; chown root it")));
    }
    if metadata.mode() & 0o002 != 0 || (metadata.mode() & 0o020 != 0 && metadata.gid() != 0) {
        return Err(problem(key, path, "can be written by others, who could let anybody sign; chmod go-w it"));
    }
    if content.len() as u64 > LARGEST {
        return Err(problem(key, path, format!("has more than {LARGEST} bytes")));
    }
    Ok(content)
}
