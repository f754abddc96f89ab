//! What is said to libgit2 during one fetch: who asks, whether the server is the one that is known, and when to stop.
//!
//! libgit2's own words for what its callbacks refused are of no use; so the first refusal is kept, and is the error.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::Path;

use git2::cert::Cert;
use git2::{CertificateCheckStatus, Cred, CredentialType, ErrorClass, ErrorCode, RemoteCallbacks};

use super::credentials::{self, Login};
use super::known_hosts::KnownHost;
use super::verify::speaks_of_damage;
use super::{FetchError, SourceConfig, Transfer, mirror, options};
use crate::fs::IoContext;

/// The most bytes that one fetch takes.
pub const MAX_TRANSFER: u64 = 2 << 30;
/// The most objects that one fetch takes; each costs memory while they are indexed.
const MAX_OBJECTS: usize = 5_000_000;

/// Why one attempt failed: the source or the network, or the mirror itself.
pub(super) enum Failure {
    Source(FetchError),
    Damage(git2::Error),
}

/// What both sets of callbacks of one fetch share.
pub(super) struct Talk<'t> {
    config: &'t SourceConfig,
    pub(super) state: RefCell<State<'t>>,
    /// What an ssh server is known by.
    known: Option<KnownHost>,
    /// Where libgit2 finds the same, for as long as the talk lasts; the folder goes after its use.
    _home: Option<(options::Home, tempfile::TempDir)>,
}

pub(super) struct State<'t> {
    progress: &'t mut dyn FnMut(Transfer) -> ControlFlow<()>,
    pub(super) last: Transfer,
    stop: Option<Stop>,
    tried: bool,
}

enum Stop {
    Asked,
    TooLarge(String),
    /// The server is not the one that is known.
    Stranger(String),
    /// The source's credentials can't be used.
    NoLogin(String),
}

impl<'t> Talk<'t> {
    pub(super) fn new(
        config: &'t SourceConfig,
        progress: &'t mut dyn FnMut(Transfer) -> ControlFlow<()>,
    ) -> Result<Self, FetchError> {
        let (known, home) = match config.url.ssh_host() {
            None => (None, None),
            Some((host, port)) => {
                let known = KnownHost::read(&host, port, config.access.known_hosts.as_deref())?;
                let home = show(&known)?;
                (Some(known), Some((options::Home::at(home.path()), home)))
            }
        };
        let state = RefCell::new(State { progress, last: Transfer::default(), stop: None, tried: false });
        Ok(Self { config, state, known, _home: home })
    }
}

// A home whose known_hosts has what is known of this server alone, so that libgit2 asks it for a key of those kinds.
fn show(known: &KnownHost) -> Result<tempfile::TempDir, FetchError> {
    let temporary = std::env::temp_dir();
    let made = tempfile::Builder::new().prefix("updates-ssh-").tempdir_in(&temporary);
    let home = made.at("create a folder in", &temporary)?;
    let folder = home.path().join(".ssh");
    std::fs::create_dir(&folder).at("create", &folder)?;
    let file = folder.join("known_hosts");
    std::fs::write(&file, known.as_file()).at("write", &file)?;
    Ok(home)
}

