//! The bare mirror on disk: made, opened, recognised as damaged, and replaced as a whole.
//!
//! Its own marks stand beside git's files: `updates-suspect` is there while a fetch runs and after damage was seen, so that
//! the next one verifies before it builds on what is there. A new mirror is made under another name and exchanged. One
//! process at a time uses a mirror: the caller holds the run's lock.

use std::fs;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, Repository};

use super::memory::Memory;
use super::{FetchError, Revision, SourceConfig, options};
use crate::fs::{IoContext, PathError, create_directory, exchange, remove_tree, rename_new, replace_file, sha256};

const SUSPECT: &str = "updates-suspect";
/// The most packs that a mirror has, and the most bytes in them. Nothing else ever removes what was refused, and each read
/// of an object looks into every pack.
const MAX_PACKS: usize = 250;
const MAX_PACKED: u64 = 4 << 30;

/// The local copy of the source's history.
pub struct Mirror {
    pub(super) path: PathBuf,
    pub(super) repository: Repository,
    /// Whether what is there must be verified before it is built upon.
    pub(super) suspect: bool,
    /// The mirror whose memory counts, when it is not this one's own: then nothing is written there.
    pub(super) lender: Option<PathBuf>,
}

impl Mirror {
    /// Opens the mirror at `path`, or makes an empty one where there is none or what is there can't be opened.
    ///
    /// The first call starts libgit2, which changes the environment: best before other threads are started.
    pub fn open_or_create(path: &Path) -> Result<Self, FetchError> {
        options::start();
        remove_tree(&beside(path))?;
        let repository = match open(path) {
            Ok(repository) => repository,
            Err(_) => {
                create(&beside(path))?;
                put_in_place(path)?;
                open(path).map_err(|error| unusable(path, &error))?
            }
        };
        let suspect = path.join(SUSPECT).exists();
        if suspect {
            remove_leftovers(path)?;
        }
        Ok(Self { path: path.to_owned(), repository, suspect, lender: None })
    }

    /// Opens the mirror at `path` to look into it, as it is; `None` where there is none, or none that can be opened.
    pub fn existing(path: &Path) -> Option<Self> {
        options::start();
        let repository = open(path).ok()?;
        Some(Self { path: path.to_owned(), repository, suspect: path.join(SUSPECT).exists(), lender: None })
    }

    /// Makes a scratch mirror at `path` that borrows the objects of the mirror at `from` (gitrepository-layout(5),
    /// `objects/info/alternates`), so that a fetch takes only what is missing and leaves `from` as it is.
    pub fn borrowing(path: &Path, from: &Path) -> Result<Self, FetchError> {
        options::start();
        let repository = create(path)?;
        if let Ok(lender) = open(from)
            && !from.join(SUSPECT).exists()
        {
            let alternates = path.join("objects/info/alternates");
            let mut line = from.join("objects").into_os_string().into_encoded_bytes();
            line.push(b'\n');
            replace_file(&alternates, &line, 0o600)?;
            drop(repository);
            let repository = open(path).map_err(|error| unusable(path, &error))?;
            borrow_references(&repository, &lender).map_err(|error| unusable(path, &error))?;
            return Ok(Self { path: path.to_owned(), repository, suspect: false, lender: Some(from.to_owned()) });
        }
        Ok(Self { path: path.to_owned(), repository, suspect: false, lender: Some(from.to_owned()) })
    }

    /// The revision of this commit, as 40 hexadecimal digits, if the mirror has it.
    pub fn revision(&self, commit: &str) -> Option<Revision> {
        Revision::read(&self.path, &self.repository, git2::Oid::from_str(commit).ok()?).ok()
    }

    /// Where the mirror is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The revision that was last fetched whole for this source and branch, if any.
    pub fn head(&self, config: &SourceConfig) -> Option<Revision> {
        let commit = self.repository.refname_to_id(&References::of(config).head).ok()?;
        Revision::read(&self.path, &self.repository, commit).ok()
    }

    /// When the source last moved, in seconds since the epoch: when this machine first saw the accepted head, or when that
    /// was committed, whichever is older. A date in the future counts for nothing.
    pub fn last_moved(&self, config: &SourceConfig, now: i64) -> Option<i64> {
        let seen =
            Memory::beside(self.lender.as_deref().unwrap_or(&self.path)).ok()?.of(config).map(|known| known.moved);
        let committed = self.head(config).map(|head| head.time());
        seen.into_iter().chain(committed).filter(|time| *time <= now).min()
    }
}

