//! What can go wrong with a source, each with the way out; libgit2's words are translated here.

use git2::{ErrorClass, ErrorCode};

use super::{Distrust, SourceUrl};
use crate::fs::PathError;

/// Why a fetch failed. No message holds a password.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// The source, masked.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// There is no repository at that place.
    #[error("{url} is not a git repository: {reason}")]
    NoRepository {
        /// The source, masked.
        url: String,
        /// What was found.
        reason: String,
    },
    /// The server wants to know who asks.
    #[error("{url} asks for authentication: {reason}")]
    Authentication {
        /// The source, masked.
        url: String,
        /// What was tried, and what to configure.
        reason: String,
    },
    /// The server could not prove who it is.
    #[error("{url} is not trusted: {reason}")]
    Untrusted {
        /// The source, masked.
        url: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The branch is not there.
    #[error("{url} has no branch {branch:?}; {hint}")]
    MissingBranch {
        /// The source, masked.
        url: String,
        /// The branch asked for.
        branch: String,
        /// The nearest branch, or those there are.
        hint: String,
    },
    /// The branch's name could not be one.
    #[error("{0:?} is no branch name; see git-check-ref-format(1)")]
    InvalidBranch(String),
    /// It holds no branch at all.
    #[error("{url} is empty: it has no branch yet; commit something to it")]
    Empty {
        /// The source, masked.
        url: String,
    },
    /// More was sent than is taken.
    #[error("{url} sent more than {limit}; the fetch was given up")]
    TooLarge {
        /// The source, masked.
        url: String,
        /// The limit, with its unit.
        limit: String,
    },
    /// The caller stopped it.
    #[error("the fetch from {url} was cancelled")]
    Cancelled {
        /// The source, masked.
        url: String,
    },
    /// It did not end.
    #[error("{url} sent what it has so slowly that the fetch was given up after {seconds} seconds")]
    TooLong {
        /// The source, masked.
        url: String,
        /// How long that was.
        seconds: u64,
    },
    /// What arrived does not hold together.
    #[error("{url} sent a broken history: {reason}")]
    Broken {
        /// The source, masked.
        url: String,
        /// What is missing or damaged.
        reason: String,
    },
    /// It does not continue what was accepted before.
    #[error(
        "{url} is refused: its branch {branch:?} is at commit {head:.12}, which {how}: the history was rewritten, or an \
         old state of it is being served; if you know why, accept it once: updates run --allow-non-fast-forward"
    )]
    Rewound {
        /// The source, masked.
        url: String,
        /// The branch.
        branch: String,
        /// The commit that was found.
        head: String,
        /// The commit that was accepted before.
        accepted: String,
        /// How the two relate, as the sentence goes on.
        how: String,
    },
    /// What was found is not signed as the settings ask for.
    #[error("{url} is refused at commit {head:.12}: {source}")]
    Distrusted {
        /// The source, masked.
        url: String,
        /// The commit that was found.
        head: String,
        /// Why.
        source: Box<Distrust>,
    },
    /// What is remembered of sources can't be read.
    #[error(
        "{path} says which heads were accepted, and can't be used: {reason}; remove it to accept what the source has now"
    )]
    Memory {
        /// Where it is.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The mirror could not be written.
    #[error("the mirror {mirror} could not be used: {reason}")]
    Mirror {
        /// Where it is.
        mirror: String,
        /// What libgit2 said.
        reason: String,
    },
    /// The mirror's place could not be used.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Why what was fetched can't be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The revision has no folder of modules.
    #[error("revision {revision} has no folder \"modules\"; is it a repository of update modules?")]
    NoModules {
        /// The commit, shortened.
        revision: String,
    },
    /// More modules than are read.
    #[error("revision {revision} has {count} entries in \"modules\", more than {limit}")]
    TooMany {
        /// The commit, shortened.
        revision: String,
        /// How many there are.
        count: usize,
        /// How many are read.
        limit: usize,
    },
    /// An object is missing or damaged.
    #[error("the mirror {mirror} is damaged and is rebuilt by the next fetch: {reason}")]
    Damaged {
        /// Where it is.
        mirror: String,
        /// What libgit2 said.
        reason: String,
    },
    /// The place where modules are read from could not be used.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl FetchError {
    /// The commit that was found and refused, as hexadecimal.
    pub fn refused(&self) -> Option<&str> {
        match self {
            Self::Rewound { head, .. } | Self::Distrusted { head, .. } => Some(head),
            _ => None,
        }
    }

    /// Translates what libgit2 said while it talked to the source.
    pub(super) fn from_remote(url: &SourceUrl, error: &git2::Error) -> Self {
        let reason = url.mask(error.message());
        let url = url.to_string();
        match (error.code(), error.class()) {
            (ErrorCode::Auth, _) => Self::Authentication { url, reason },
            (_, ErrorClass::Ssh) if reason.contains("exchange encryption keys") => Self::Untrusted {
                reason: format!("{reason}; it may have no host key of the kinds that known_hosts has of it"),
                url,
            },
            (_, ErrorClass::Net) if reason.contains("cannot redirect") => Self::Untrusted {
                reason: format!("{reason} with credentials; set source.url to the address that it is at now"),
                url,
            },
            (ErrorCode::Certificate, _) | (_, ErrorClass::Ssl) => Self::Untrusted { url, reason },
            (ErrorCode::Timeout, _) => Self::Unreachable { url, reason: format!("{reason}; no answer in time") },
            (ErrorCode::NotFound, ErrorClass::Repository | ErrorClass::Os | ErrorClass::Net | ErrorClass::Http) => {
                Self::NoRepository { url, reason }
            }
            (_, ErrorClass::Http) if reason.contains("404") || reason.contains("content-type") => {
                Self::NoRepository { url, reason }
            }
            (_, ErrorClass::Ssh) if reason.to_lowercase().contains("authenticat") => {
                Self::Authentication { url, reason }
            }
            (_, ErrorClass::Odb | ErrorClass::Indexer | ErrorClass::Zlib | ErrorClass::Object | ErrorClass::Sha1) => {
                Self::Broken { url, reason }
            }
            _ => Self::Unreachable { url, reason },
        }
    }
}
