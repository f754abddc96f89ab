//! Names that are used to build file names, unit names and messages: each can only be had through its check.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that may not be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {given:?} {problem}")]
pub struct NameError {
    /// What the name was meant to be, for example `module name`.
    pub kind: &'static str,
    /// The text as given, cut to 80 characters.
    pub given: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                match $check(text) {
                    None => Ok(Self(text.to_owned())),
                    Some(problem) => {
                        Err(NameError { kind: $kind, given: text.chars().take(80).collect(), problem })
                    }
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

checked_name! {
    /// The name of an update module, which is also the name of its folder: 1 to 64 of `A-Z a-z 0-9 _ . -`, beginning
    /// with a letter, a digit or `_`. It can hold neither a slash nor `..`.
    ModuleName, "module name", module_problem
}

checked_name! {
    /// The name of a sandbox profile, which is also the stem of its file; the same characters as a [`ModuleName`].
    ProfileName, "profile name", module_problem
}

checked_name! {
    /// The identifier of one run: `YYYYMMDDTHHMMSSZ-xxxx`, so that names sort by time. Only letters, digits and `-`.
    RunId, "run id", run_problem
}

checked_name! {
    /// A systemd unit name as `systemctl` takes it, with or without `.service`; see systemd.unit(5).
    UnitName, "unit name", unit_problem
}

fn module_problem(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("is empty");
    }
    if text.len() > 64 {
        return Some("is longer than 64 characters");
    }
    if text.contains("..") {
        return Some("contains \"..\"");
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')) {
        return Some("may hold only letters, digits, '_', '.' and '-'");
    }
    if text.starts_with(['.', '-']) {
        return Some("must begin with a letter, a digit or '_'");
    }
    None
}

fn run_problem(text: &str) -> Option<&'static str> {
    if text.is_empty() || text.len() > 40 {
        return Some("must have 1 to 40 characters");
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') || text.starts_with('-') {
        return Some("may hold only letters, digits and '-'");
    }
    None
}

fn unit_problem(text: &str) -> Option<&'static str> {
    if text.is_empty() || text.len() > 255 {
        return Some("must have 1 to 255 characters");
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-' | b'_' | b'.' | b'\\' | b'@')) {
        return Some("may hold only letters, digits and ':-_.\\@'");
    }
    if text.starts_with(['-', '.']) {
        return Some("must not begin with '-' or '.'");
    }
    None
}

impl UnitName {
    /// The full unit name: `nginx` becomes `nginx.service`, `backup.timer` stays.
    pub fn with_suffix(&self) -> String {
        const SUFFIXES: [&str; 8] =
            [".service", ".socket", ".timer", ".target", ".path", ".mount", ".slice", ".automount"];
        if SUFFIXES.iter().any(|suffix| self.0.ends_with(suffix)) {
            self.0.clone()
        } else {
            format!("{}.service", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // faults: 34
    #[test]
    fn module_names_cannot_leave_their_folder() {
        for bad in ["", "..", "../x", "a/b", "a..b", ".hidden", "-rf", "a b", "a\0", "ä", "a\n"] {
            assert!(bad.parse::<ModuleName>().is_err(), "{bad:?} was taken");
        }
        for good in ["adblock", "my-module", "x86_64", "v1.2", "_private", "A"] {
            assert_eq!(good.parse::<ModuleName>().unwrap().as_str(), good);
        }
        assert!("x".repeat(65).parse::<ModuleName>().is_err());
    }

    #[test]
    fn a_name_read_by_serde_is_checked() {
        assert!(serde_json::from_str::<ModuleName>("\"../etc\"").is_err());
        assert!(serde_json::from_str::<ModuleName>("\"etc\"").is_ok());
    }

    #[test]
    fn a_unit_without_suffix_is_a_service() {
        assert_eq!("nginx".parse::<UnitName>().unwrap().with_suffix(), "nginx.service");
        assert_eq!("a@b.timer".parse::<UnitName>().unwrap().with_suffix(), "a@b.timer");
        assert!("--now".parse::<UnitName>().is_err());
        assert!("a b".parse::<UnitName>().is_err());
    }
}