/// The references that one source and branch have in the mirror.
///
/// Their own namespace keeps a changed URL from passing off the old one's commits as its own, while objects are shared.
pub(super) struct References {
    /// What was fetched last, verified or not.
    pub fetched: String,
    /// What was fetched and verified.
    pub head: String,
    /// The folder of tags, ending in a slash.
    pub tags: String,
}

impl References {
    pub(super) fn of(config: &SourceConfig) -> Self {
        // A digest: one branch's name may be the folder of another's, and references are files.
        let branch = sha256(config.branch.as_bytes());
        let folder = format!("refs/sources/{}-{}", config.url.key(), &branch[..8]);
        Self { fetched: format!("{folder}/fetched"), head: format!("{folder}/head"), tags: format!("{folder}/tags/") }
    }
}

/// Where a new mirror is made before it takes the place of the one at `path`.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".rebuild");
    path.with_file_name(name)
}

/// Makes an empty bare repository.
pub(super) fn create(path: &Path) -> Result<Repository, FetchError> {
    if let Some(parent) = path.parent() {
        create_directory(parent, 0o755)?;
    }
    let make = || {
        let mut options = git2::RepositoryInitOptions::new();
        // No template: it could bring hooks, and sample files that nobody needs.
        options
            .bare(true)
            .no_reinit(true)
            .external_template(false)
            .mode(git2::RepositoryInitMode::from_bits_retain(0o700));
        Repository::init_opts(path, &options)?;
        open(path)
    };
    make().map_err(|error| unusable(path, &error))
}

// What the lender has fetched is what need not be fetched again.
fn borrow_references(borrower: &Repository, lender: &Repository) -> Result<(), git2::Error> {
    for reference in lender.references()? {
        let reference = reference?;
        if let (Ok(name), Some(target)) = (reference.name(), reference.target()) {
            borrower.reference(name, target, true, "borrowed")?;
        }
    }
    Ok(())
}

/// Lets the mirror made beside `path` take its place, and removes what was there.
pub(super) fn put_in_place(path: &Path) -> Result<(), PathError> {
    let new = beside(path);
    crate::fs::sync_file_system(&new)?;
    if path.symlink_metadata().is_ok() {
        exchange(&new, path)?;
        remove_tree(&new)
    } else {
        rename_new(&new, path)
    }
}

pub(super) fn open(path: &Path) -> Result<Repository, git2::Error> {
    // NO_SEARCH: a repository further up is never this mirror.
    let flags = git2::RepositoryOpenFlags::NO_SEARCH | git2::RepositoryOpenFlags::BARE;
    Repository::open_ext(path, flags, None::<&Path>)
}

/// Marks the mirror as one to verify.
pub(super) fn suspect(path: &Path) -> Result<(), PathError> {
    replace_file(&path.join(SUSPECT), b"", 0o600)
}

/// Takes the mark away again, where there is one, once everything that was written since is durable.
pub(super) fn trust(path: &Path) -> Result<(), PathError> {
    let mark = path.join(SUSPECT);
    if mark.symlink_metadata().is_err() {
        return Ok(());
    }
    crate::fs::sync_file_system(path)?;
    remove_tree(&mark)
}

/// Why the mirror should be made anew though nothing is wrong with it, where it should.
pub(super) fn overgrown(mirror: &Path) -> Result<Option<String>, PathError> {
    let folder = mirror.join("objects/pack");
    let (mut packs, mut bytes) = (0, 0u64);
    let entries = match fs::read_dir(&folder).at("read", &folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry.at("read", &folder)?;
        if entry.path().extension().is_some_and(|extension| extension == "pack") {
            packs += 1;
            bytes = bytes.saturating_add(entry.metadata().at("read", &entry.path())?.len());
        }
    }
    let over = packs > MAX_PACKS || bytes > MAX_PACKED;
    Ok(over.then(|| format!("the mirror had grown to {bytes} bytes in {packs} packs and was made anew")))
}

pub(super) fn unusable(path: &Path, error: &git2::Error) -> FetchError {
    let advice = if error.code() == ErrorCode::Locked { "; another program holds it" } else { "" };
    FetchError::Mirror { mirror: path.display().to_string(), reason: format!("{}{advice}", error.message()) }
}

/// Removes the lock files and half packs that a killed fetch leaves; a lock file would stop every later one.
fn remove_leftovers(mirror: &Path) -> Result<(), PathError> {
    let mut folders = vec![mirror.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).at("read", &folder)? {
            let entry = entry.at("read", &folder)?;
            let path = entry.path();
            if entry.file_type().at("read", &path)?.is_dir() {
                folders.push(path);
                continue;
            }
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            if name.ends_with(b".lock") || name.starts_with(b"pack_git2_") || name.starts_with(b"tmp_") {
                remove_tree(&path)?;
            }
        }
    }
    Ok(())
}
