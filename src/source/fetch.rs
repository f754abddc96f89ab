//! One fetch: connect, see what is there, take what is missing, verify it, and only then call it the head.
//!
//! A mirror that turns out to be damaged is made anew beside and exchanged; the old one stays in place until the new one
//! is whole.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::ControlFlow;

use git2::{AutotagOption, Direction, FetchOptions, FetchPrune, ProxyOptions, RemoteCallbacks, Repository};

use super::heads::{Head, advertised};
use super::mirror::{self, Mirror, References};
use super::verify::{speaks_of_damage, verify};
use super::{FetchError, Revision, SourceConfig, options};

/// The most bytes that one fetch takes.
pub const MAX_TRANSFER: u64 = 2 << 30;

/// How far a transfer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Objects received.
    pub objects: usize,
    /// Objects there will be; 0 while that is not known.
    pub total: usize,
    /// Bytes received.
    pub bytes: u64,
}

/// What a fetch brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The branch's head.
    pub revision: Revision,
    /// What was transferred; nothing when the mirror had everything.
    pub transfer: Transfer,
    /// Why the mirror was made anew, when it was.
    pub rebuilt: Option<String>,
}

/// Why one attempt failed: the source or the network, or the mirror itself.
pub(super) enum Failure {
    Source(FetchError),
    Damage(git2::Error),
}

impl Mirror {
    /// Brings the mirror to the head of the source's branch, taking only what is missing.
    ///
    /// `progress` hears how far it is and may stop it. Whatever happens, [`Mirror::head`] is a revision that was once
    /// fetched whole.
    pub fn fetch(
        &mut self,
        config: &SourceConfig,
        progress: &mut dyn FnMut(Transfer) -> ControlFlow<()>,
    ) -> Result<Fetched, FetchError> {
        if !git2::Reference::is_valid_name(&format!("refs/heads/{}", config.branch)) {
            return Err(FetchError::InvalidBranch(config.branch.clone()));
        }
        look_locally(config)?;
        options::set_timeouts(config.timeout);
        if config.url.is_encrypted() {
            options::trust_certificates().map_err(|error| FetchError::from_remote(&config.url, &error))?;
        }
        let damage = match self.attempt(config, progress) {
            Ok((revision, transfer)) => return Ok(Fetched { revision, transfer, rebuilt: None }),
            Err(Failure::Source(error)) => return Err(error),
            Err(Failure::Damage(error)) => error,
        };
        self.rebuild(config, progress, &damage)
    }

    fn attempt(
        &mut self,
        config: &SourceConfig,
        progress: &mut dyn FnMut(Transfer) -> ControlFlow<()>,
    ) -> Result<(Revision, Transfer), Failure> {
        let references = References::of(config);
        if self.suspect
            && let Ok(head) = self.repository.refname_to_id(&references.head)
        {
            verify(&self.repository, head).map_err(Failure::Damage)?;
        }
        let result = take(&self.repository, &self.path, config, &references, progress)?;
        mirror::trust(&self.path).map_err(|error| Failure::Source(error.into()))?;
        self.suspect = false;
        Ok(result)
    }

    fn rebuild(
        &mut self,
        config: &SourceConfig,
        progress: &mut dyn FnMut(Transfer) -> ControlFlow<()>,
        damage: &git2::Error,
    ) -> Result<Fetched, FetchError> {
        let url = config.url.to_string();
        let beside = mirror::beside(&self.path);
        crate::fs::remove_tree(&beside)?;
        let new = mirror::create(&beside)?;
        let taken = take(&new, &beside, config, &References::of(config), progress);
        drop(new);
        let (revision, transfer) = match taken {
            Ok(taken) => taken,
            Err(failure) => {
                crate::fs::remove_tree(&beside)?;
                return Err(match failure {
                    Failure::Source(error) => error,
                    // A mirror that is new has no old damage: it is the source that is broken.
                    Failure::Damage(error) => FetchError::Broken { url, reason: config.url.mask(error.message()) },
                });
            }
        };
        mirror::trust(&beside)?;
        mirror::put_in_place(&self.path)?;
        self.repository = mirror::open(&self.path).map_err(|error| mirror::unusable(&self.path, &error))?;
        self.suspect = false;
        let rebuilt = Some(format!("the mirror was damaged and was made anew: {}", config.url.mask(damage.message())));
        Ok(Fetched { revision: revision.moved_to(&self.path), transfer, rebuilt })
    }
}

