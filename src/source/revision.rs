//! One commit of the source, and the modules that it holds, read from the object store without a checkout.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid, Repository, Tree, TreeEntry};
use updates_protocol::{MAX_MANIFEST, ModuleName};

use super::{SourceError, mirror};

const MAX_MODULES: usize = 10_000;
const SYMBOLIC_LINK: i32 = 0o120000;

/// A commit in the mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    mirror: PathBuf,
    commit: Oid,
    time: i64,
    summary: String,
}

/// A folder of `modules/` that can be a module: its name is one, and it has an `index.json` of a bearable size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceModule {
    pub(super) mirror: PathBuf,
    pub(super) tree: Oid,
    name: ModuleName,
    index: Vec<u8>,
}

/// An entry of `modules/` that can't be a module, and why; its name is kept as text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("modules/{folder}{problem}")]
pub struct RejectedFolder {
    /// The folder's name, with what is not UTF-8 replaced and cut to 80 characters.
    pub folder: String,
    /// What is wrong; begins with what follows the folder's name in a message.
    pub problem: String,
}

impl Revision {
    pub(super) fn read(mirror: &Path, repository: &Repository, commit: Oid) -> Result<Self, git2::Error> {
        let found = repository.find_commit(commit)?;
        let summary = String::from_utf8_lossy(found.summary_bytes().unwrap_or_default())
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(200)
            .collect();
        Ok(Self { mirror: mirror.to_owned(), commit, time: found.time().seconds(), summary })
    }

    pub(super) fn mirror(&self) -> &Path {
        &self.mirror
    }

    pub(super) fn commit(&self) -> Oid {
        self.commit
    }

    pub(super) fn moved_to(self, mirror: &Path) -> Self {
        Self { mirror: mirror.to_owned(), ..self }
    }

    /// The commit's id, as 40 hexadecimal digits.
    pub fn id(&self) -> String {
        self.commit.to_string()
    }

    /// The commit's id, shortened for people.
    pub fn short(&self) -> String {
        self.id().chars().take(12).collect()
    }

    /// When it was committed, in seconds since the epoch, by the committer's clock.
    pub fn time(&self) -> i64 {
        self.time
    }

    /// The first line of its message, at most 200 characters.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Every folder of `modules/`, in the order of their names; plain files there are no modules and are left out.
    pub fn modules(&self) -> Result<Vec<Result<SourceModule, RejectedFolder>>, SourceError> {
        let read = || -> Result<Option<Vec<_>>, git2::Error> {
            let repository = mirror::open(&self.mirror)?;
            let root = repository.find_commit(self.commit)?.tree()?;
            let Some(entry) = root.get_name_bytes(b"modules").filter(|e| e.kind() == Some(ObjectType::Tree)) else {
                return Ok(None);
            };
            let folder = repository.find_tree(entry.id())?;
            if folder.len() > MAX_MODULES {
                return Ok(Some(vec![Err(folder.len())]));
            }
            let twins = twins(&folder);
            Ok(Some(folder.iter().filter_map(|e| self.module(&repository, &e, &twins)).map(Ok).collect()))
        };
        let revision = self.short();
        let entries = read().map_err(|error| self.damaged(&error))?.ok_or(SourceError::NoModules { revision })?;
        let mut modules = Vec::with_capacity(entries.len());
        for entry in entries {
            modules.push(entry.map_err(|count| SourceError::TooMany {
                revision: self.short(),
                count,
                limit: MAX_MODULES,
            })?);
        }
        Ok(modules)
    }

    fn module(
        &self,
        repository: &Repository,
        entry: &TreeEntry<'_>,
        twins: &HashMap<Vec<u8>, Vec<String>>,
    ) -> Option<Result<SourceModule, RejectedFolder>> {
        let folder: String = String::from_utf8_lossy(entry.name_bytes()).chars().take(80).collect();
        let reject = |problem: String| Some(Err(RejectedFolder { folder: folder.clone(), problem }));
        match entry.kind() {
            Some(ObjectType::Tree) if entry.name_bytes() == b"__pycache__" => return None,
            Some(ObjectType::Tree) => {}
            Some(ObjectType::Commit) => {
                return reject(" is a submodule; a module's files must be in the source".into());
            }
            _ if entry.filemode_raw() == SYMBOLIC_LINK => {
                return reject(" is a symbolic link; it must be a folder".into());
            }
            _ => return None,
        }
        let name: ModuleName = match std::str::from_utf8(entry.name_bytes()).map(str::parse) {
            Ok(Ok(name)) => name,
            Ok(Err(error)) => return reject(format!(": {error}")),
            Err(_) => return reject(": the name is not UTF-8".into()),
        };
        if let Some(names) = twins.get(&entry.name_bytes().to_ascii_lowercase()) {
            return reject(format!(": the names {} differ only in case; rename all but one", names.join(" and ")));
        }
        match index(repository, entry.id()) {
            Ok(Ok(index)) => Some(Ok(SourceModule { mirror: self.mirror.clone(), tree: entry.id(), name, index })),
            Ok(Err(problem)) => reject(format!("/index.json {problem}")),
            Err(error) => reject(format!("/index.json: {}", self.damaged(&error))),
        }
    }

    fn damaged(&self, error: &git2::Error) -> SourceError {
        damaged(&self.mirror, error)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl SourceModule {
    /// Its name, which is that of its folder.
    pub fn name(&self) -> &ModuleName {
        &self.name
    }

    /// Its `index.json`, at most [`MAX_MANIFEST`] bytes, not yet parsed.
    pub fn index(&self) -> &[u8] {
        &self.index
    }

    /// The id of its folder's content, as 40 hexadecimal digits: the same whenever every file is the same.
    pub fn tree(&self) -> String {
        self.tree.to_string()
    }
}

/// Says that the mirror is damaged, and marks it so that the next fetch makes it anew.
pub(super) fn damaged(mirror: &Path, error: &git2::Error) -> SourceError {
    match super::mirror::suspect(mirror) {
        Ok(()) => SourceError::Damaged { mirror: mirror.display().to_string(), reason: error.message().to_owned() },
        Err(error) => SourceError::Path(error),
    }
}

// Lower-case names that more than one entry has, with those entries.
fn twins(folder: &Tree<'_>) -> HashMap<Vec<u8>, Vec<String>> {
    let mut names: HashMap<Vec<u8>, Vec<String>> = HashMap::new();
    for entry in folder.iter().filter(|entry| entry.kind() == Some(ObjectType::Tree)) {
        let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
        names.entry(entry.name_bytes().to_ascii_lowercase()).or_default().push(name);
    }
    names.retain(|_, same| same.len() > 1);
    names
}

// The bytes of a folder's index.json, or what is wrong with it. Its size is asked for before it is read.
fn index(repository: &Repository, folder: Oid) -> Result<Result<Vec<u8>, String>, git2::Error> {
    let folder = repository.find_tree(folder)?;
    let Some(entry) = folder.get_name_bytes(b"index.json") else { return Ok(Err("is missing".into())) };
    if entry.kind() != Some(ObjectType::Blob) || entry.filemode_raw() == SYMBOLIC_LINK {
        return Ok(Err("is not a regular file".into()));
    }
    let database = repository.odb()?;
    let (size, _) = database.read_header(entry.id())?;
    if size > MAX_MANIFEST {
        return Ok(Err(format!("has {size} bytes; the largest that is read is {MAX_MANIFEST}")));
    }
    Ok(Ok(database.read(entry.id())?.data().to_vec()))
}
