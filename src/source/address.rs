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
    /// How the server is known, and who asks.
    pub access: Access,
    /// How long connecting may take, and how long the server may keep silent afterwards.
    pub timeout: Duration,
    /// What of it may be installed.
    pub trust: Trust,
    /// Whether a head that does not continue the one that was accepted last is accepted as well.
    pub allow_non_fast_forward: bool,
}

/// How an ssh server is known, and what tells an http server who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The only file of host keys that counts, as sshd(8) describes it; ssh's own ones when absent.
    pub known_hosts: Option<PathBuf>,
    /// URLs with user and password, as git-credential-store(1) keeps them.
    pub credentials: Option<PathBuf>,
    /// A program that is asked as gitcredentials(7) tells.
    pub credential_helper: Option<PathBuf>,
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

    /// What makes this source the same one whoever asks for it: without user, password, and endings that git adds itself.
    pub(super) fn identity(&self) -> String {
        let text = match self.userinfo() {
            Some((scheme, _, rest)) => format!("{scheme}{rest}"),
            None => self.full.strip_prefix("file://").unwrap_or(&self.full).to_owned(),
        };
        let text = text.trim_end_matches('/');
        text.strip_suffix(".git").unwrap_or(text).to_owned()
    }

    /// Whether a user name or password is written in it.
    pub(super) fn has_userinfo(&self) -> bool {
        self.userinfo().is_some()
    }

    /// Whether a password is written in it.
    pub(super) fn has_password(&self) -> bool {
        self.userinfo().is_some_and(|(_, userinfo, _)| userinfo.contains(':'))
    }

    /// Whether `url` is of the same server: scheme, host and port.
    pub(super) fn is_same_server(&self, url: &str) -> bool {
        let server = |url: &str| -> Option<(String, String)> {
            let (scheme, rest) = url.split_once("://")?;
            let authority = rest.split('/').next()?;
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
            let default = if scheme == "https" { ":443" } else { ":80" };
            Some((scheme.to_owned(), host.strip_suffix(default).map_or(host.clone(), str::to_owned)))
        };
        server(&self.full).is_some_and(|own| server(url) == Some(own))
    }

    /// The host and port that ssh connects to.
    pub(super) fn ssh_host(&self) -> Option<(String, u16)> {
        let authority = match self.full.strip_prefix("ssh://") {
            Some(rest) => rest.split('/').next()?,
            // libgit2 takes [host:port]:path as well.
            None if self.full.contains("://") => return None,
            None => match self.full.split_once(']') {
                Some((bracketed, _)) if bracketed.contains('[') => {
                    let (user, host) = bracketed.split_once('[')?;
                    return Self::host_and_port(if host.matches(':').count() == 1 { host } else { bracketed })
                        .filter(|_| user.is_empty() || user.ends_with('@'));
                }
                _ => self.scp_host()?,
            },
        };
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        Self::host_and_port(authority)
    }

    fn host_and_port(authority: &str) -> Option<(String, u16)> {
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map(|(host, rest)| (host, rest.strip_prefix(':')))?,
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = port.filter(|port| !port.is_empty()).map_or(Ok(22), str::parse).ok()?;
        (!host.is_empty()).then(|| (host.to_ascii_lowercase(), port))
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
    fn a_source_is_the_same_one_whoever_asks_for_it() {
        let identity = |url: &str| SourceUrl::new(url).unwrap().identity();
        assert_eq!(identity("https://me:old@example.org/x.git"), identity("https://new@example.org/x/"));
        assert_eq!(identity("file:///srv/x"), identity("/srv/x.git"));
        assert_ne!(identity("https://example.org/x"), identity("https://example.org/y"));
    }

    #[test]
    fn the_host_of_ssh_is_found_in_each_way_of_writing_it() {
        for (url, host) in [
            ("ssh://git@Example.org/x", Some(("example.org", 22))),
            ("ssh://git@example.org:2222/x", Some(("example.org", 2222))),
            ("ssh://[::1]:2222/x", Some(("::1", 2222))),
            ("git@example.org:x.git", Some(("example.org", 22))),
            ("git@[example.org:2222]:x.git", Some(("example.org", 2222))),
            ("https://example.org/x", None),
            ("/srv/x", None),
        ] {
            let expected = host.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(SourceUrl::new(url).unwrap().ssh_host(), expected, "{url}");
        }
    }

    #[test]
    fn a_path_is_local_with_and_without_scheme() {
        assert_eq!(SourceUrl::new("file:///srv/x").unwrap().local_path(), Some(Path::new("/srv/x")));
        assert_eq!(SourceUrl::new("/srv/x").unwrap().local_path(), Some(Path::new("/srv/x")));
        assert_eq!(SourceUrl::new("https://example.org/x").unwrap().local_path(), None);
    }
}