impl Talk<'_> {
    pub(super) fn callbacks(&self) -> RemoteCallbacks<'_> {
        let mut callbacks = RemoteCallbacks::new();
        callbacks
            .credentials(|url, user, allowed| self.credentials(url, user, allowed))
            .certificate_check(|certificate, _| self.certificate(certificate))
            .transfer_progress(|now| {
                self.heard(Transfer {
                    objects: now.received_objects(),
                    total: now.total_objects(),
                    bytes: now.received_bytes() as u64,
                })
            })
            .sideband_progress(|_| {
                let last = self.state.borrow().last;
                self.heard(last)
            });
        callbacks
    }

    fn heard(&self, now: Transfer) -> bool {
        let mut state = self.state.borrow_mut();
        state.last = now;
        if now.bytes > MAX_TRANSFER {
            state.stop = Some(Stop::TooLarge(format!("{MAX_TRANSFER} bytes")));
        } else if now.total > MAX_OBJECTS {
            state.stop = Some(Stop::TooLarge(format!("{MAX_OBJECTS} objects")));
        } else if (state.progress)(now).is_break() {
            state.stop = Some(Stop::Asked);
        }
        state.stop.is_none()
    }

    // A certificate of TLS is checked by OpenSSL.
    fn certificate(&self, certificate: &Cert<'_>) -> Result<CertificateCheckStatus, git2::Error> {
        let Some(host) = certificate.as_hostkey() else { return Ok(CertificateCheckStatus::CertificatePassthrough) };
        let (Some(known), Some(key)) = (&self.known, host.hostkey()) else {
            return Err(refuse(ErrorCode::Certificate, "the server shows no host key".to_owned()));
        };
        known.check(key).map(|()| CertificateCheckStatus::CertificateOk).map_err(|reason| {
            self.state.borrow_mut().stop = Some(Stop::Stranger(reason.clone()));
            refuse(ErrorCode::Certificate, reason)
        })
    }

    // libgit2 asks again after each refusal, for ever: each thing is offered once.
    fn credentials(&self, url: &str, user: Option<&str>, allowed: CredentialType) -> Result<Cred, git2::Error> {
        let given = if allowed.is_username() {
            Cred::username(user.unwrap_or("git")).map_err(|error| error.message().to_owned())
        } else {
            let tried = std::mem::replace(&mut self.state.borrow_mut().tried, true);
            if allowed.is_ssh_key() {
                self.key(user.unwrap_or("git"), tried)
            } else if allowed.is_user_pass_plaintext() {
                self.login(url, tried)
            } else {
                Err("it takes neither a password nor a key; use another way to it".to_owned())
            }
        };
        given.map_err(|reason| {
            self.state.borrow_mut().stop = Some(Stop::NoLogin(reason.clone()));
            refuse(ErrorCode::Auth, reason)
        })
    }

    fn key(&self, user: &str, tried: bool) -> Result<Cred, String> {
        let words = |error: git2::Error| error.message().to_owned();
        match &self.config.ssh_key {
            Some(key) if tried => {
                Err(format!("the key {} was refused for {user:?}, or needs a passphrase", key.display()))
            }
            Some(key) => {
                credentials::is_private(key)?;
                Cred::ssh_key(user, None, key, None).map_err(words)
            }
            None if tried => Err(format!("no key of the ssh agent was taken for {user:?}; set source.ssh_key")),
            None => Cred::ssh_key_from_agent(user).map_err(|error| format!("{}; set source.ssh_key", words(error))),
        }
    }

    fn login(&self, url: &str, tried: bool) -> Result<Cred, String> {
        let Self { config, .. } = self;
        if tried || config.url.has_password() {
            return Err("the user name and password that are configured were refused".to_owned());
        }
        // After a redirect it is another server that asks.
        if !config.url.is_same_server(url) {
            return Err("it redirects to another server, which asks; set source.url to that address".to_owned());
        }
        match credentials::find(&config.access, &config.url, config.timeout)? {
            Some(Login { user, password }) => {
                Cred::userpass_plaintext(&user, &password).map_err(|error| error.message().to_owned())
            }
            None => Err("set source.credentials or source.credential_helper, or use ssh".to_owned()),
        }
    }

    /// What an error of libgit2 means, given what happened in this talk.
    pub(super) fn failure(&self, mirror: &Path, error: git2::Error) -> Failure {
        if let Some(stop) = self.state.borrow_mut().stop.take() {
            let url = self.config.url.to_string();
            return Failure::Source(match stop {
                Stop::Asked => FetchError::Cancelled { url },
                Stop::TooLarge(limit) => FetchError::TooLarge { url, limit },
                Stop::Stranger(reason) => FetchError::Untrusted { url, reason },
                Stop::NoLogin(reason) => FetchError::Authentication { url, reason },
            });
        }
        if speaks_of_damage(&error) {
            return Failure::Damage(error);
        }
        let message = error.message();
        // libgit2 has one class for all that the operating system says, about sockets and about files.
        let full =
            ["No space left", "quota exceeded", "Read-only file system"].iter().any(|words| message.contains(words));
        if full || message.contains(&*mirror.to_string_lossy()) {
            return Failure::Source(mirror::unusable(mirror, &error));
        }
        Failure::Source(FetchError::from_remote(&self.config.url, &error))
    }
}

fn refuse(code: ErrorCode, reason: String) -> git2::Error {
    git2::Error::new(code, ErrorClass::Callback, reason)
}