// A source on this machine is looked at first: the transport's words for what is wrong there help nobody.
pub(super) fn look_locally(config: &SourceConfig) -> Result<(), FetchError> {
    let Some(path) = config.url.local_path() else { return Ok(()) };
    let missing = |reason: String| FetchError::NoRepository { url: config.url.to_string(), reason };
    if let Err(error) = std::fs::metadata(path) {
        return Err(missing(format!("{}: {error}", path.display())));
    }
    match Repository::open_ext(path, git2::RepositoryOpenFlags::NO_SEARCH, None::<&std::path::Path>) {
        Ok(_) => Ok(()),
        Err(error) => Err(missing(error.message().to_owned())),
    }
}

fn take(
    repository: &Repository,
    path: &std::path::Path,
    config: &SourceConfig,
    references: &References,
    progress: &mut dyn FnMut(Transfer) -> ControlFlow<()>,
) -> Result<(Revision, Transfer), Failure> {
    let talk = Talk::new(config, progress);
    let failed = |error: git2::Error| talk.failure(path, error);
    let mut remote = repository.remote_anonymous(config.url.reveal()).map_err(&failed)?;
    let mut connection =
        remote.connect_auth(Direction::Fetch, Some(talk.callbacks()), Some(proxy())).map_err(&failed)?;
    let heads = advertised(connection.remote()).map_err(&failed)?;
    let wanted = find_branch(&heads, config).map_err(Failure::Source)?;

    let known = repository.refname_to_id(&references.head).ok() == Some(wanted.id)
        && tags_are_known(repository, references, &heads).map_err(&failed)?;
    if !known {
        mirror::suspect(path).map_err(|error| Failure::Source(error.into()))?;
        let specifications = [
            format!("+refs/heads/{}:{}", config.branch, references.fetched),
            format!("+refs/tags/*:{}*", references.tags),
        ];
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(talk.callbacks())
            .proxy_options(proxy())
            .download_tags(AutotagOption::None)
            .prune(FetchPrune::On)
            // FETCH_HEAD would hold the URL, password included.
            .update_fetchhead(false);
        connection.remote().fetch(&specifications, Some(&mut options), Some("fetch")).map_err(&failed)?;
    }
    drop(connection);
    drop(remote);

    let commit =
        if known { wanted.id } else { repository.refname_to_id(&references.fetched).map_err(Failure::Damage)? };
    let revision = Revision::read(path, repository, commit).map_err(Failure::Damage)?;
    if !known {
        verify(repository, commit).map_err(Failure::Damage)?;
        repository.reference(&references.head, commit, true, "fetch").map_err(Failure::Damage)?;
    }
    Ok((revision, talk.state.into_inner().last))
}

pub(super) fn proxy() -> ProxyOptions<'static> {
    let mut options = ProxyOptions::new();
    options.auto();
    options
}

pub(super) fn find_branch<'h>(heads: &'h [Head], config: &SourceConfig) -> Result<&'h Head, FetchError> {
    let full = format!("refs/heads/{}", config.branch);
    if let Some(head) = heads.iter().find(|head| head.name == full.as_bytes()) {
        return Ok(head);
    }
    let mut branches: Vec<String> = heads
        .iter()
        .filter_map(|head| head.name.strip_prefix(b"refs/heads/"))
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    branches.sort();
    let url = config.url.to_string();
    if branches.is_empty() {
        return Err(FetchError::Empty { url });
    }
    let nearest = branches
        .iter()
        .map(|branch| (strsim::damerau_levenshtein(branch, &config.branch), branch))
        .filter(|(distance, branch)| *distance <= 2.max(branch.len() / 3))
        .min();
    let hint = match nearest {
        Some((_, branch)) => format!("did you mean {branch:?}?"),
        None if branches.len() <= 10 => format!("it has {}", branches.join(", ")),
        None => format!("it has {} and {} more", branches[..10].join(", "), branches.len() - 10),
    };
    Err(FetchError::MissingBranch { url, branch: config.branch.clone(), hint })
}

