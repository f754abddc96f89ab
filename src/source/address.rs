//! Where the source is: a URL or path that is checked once, and never printed with the password in it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Trust;
use crate::fs::sha256;

/// What is fetched, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// Where from.
    pub url: SourceUrl,
    /// Which branch; the name without `refs/heads/`.
    pub branch: String,
    /// The private key for ssh URLs; the agent is asked when absent.
    pub ssh_key: Option<PathBuf>,
    /// How long connecting may take, and how long the server may keep silent afterwards.
    pub timeout: Duration,
    /// What of it may be installed.
    pub trust: Trust,
}

/// A git URL (http, https, ssh, git, file), an scp-like `user@host:path`, or an absolute path on this machine.
///
/// Prints and debugs without its password; over http without its user name too, since tokens are written there.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl {
    full: String,
}

/// A text that is no [`SourceUrl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing was given.
    #[error("the source is empty; give a git URL or an absolute path")]
    Empty,
    /// A character that no URL holds.
    #[error("the source holds a control character or begins with '-'")]
    Characters,
    /// A scheme that is not spoken.
    #[error("the source's scheme {0:?} is not known; use http, https, ssh, git, file, or an absolute path")]
    Scheme(String),
    /// A relative path.
    #[error("the source {0:?} is neither a git URL nor an absolute path")]
    Relative(String),
}

impl SourceUrl {
    /// Checks `text`.
    pub fn new(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.starts_with('-') || text.chars().any(char::is_control) {
            return Err(AddressError::Characters);
        }
        let url = Self { full: text.to_owned() };
        match text.split_once("://") {
            Some(("http" | "https" | "ssh" | "git" | "file", _)) => Ok(url),
            Some((scheme, _)) => Err(AddressError::Scheme(scheme.chars().take(20).collect())),
            None if text.starts_with('/') || url.scp_host().is_some() => Ok(url),
            None => Err(AddressError::Relative(text.chars().take(80).collect())),
        }
    }

    /// The path, when the source is on this machine.
    pub fn local_path(&self) -> Option<&Path> {
        let path = self.full.strip_prefix("file://").unwrap_or(&self.full);
        path.starts_with('/').then(|| Path::new(path))
    }

    /// The whole text, password included: for the transport only.
    pub(super) fn reveal(&self) -> &str {
        &self.full
    }

    /// A name for this source that is the same whenever the URL is, and can be part of a reference.
    pub(super) fn key(&self) -> String {
        sha256(self.full.as_bytes())[..16].to_owned()
    }

    /// `message` without anything secret of this URL, for errors that libraries word with the URL in them.
    pub(super) fn mask(&self, message: &str) -> String {
        let mut masked = message.replace(&self.full, &self.to_string());
        if let Some((_, userinfo, _)) = self.userinfo() {
            for secret in std::iter::once(userinfo).chain(userinfo.split_once(':').map(|(_, password)| password)) {
                // A one-letter password would turn the message into stars.
                if secret.len() > 3 && (userinfo.contains(':') || self.is_http()) {
                    masked = masked.replace(secret, "***");
                }
            }
        }
        masked
    }

    /// Whether the server proves itself by a certificate.
    pub(super) fn is_encrypted(&self) -> bool {
        self.full.starts_with("https://")
    }

    fn is_http(&self) -> bool {
        self.full.starts_with("http")
    }

    // Scheme with "://", user information, and the rest from the host on.
    fn userinfo(&self) -> Option<(&str, &str, &str)> {
        let start = self.full.find("://")? + 3;
        let authority_end = self.full[start..].find('/').map_or(self.full.len(), |at| start + at);
        let at = start + self.full[start..authority_end].rfind('@')?;
        Some((&self.full[..start], &self.full[start..at], &self.full[at + 1..]))
    }

    // The host of `user@host:path`, as scp writes it.
    fn scp_host(&self) -> Option<&str> {
        let (host, path) = self.full.split_once(':')?;
        // git's `helper::address` runs a program of that name; libgit2 would not, and neither is it a host.
        let plain = !host.is_empty() && !host.contains('/') && !host.contains(char::is_whitespace);
        (plain && !path.is_empty() && !path.starts_with(':')).then_some(host)
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.userinfo() {
            None => f.write_str(&self.full),
            Some((scheme, _, rest)) if self.is_http() => write!(f, "{scheme}***@{rest}"),
            Some((scheme, userinfo, rest)) => match userinfo.split_once(':') {
                Some((user, _)) => write!(f, "{scheme}{user}:***@{rest}"),
                None => write!(f, "{scheme}{userinfo}@{rest}"),
            },
        }
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_tokens_are_never_printed() {
        for (given, printed) in [
            ("https://me:s3cret@example.org/x.git", "https://***@example.org/x.git"),
            ("https://token@example.org/x.git", "https://***@example.org/x.git"),
            ("https://me:p@ss@example.org/a@b", "https://***@example.org/a@b"),
            ("ssh://git:s3cret@example.org:22/x", "ssh://git:***@example.org:22/x"),
            ("ssh://git@example.org/x", "ssh://git@example.org/x"),
            ("git@example.org:x.git", "git@example.org:x.git"),
            ("/srv/x.git", "/srv/x.git"),
        ] {
            let url = SourceUrl::new(given).unwrap();
            assert_eq!(url.to_string(), printed);
            assert_eq!(format!("{url:?}"), format!("SourceUrl({printed})"));
        }
    }

    #[test]
    fn a_message_that_quotes_the_url_loses_its_password() {
        let url = SourceUrl::new("https://me:s3cret@example.org/x").unwrap();
        let message = url.mask("failed for https://me:s3cret@example.org/x with me:s3cret and s3cret");
        assert_eq!(message, "failed for https://***@example.org/x with *** and ***");
    }

    #[test]
    fn what_is_no_source_is_refused() {
        for bad in ["", "-x", "x/y", "ext::sh -c true", "ext://x", "a\nb", "../x", ":x"] {
            assert!(SourceUrl::new(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_path_is_local_with_and_without_scheme() {
        assert_eq!(SourceUrl::new("file:///srv/x").unwrap().local_path(), Some(Path::new("/srv/x")));
        assert_eq!(SourceUrl::new("/srv/x").unwrap().local_path(), Some(Path::new("/srv/x")));
        assert_eq!(SourceUrl::new("https://example.org/x").unwrap().local_path(), None);
    }
}
