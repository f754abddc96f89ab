//! SSH signatures, verified by ssh-keygen(1) in the way that git does it: who could have signed, then whether they did.
//!
//! The time that counts is now, never the one that a commit claims: whoever holds an expired key can write any date.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::RuleError;
use super::rule::SIGNERS;
use super::signature::Bad;
use super::signed::Signed;
use crate::fs::{IoContext, PathError};
use crate::source::call::{Answer, CallError, call};

const PROGRAM: &str = "ssh-keygen";
const TIMEOUT: Duration = Duration::from_secs(30);
/// The most principals that are tried for one key.
const PRINCIPALS: usize = 64;

/// A folder for one verification, readable by its owner alone and gone with the value.
pub(super) struct Workplace(tempfile::TempDir);

impl Workplace {
    pub(super) fn new() -> Result<Self, PathError> {
        let temporary = std::env::temp_dir();
        let made = tempfile::Builder::new().prefix("updates-verify-").tempdir_in(&temporary);
        made.map(Self).at("create a folder in", &temporary)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn file(&self, name: &str, content: &[u8]) -> Result<PathBuf, PathError> {
        use std::io::Write;
        let path = self.0.path().join(name);
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).at("create", &path)?;
        file.write_all(content).at("write", &path)?;
        Ok(path)
    }
}

/// Whether ssh-keygen can be called and knows how to verify.
pub(super) fn probe() -> Result<(), RuleError> {
    let work = Workplace::new()?;
    let answer = keygen(&work, &["-Y".as_ref(), "verify".as_ref()], b"")?;
    if String::from_utf8_lossy(&answer.stderr).contains("illegal option") {
        return Err(unusable("it is older than OpenSSH 8.0".to_owned()));
    }
    Ok(())
}

pub(super) fn verify(signed: &Signed, allowed: &Path) -> Result<String, Bad> {
    let work = Workplace::new().map_err(RuleError::from)?;
    let signature = work.file("signature", &signed.signature).map_err(RuleError::from)?;
    let (allowed, signature) = (allowed.as_os_str(), signature.as_os_str());
    let find = ["-Y", "find-principals", "-f"].map(OsStr::new);
    let found = keygen(&work, &[&find[..], &[allowed, "-s".as_ref(), signature]].concat(), b"")?;
    let mut complaint = words(&found);
    if found.success {
        let principals = String::from_utf8_lossy(&found.stdout).into_owned();
        for principal in principals.lines().filter(|line| !line.is_empty()).take(PRINCIPALS) {
            let verify = ["-Y", "verify", "-n", "git", "-I", principal, "-f"].map(OsStr::new);
            let answer = keygen(&work, &[&verify[..], &[allowed, "-s".as_ref(), signature]].concat(), &signed.payload)?;
            if answer.success {
                return Ok(signer(&answer, principal));
            }
            complaint = words(&answer);
        }
    }
    Err(Bad::Refused(reason(&work, signed, signature, &complaint)?))
}

// Why nobody who is allowed has signed this: the content, the key, or the key's time or purpose.
fn reason(work: &Workplace, signed: &Signed, signature: &OsStr, complaint: &str) -> Result<String, RuleError> {
    let check = ["-Y", "check-novalidate", "-n", "git", "-s"].map(OsStr::new);
    let answer = keygen(work, &[&check[..], &[signature]].concat(), &signed.payload)?;
    if !answer.success {
        return Ok("its SSH signature does not fit its content, or was not made for git".to_owned());
    }
    let key = match String::from_utf8_lossy(&answer.stdout).split(" with ").nth(1) {
        Some(key) => key.trim().chars().filter(|c| !c.is_control()).take(200).collect(),
        None => "an SSH key".to_owned(),
    };
    Ok(if complaint.contains("has expired") {
        format!("{key} has expired in {SIGNERS}; extend its valid-before there, or sign again with another")
    } else if complaint.contains("not yet valid") {
        format!("{key} is not valid yet by its valid-after in {SIGNERS}")
    } else if complaint.contains("not permitted for use in signature namespace") {
        format!("{key} is not allowed to sign for git by its namespaces in {SIGNERS}")
    } else {
        format!("{key} is not in {SIGNERS}; add it there if you trust its owner")
    })
}

// `Good "git" signature for NAME with TYPE key FINGERPRINT`
fn signer(answer: &Answer, principal: &str) -> String {
    let text = String::from_utf8_lossy(&answer.stdout);
    let fingerprint = text.split_whitespace().find(|word| word.starts_with("SHA256:")).unwrap_or("an SSH key");
    format!("{principal} ({fingerprint})").chars().filter(|c| !c.is_control()).take(300).collect()
}

fn words(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.stderr).into_owned()
}

fn keygen(work: &Workplace, arguments: &[&OsStr], input: &[u8]) -> Result<Answer, RuleError> {
    call(Path::new(PROGRAM), arguments, input, work.path(), TIMEOUT)
        .map_err(|error: CallError| unusable(error.to_string()))
}

fn unusable(reason: String) -> RuleError {
    RuleError::Program { key: SIGNERS, program: PROGRAM, package: "openssh-client", reason }
}