fn tags_are_known(repository: &Repository, references: &References, heads: &[Head]) -> Result<bool, git2::Error> {
    let mut local = HashSet::new();
    for reference in repository.references_glob(&format!("{}*", references.tags))? {
        let reference = reference?;
        local.insert((reference.name_bytes()[references.tags.len()..].to_vec(), reference.target()));
    }
    let mut advertised = 0;
    for head in heads {
        if let Some(tag) = head.name.strip_prefix(b"refs/tags/") {
            advertised += 1;
            if !local.contains(&(tag.to_vec(), Some(head.id))) {
                return Ok(false);
            }
        }
    }
    Ok(advertised == local.len())
}

/// What both sets of callbacks of one fetch share.
pub(super) struct Talk<'t> {
    config: &'t SourceConfig,
    state: RefCell<State<'t>>,
}

struct State<'t> {
    progress: &'t mut dyn FnMut(Transfer) -> ControlFlow<()>,
    last: Transfer,
    stop: Option<Stop>,
    tried: bool,
}

#[derive(Clone, Copy)]
enum Stop {
    Asked,
    TooLarge,
}

impl<'t> Talk<'t> {
    pub(super) fn new(config: &'t SourceConfig, progress: &'t mut dyn FnMut(Transfer) -> ControlFlow<()>) -> Self {
        Self { config, state: RefCell::new(State { progress, last: Transfer::default(), stop: None, tried: false }) }
    }
}

impl Talk<'_> {
    pub(super) fn callbacks(&self) -> RemoteCallbacks<'_> {
        let mut callbacks = RemoteCallbacks::new();
        callbacks
            .credentials(|_, user, allowed| self.credentials(user, allowed))
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
            state.stop = Some(Stop::TooLarge);
        } else if (state.progress)(now).is_break() {
            state.stop = Some(Stop::Asked);
        }
        state.stop.is_none()
    }

    // libgit2 asks again after each refusal, for ever: each thing is offered once.
    fn credentials(&self, user: Option<&str>, allowed: git2::CredentialType) -> Result<git2::Cred, git2::Error> {
        let refuse = |reason: String| git2::Error::new(git2::ErrorCode::Auth, git2::ErrorClass::Callback, reason);
        let user = user.unwrap_or("git");
        if allowed.is_username() {
            return git2::Cred::username(user);
        }
        let tried = std::mem::replace(&mut self.state.borrow_mut().tried, true);
        if !allowed.is_ssh_key() {
            return Err(refuse("write a user name and password, or a token, into the URL, or use ssh".to_owned()));
        }
        match &self.config.ssh_key {
            Some(key) if tried => {
                Err(refuse(format!("the key {} was refused for {user:?}, or needs a passphrase", key.display())))
            }
            Some(key) => git2::Cred::ssh_key(user, None, key, None).map_err(|error| refuse(error.message().to_owned())),
            None if tried => Err(refuse(format!("no key of the ssh agent was taken for {user:?}; set source.ssh_key"))),
            None => git2::Cred::ssh_key_from_agent(user)
                .map_err(|error| refuse(format!("{}; set source.ssh_key", error.message()))),
        }
    }

    pub(super) fn failure(&self, mirror: &std::path::Path, error: git2::Error) -> Failure {
        let url = || self.config.url.to_string();
        match self.state.borrow().stop {
            Some(Stop::Asked) => return Failure::Source(FetchError::Cancelled { url: url() }),
            Some(Stop::TooLarge) => {
                return Failure::Source(FetchError::TooLarge { url: url(), limit: MAX_TRANSFER });
            }
            None => {}
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
