//! What is remembered of each source and branch: the head that was accepted last, and when it moved by this clock.
//!
//! It is kept beside the mirror, in `sources.json`, so that a mirror that is made anew forgets nothing. It moves only
//! when a head was accepted, and durably before the mirror's own reference does.

use std::path::{Path, PathBuf};

use git2::{Oid, Repository};
use serde::{Deserialize, Serialize};

use super::{FetchError, SourceConfig};
use crate::fs::{IoContext, replace_file};

const NAME: &str = "sources.json";

/// The file, and what it says.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    path: PathBuf,
    content: Content,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    sources: Vec<Accepted>,
}

/// What is remembered of one source and branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Accepted {
    /// The source's address, without anything secret in it.
    source: String,
    branch: String,
    /// The accepted head, as hexadecimal.
    head: String,
    /// When it became that, in seconds since the epoch.
    pub moved: i64,
}

impl Accepted {
    pub(super) fn head(&self) -> Option<Oid> {
        Oid::from_str(&self.head).ok()
    }
}

impl Memory {
    /// Reads what is remembered beside the mirror at `mirror`; nothing there means that nothing is.
    pub(super) fn beside(mirror: &Path) -> Result<Self, FetchError> {
        let path = mirror.with_file_name(NAME);
        let content = match std::fs::read(&path).at("read", &path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| FetchError::Memory { path: path.display().to_string(), reason: error.to_string() })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Content::default(),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { path, content })
    }

    /// What is remembered of this source and branch.
    pub(super) fn of(&self, config: &SourceConfig) -> Option<&Accepted> {
        let source = config.url.identity();
        self.content.sources.iter().find(|known| known.source == source && known.branch == config.branch)
    }

    /// Whether `head` may follow. An error names the accepted head that it does not continue.
    ///
    /// A head continues what was accepted from the same address when it is that, or builds upon it. What came from another
    /// address counts in one way only: a head that lies behind it, on the same branch, is an older state of one history.
    pub(super) fn admit(
        &self,
        config: &SourceConfig,
        repository: &Repository,
        head: Oid,
        mirrored: Option<Oid>,
    ) -> Result<(), FetchError> {
        // A mirror from before anything was remembered has its own head.
        let own = self.of(config).and_then(Accepted::head).or(mirrored);
        if let Some(accepted) = own
            && accepted != head
            // An error means that the accepted commit is not even there.
            && !repository.graph_descendant_of(head, accepted).unwrap_or(false)
        {
            let behind = repository.graph_descendant_of(accepted, head).unwrap_or(false);
            let how = if behind { "lies behind" } else { "does not continue" };
            let how = format!("{how} {accepted:.12}, which was accepted before");
            return Err(rewound(config, head, accepted, how));
        }
        self.admit_elsewhere(config, repository, head)
    }

    /// Whether `head` is no older state of what was accepted from another address, as far as `repository` knows.
    pub(super) fn admit_elsewhere(
        &self,
        config: &SourceConfig,
        repository: &Repository,
        head: Oid,
    ) -> Result<(), FetchError> {
        for other in self.others(config) {
            if let Some(accepted) = other.head()
                && repository.graph_descendant_of(accepted, head).unwrap_or(false)
            {
                let how = format!("lies behind {accepted:.12}, which was accepted from {}", other.source);
                return Err(rewound(config, head, accepted, how));
            }
        }
        Ok(())
    }

    /// Remembers `head` as accepted, durably. What lies ahead of it elsewhere is forgotten: a person wanted it so.
    pub(super) fn accept(
        &mut self,
        config: &SourceConfig,
        repository: &Repository,
        head: Oid,
        now: i64,
    ) -> Result<(), FetchError> {
        let id = head.to_string();
        if self.of(config).is_some_and(|known| known.head == id) {
            return Ok(());
        }
        let (source, branch) = (config.url.identity(), config.branch.clone());
        let mut content = self.content.clone();
        content.sources.retain(|known| {
            let own = known.source == source && known.branch == branch;
            let ahead = known.branch == branch
                && known.head().is_some_and(|other| repository.graph_descendant_of(other, head).unwrap_or(false));
            !own && !ahead
        });
        content.sources.push(Accepted { source, branch, head: id, moved: now });
        let mut text = serde_json::to_vec_pretty(&content)
            .map_err(|error| FetchError::Memory { path: self.path.display().to_string(), reason: error.to_string() })?;
        text.push(b'\n');
        replace_file(&self.path, &text, 0o600)?;
        self.content = content;
        Ok(())
    }

    fn others(&self, config: &SourceConfig) -> impl Iterator<Item = &Accepted> {
        let source = config.url.identity();
        self.content.sources.iter().filter(move |known| known.source != source && known.branch == config.branch)
    }
}

fn rewound(config: &SourceConfig, head: Oid, accepted: Oid, how: String) -> FetchError {
    FetchError::Rewound {
        url: config.url.to_string(),
        branch: config.branch.clone(),
        head: head.to_string(),
        accepted: accepted.to_string(),
        how,
    }
}
