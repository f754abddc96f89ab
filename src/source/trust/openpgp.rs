//! OpenPGP signatures, verified by gpgv(1), which needs neither an agent nor a home, and asks no network.
//!
//! Its exit code does not count, since it is 0 for an expired key too. What counts are its status lines (GnuPG's
//! doc/DETAILS): exactly one signature, good, with a key that is neither expired nor revoked, over a digest that holds.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use super::RuleError;
use super::rule::KEYRING;
use super::signature::Bad;
use super::signed::Signed;
use super::ssh::Workplace;
use crate::source::call::{Answer, call};

const PROGRAM: &str = "gpgv";
const TIMEOUT: Duration = Duration::from_secs(30);
const STATUS: &str = "[GNUPG:] ";
/// Digests that collisions can be made for (RFC 9580, 9.5): MD5, SHA-1, RIPEMD-160.
const WEAK: [&str; 3] = ["1", "2", "3"];

/// Whether gpgv can be called.
pub(super) fn probe() -> Result<(), RuleError> {
    let work = Workplace::new()?;
    gpgv(&work, &["--version".as_ref()]).map(|_| ())
}

pub(super) fn verify(signed: &Signed, keyring: &[u8]) -> Result<String, Bad> {
    let work = Workplace::new().map_err(RuleError::from)?;
    let file = |name, content: &[u8]| work.file(name, content).map_err(RuleError::from);
    let (keyring, signature, payload) =
        (file("keyring.gpg", keyring)?, file("signature", &signed.signature)?, file("payload", &signed.payload)?);
    let options = ["--status-fd", "1", "--keyring"].map(OsStr::new);
    let files = [keyring.as_os_str(), "--".as_ref(), signature.as_os_str(), payload.as_os_str()];
    let answer = gpgv(&work, &[&options[..], &files].concat())?;
    judge(&String::from_utf8_lossy(&answer.stdout)).map_err(Bad::Refused)
}

fn gpgv(work: &Workplace, arguments: &[&OsStr]) -> Result<Answer, RuleError> {
    let arguments = [&["--homedir".as_ref(), work.path().as_os_str()], arguments].concat();
    call(Path::new(PROGRAM), &arguments, b"", work.path(), TIMEOUT).map_err(|error| RuleError::Program {
        key: KEYRING,
        program: PROGRAM,
        package: "gpgv",
        reason: error.to_string(),
    })
}

/// Who signed, by the status lines, or why that does not count.
fn judge(output: &str) -> Result<String, String> {
    let mut good: Option<(String, String)> = None;
    let mut valid: Option<Vec<&str>> = None;
    let mut missing = None;
    let mut signatures = 0;
    let mut bad = None;
    for line in output.lines().filter_map(|line| line.strip_prefix(STATUS)) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (key, user) = rest.split_once(' ').unwrap_or((rest, ""));
        let named = || format!("the OpenPGP key {key} ({})", plain(user));
        let verdict = match word {
            "NEWSIG" => None,
            "GOODSIG" => {
                good = Some((key.to_owned(), plain(user)));
                Some(None)
            }
            "VALIDSIG" => {
                valid = Some(rest.split(' ').collect());
                None
            }
            "EXPKEYSIG" => Some(Some(format!("{} has expired; extend it in {KEYRING}, or sign with another", named()))),
            "EXPSIG" => Some(Some(format!("its signature by {} has expired", named()))),
            "REVKEYSIG" => Some(Some(format!("{} was revoked", named()))),
            "BADSIG" => Some(Some(format!("its signature by {} does not fit its content", named()))),
            "ERRSIG" => Some(Some(format!("its OpenPGP signature by the key {} can't be verified", plain(key)))),
            "NO_PUBKEY" => {
                missing = Some(plain(key));
                None
            }
            _ => None,
        };
        if let Some(refusal) = verdict {
            signatures += 1;
            bad = bad.or(refusal);
        }
    }
    if let Some(key) = missing {
        return Err(format!("the OpenPGP key {key} is not in {KEYRING}; add it there if you trust its owner"));
    }
    if let Some(bad) = bad {
        return Err(bad);
    }
    let (Some((key, user)), Some(valid)) = (good, valid) else {
        return Err("its OpenPGP signature is damaged".to_owned());
    };
    if signatures > 1 || output.lines().filter(|line| line.starts_with("[GNUPG:] NEWSIG")).count() > 1 {
        return Err("it has several OpenPGP signatures, and one is expected".to_owned());
    }
    // VALIDSIG: fingerprint, date, time, expiry, version, reserved, key algorithm, digest, class, primary fingerprint.
    let field = |index: usize| valid.get(index).copied().unwrap_or_default();
    if !field(0).ends_with(&key) || key.is_empty() {
        return Err("gpgv speaks of two keys for one signature".to_owned());
    }
    if WEAK.contains(&field(7)) {
        return Err(
            "its OpenPGP signature is over a digest that can be forged (MD5, SHA-1 or RIPEMD-160); sign again".into()
        );
    }
    if !matches!(field(8), "00" | "01") {
        return Err("its OpenPGP signature is not one over a document".to_owned());
    }
    Ok(format!("{user} ({})", plain(field(0))))
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "1C99E491C83B30F4CA3EB0DFA8E147CA594900E0";

    fn lines(lines: &[&str]) -> String {
        lines.iter().map(|line| format!("{STATUS}{line}\n")).collect()
    }

    fn valid(digest: &str, class: &str) -> String {
        format!("VALIDSIG {KEY} 2026-11-22 1795348304 0 4 0 22 {digest} {class} {KEY}")
    }

    #[test]
    fn one_good_signature_counts() {
        let text = lines(&["NEWSIG a@x", "GOODSIG A8E147CA594900E0 A <a@x>", &valid("8", "00")]);
        assert_eq!(judge(&text).unwrap(), format!("A <a@x> ({KEY})"));
    }

    #[test]
    fn everything_else_does_not() {
        let good = "GOODSIG A8E147CA594900E0 A <a@x>";
        let ok = valid("8", "00");
        for (words, text) in [
            ("has expired", lines(&["NEWSIG", "EXPKEYSIG A8E147CA594900E0 A", &ok])),
            ("signature by", lines(&["NEWSIG", "EXPSIG A8E147CA594900E0 A", &ok])),
            ("was revoked", lines(&["NEWSIG", "REVKEYSIG A8E147CA594900E0 A", &ok])),
            ("does not fit", lines(&["NEWSIG", "BADSIG A8E147CA594900E0 A"])),
            ("is not in", lines(&["NEWSIG", "ERRSIG A8E147CA594900E0 22 8 00 1 9 -", "NO_PUBKEY A8E147CA594900E0"])),
            ("several", lines(&["NEWSIG", good, &ok, "NEWSIG", good, &ok])),
            ("was revoked", lines(&["NEWSIG", good, &ok, "NEWSIG", "REVKEYSIG BB A", &ok])),
            ("several", lines(&["NEWSIG", good, &ok, "NEWSIG"])),
            ("can be forged", lines(&["NEWSIG", good, &valid("2", "00")])),
            ("not one over", lines(&["NEWSIG", good, &valid("8", "10")])),
            ("two keys", lines(&["NEWSIG", "GOODSIG BBBBBBBBBBBBBBBB A", &ok])),
            ("damaged", lines(&["NEWSIG", good])),
            ("damaged", lines(&[&ok])),
            ("damaged", String::new()),
            ("damaged", format!("gpgv: {STATUS}{good}\n x{STATUS}{ok}\n")),
        ] {
            let refused = judge(&text).unwrap_err();
            assert!(refused.contains(words), "{text}\n{refused}");
        }
    }
}
