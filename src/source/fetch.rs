//! One fetch: connect, see what is there, take what is missing, verify it, and only then call it the head.
//!
//! A mirror that turns out to be damaged is made anew beside and exchanged; the old one stays in place until the new one
//! is whole.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;

use git2::{AutotagOption, Direction, FetchOptions, FetchPrune, Oid, ProxyOptions, RemoteRedirect, Repository};

use super::heads::{Head, advertised};
use super::memory::{Accepted, Memory};
use super::mirror::{self, Mirror, References};
use super::talk::{Failure, Talk};
use super::trust::{self, Cover};
use super::verify::verify;
use super::{Access, FetchError, Revision, SourceConfig, options};

/// libgit2's setting, which is git's: git-config(1).
const REDIRECTS: &str = "http.followRedirects";

/// The most tags that a source may have: each is a file of the mirror, and is read in each run.
const MAX_TAGS: usize = 20_000;

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
    /// What of it may be installed.
    pub cover: Cover,
    /// Why the mirror was made anew, when it was.
    pub rebuilt: Option<String>,
}

/// What one attempt brought.
struct Taken {
    revision: Revision,
    transfer: Transfer,
    cover: Cover,
}

impl Mirror {
    /// Brings the mirror to the head of the source's branch, taking only what is missing.
    ///
    /// `progress` hears how far it is and may stop it. Whatever happens, [`Mirror::head`] is a revision that was once
    /// fetched whole and accepted: it continued the one before, and was signed as [`SourceConfig::trust`] asks for.
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
        if let Some(reason) = mirror::overgrown(&self.path)? {
            return self.rebuild(config, progress, reason);
        }
        let damage = match self.attempt(config, progress) {
            Ok(Taken { revision, transfer, cover }) => return Ok(Fetched { revision, transfer, cover, rebuilt: None }),
            Err(Failure::Source(error)) => return Err(error),
            Err(Failure::Damage(error)) => error,
        };
        let reason = format!("the mirror was damaged and was made anew: {}", config.url.mask(damage.message()));
        self.rebuild(config, progress, reason)
    }

    fn attempt(
        &mut self,
        config: &SourceConfig,
        progress: &mut dyn FnMut(Transfer) -> ControlFlow<()>,
    ) -> Result<Taken, Failure> {
        let references = References::of(config);
        if self.suspect
            && let Ok(head) = self.repository.refname_to_id(&references.head)
        {
            verify(&self.repository, head).map_err(Failure::Damage)?;
        }
        let taken = self.take(&self.repository, &self.path, config, progress);
        // What was refused came whole, and need not be verified again.
        let refused = matches!(&taken, Err(Failure::Source(error)) if error.refused().is_some());
        if taken.is_ok() || refused {
            mirror::trust(&self.path).map_err(|error| Failure::Source(error.into()))?;
            self.suspect = false;
        }
        taken
    }

    fn rebuild(
        &mut self,
        config: &SourceConfig,
        progress: &mut dyn FnMut(Transfer) -> ControlFlow<()>,
        reason: String,
    ) -> Result<Fetched, FetchError> {
        let url = config.url.to_string();
        let beside = mirror::beside(&self.path);
        crate::fs::remove_tree(&beside)?;
        let new = mirror::create(&beside)?;
        let taken = self.take(&new, &beside, config, progress);
        drop(new);
        let Taken { revision, transfer, cover } = match taken {
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
        Ok(Fetched { revision: revision.moved_to(&self.path), transfer, cover, rebuilt: Some(reason) })
    }

    fn take(
        &self,
        repository: &Repository,
        path: &Path,
        config: &SourceConfig,
        progress: &mut dyn FnMut(Transfer) -> ControlFlow<()>,
    ) -> Result<Taken, Failure> {
        let references = References::of(config);
        let (commit, transfer, known) = transfer(repository, path, config, &references, progress)?;
        // Whoever stopped listening may have gone on without it.
        if progress(transfer).is_break() {
            return Err(Failure::Source(FetchError::Cancelled { url: config.url.to_string() }));
        }
        let revision = Revision::read(path, repository, commit).map_err(Failure::Damage)?;
        if !known {
            verify(repository, commit).map_err(Failure::Damage)?;
            // At once, and not by git for each reference: thousands of tags would take minutes. Until then the mark says
            // that it is to be verified.
            crate::fs::sync_file_system(path).map_err(|error| Failure::Source(error.into()))?;
        }
        let cover = self.accept(repository, config, &references, &revision, commit)?;
        Ok(Taken { revision, transfer, cover })
    }

    // The head moves last: what is remembered of it is durable by then.
    fn accept(
        &self,
        repository: &Repository,
        config: &SourceConfig,
        references: &References,
        revision: &Revision,
        commit: Oid,
    ) -> Result<Cover, Failure> {
        let mirrored = self.repository.refname_to_id(&references.head).ok();
        let mut memory = Memory::beside(self.lender.as_deref().unwrap_or(&self.path)).map_err(Failure::Source)?;
        if !config.allow_non_fast_forward {
            memory.admit(config, repository, commit, mirrored).map_err(Failure::Source)?;
            // A mirror that is made anew has nothing of other addresses, and a source can bring that about by sending
            // something broken first. The one that it replaces has.
            memory.admit_elsewhere(config, &self.repository, commit).map_err(Failure::Source)?;
        }
        let accepted = memory.of(config).and_then(Accepted::head).or(mirrored);
        let cover = trust::cover(&config.trust, repository, revision, commit, accepted).map_err(|source| {
            let (url, head, source) = (config.url.to_string(), commit.to_string(), Box::new(source));
            Failure::Source(FetchError::Distrusted { url, head, source })
        })?;
        if !matches!(cover, Cover::EachModule { complete: false, .. }) {
            if self.lender.is_none() {
                let now = jiff::Timestamp::now().as_second();
                memory.accept(config, repository, commit, now).map_err(Failure::Source)?;
            }
            if mirrored != Some(commit) || repository.refname_to_id(&references.head).ok() != Some(commit) {
                repository.reference(&references.head, commit, true, "fetch").map_err(Failure::Damage)?;
            }
        }
        Ok(cover)
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

// The commit that the branch is at, what was transferred for it, and whether it was there before.
fn transfer(
    repository: &Repository,
    path: &Path,
    config: &SourceConfig,
    references: &References,
    progress: &mut dyn FnMut(Transfer) -> ControlFlow<()>,
) -> Result<(Oid, Transfer, bool), Failure> {
    let talk = Talk::new(config, progress).map_err(Failure::Source)?;
    allow_redirects(repository, config).map_err(Failure::Damage)?;
    let failed = |error: git2::Error| talk.failure(path, error);
    let mut remote = repository.remote_anonymous(config.url.reveal()).map_err(&failed)?;
    let mut connection =
        remote.connect_auth(Direction::Fetch, Some(talk.callbacks()), Some(proxy())).map_err(&failed)?;
    let heads = advertised(connection.remote()).map_err(&failed)?;
    let wanted = find_branch(&heads, config).map_err(Failure::Source)?;
    if heads.iter().filter(|head| head.name.starts_with(b"refs/tags/")).count() > MAX_TAGS {
        let (url, limit) = (config.url.to_string(), format!("{MAX_TAGS} tags"));
        return Err(Failure::Source(FetchError::TooLarge { url, limit }));
    }

    // A head that was refused stays where it was fetched to, so that it is not fetched again.
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
            .follow_redirects(RemoteRedirect::None)
            // FETCH_HEAD would hold the URL, password included.
            .update_fetchhead(false);
        connection.remote().fetch(&specifications, Some(&mut options), Some("fetch")).map_err(&failed)?;
    }
    drop(connection);
    drop(remote);

    let commit =
        if known { wanted.id } else { repository.refname_to_id(&references.fetched).map_err(Failure::Damage)? };
    Ok((commit, talk.state.into_inner().last, known))
}

// What is sent to one host for a password would be sent to the next as well: libgit2 keeps it across a redirect. Its own
// setting for the first connection is the repository's.
fn allow_redirects(repository: &Repository, config: &SourceConfig) -> Result<(), git2::Error> {
    let allowed = if carries_credentials(config) { "false" } else { "initial" };
    let mut settings = repository.config()?;
    let present = settings.snapshot()?.get_str(REDIRECTS).map(str::to_owned).ok();
    if present.as_deref() == Some(allowed) { Ok(()) } else { settings.set_str(REDIRECTS, allowed) }
}

fn carries_credentials(config: &SourceConfig) -> bool {
    let Access { credentials, credential_helper, .. } = &config.access;
    config.url.has_userinfo() || credentials.is_some() || credential_helper.is_some()
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
