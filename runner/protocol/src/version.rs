//! The `schema_version` of a module: one to three numbers with an optional pre-release, ordered by Semantic Versioning
//! 2.0.0 (semver.org). `1` means `1.0.0`, `1.2` means `1.2.0`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version that can be compared; prints as it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SchemaVersion {
    text: String,
    parsed: semver::Version,
}

/// A text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a version: write one to three numbers, such as \"1.2.0\" or \"1.2.0-rc.1\"")]
pub struct VersionError {
    /// The text as given, cut to 80 characters.
    pub given: String,
}

impl FromStr for SchemaVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError { given: text.chars().take(80).collect() };
        if text.len() > 128 {
            return Err(error());
        }
        let core_end = text.find(['-', '+']).unwrap_or(text.len());
        let (core, rest) = text.split_at(core_end);
        let full = match core.split('.').count() {
            1 => format!("{core}.0.0{rest}"),
            2 => format!("{core}.0{rest}"),
            _ => text.to_owned(),
        };
        let parsed = semver::Version::parse(&full).map_err(|_| error())?;
        Ok(Self { text: text.to_owned(), parsed })
    }
}

impl SchemaVersion {
    /// What follows a `+`, without it; empty where there is none. It has no part in which version is newer.
    pub fn build(&self) -> &str {
        self.parsed.build.as_str()
    }
}

impl TryFrom<String> for SchemaVersion {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<SchemaVersion> for String {
    fn from(version: SchemaVersion) -> String {
        version.text
    }
}

impl fmt::Display for SchemaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Ord for SchemaVersion {
    // Build metadata is left out: semver.org, item 10, gives it no part in precedence.
    fn cmp(&self, other: &Self) -> Ordering {
        self.parsed.cmp_precedence(&other.parsed)
    }
}

impl PartialOrd for SchemaVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SchemaVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for SchemaVersion {}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> SchemaVersion {
        text.parse().unwrap()
    }

    #[test]
    fn short_versions_are_filled_with_zeros() {
        assert_eq!(version("1"), version("1.0.0"));
        assert_eq!(version("1.2"), version("1.2.0"));
        assert_eq!(version("1-rc.1"), version("1.0.0-rc.1"));
        assert_eq!(version("1.2").to_string(), "1.2");
    }

    #[test]
    fn order_follows_semver() {
        let sorted = ["1.2.3-alpha", "1.2.3-rc.1", "1.2.3-rc.2", "1.2.3-rc.10", "1.2.3", "1.2.10", "1.10", "2"];
        for pair in sorted.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{} is not below {}", pair[0], pair[1]);
        }
        assert_eq!(version("1.0.0+a"), version("1.0.0+b"));
    }

    #[test]
    fn what_is_no_version_is_an_error_that_says_so() {
        for bad in ["", "unknown", "v1.0.0", "1.2.3.4", "1..2", "01.0.0", "1.0.0-", " 1", "-1", "1.0.0 "] {
            let error = bad.parse::<SchemaVersion>().unwrap_err();
            assert!(error.to_string().contains("is not a version"), "{bad}");
        }
        assert!("9".repeat(200).parse::<SchemaVersion>().is_err());
    }
}
