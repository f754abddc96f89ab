//! A module's tree, written out of the object store into an empty folder.
//!
//! The folder belongs to the caller alone while this runs. Nothing that the tree says can lead out of it: names are
//! checked, folders are only entered when they were just made, and links may only point inside. Making it durable is the
//! caller's, once for everything.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use git2::{ObjectType, Odb, Oid, Repository, TreeEntry};

use super::{SourceError, SourceModule, mirror, revision};
use crate::fs::{IoContext, PathError};

/// The most files, folders and links that a module may have.
pub const MAX_FILES: usize = 10_000;
/// The most bytes that a module's files may have together.
pub const MAX_TOTAL: u64 = 256 << 20;

/// The most bytes that a folder's own object may have, which bounds what a folder takes before its entries are counted.
pub(super) const MAX_FOLDER: usize = 8 << 20;

const MAX_DEPTH: usize = 64;
/// NAME_MAX of every file system that matters here, in bytes.
const LONGEST_NAME: usize = 255;
const SYMBOLIC_LINK: i32 = 0o120000;

/// Why a module's files can't be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A name that has no business in a module.
    #[error("{path}: the name is not allowed in a module")]
    Name {
        /// Path in the module.
        path: String,
    },
    /// A link that could lead out of the module.
    #[error("{path}: the link to {target:?} leads out of the module")]
    Link {
        /// Path in the module.
        path: String,
        /// Where it points.
        target: String,
    },
    /// A reference to another repository.
    #[error("{path}: is a submodule; a module's files must be in the source itself")]
    Submodule {
        /// Path in the module.
        path: String,
    },
    /// Too many files.
    #[error("the module has more than {MAX_FILES} files")]
    TooMany,
    /// Too much data.
    #[error("the module's files have more than {MAX_TOTAL} bytes together")]
    TooLarge,
    /// Folders in folders in folders.
    #[error("{path}: lies deeper than {MAX_DEPTH} folders")]
    TooDeep {
        /// Path in the module.
        path: String,
    },
    /// The mirror is damaged.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A file could not be written.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl SourceModule {
    /// Writes the module into the empty folder `into`: files 0644, or 0755 where git calls them executable, folders 0755.
    ///
    /// What may not be written is found before anything is. After an error the folder may hold a part; it is the caller's
    /// to remove.
    pub fn export(&self, into: &Path) -> Result<(), ExportError> {
        if fs::read_dir(into).at("read", into)?.next().is_some() {
            let source = std::io::ErrorKind::DirectoryNotEmpty.into();
            return Err(PathError { action: "export into", path: into.to_owned(), source }.into());
        }
        let damaged = |error: git2::Error| ExportError::from(revision::damaged(&self.mirror, &error));
        let repository = mirror::open(&self.mirror).map_err(damaged)?;
        let database = repository.odb().map_err(damaged)?;
        let steps = plan(&repository, &database, self.tree, &damaged)?;
        set_mode(into, 0o755)?;
        for step in steps {
            let target = into.join(&step.path);
            match step.content {
                // Fails where the tree names something twice; so whatever is written below it is in a folder just made.
                Content::Folder => {
                    fs::create_dir(&target).at("create", &target)?;
                    set_mode(&target, 0o755)?;
                }
                Content::Link(to) => symlink(OsStr::from_bytes(&to), &target).at("create", &target)?,
                Content::File { blob, mode } => {
                    let object = database.read(blob).map_err(damaged)?;
                    let mut options = fs::OpenOptions::new();
                    let mut file =
                        options.write(true).create_new(true).mode(0o600).open(&target).at("create", &target)?;
                    file.write_all(object.data()).at("write", &target)?;
                    file.set_permissions(fs::Permissions::from_mode(mode)).at("set the mode of", &target)?;
                }
            }
        }
        Ok(())
    }
}

/// One thing to make, at a path in the module; folders come before what is in them.
struct Step {
    path: PathBuf,
    content: Content,
}

enum Content {
    Folder,
    File { blob: Oid, mode: u32 },
    Link(Vec<u8>),
}

fn plan(
    repository: &Repository,
    database: &Odb<'_>,
    tree: Oid,
    damaged: &dyn Fn(git2::Error) -> ExportError,
) -> Result<Vec<Step>, ExportError> {
    let mut steps: Vec<Step> = Vec::new();
    let mut bytes = 0u64;
    let mut folders = vec![(tree, PathBuf::new())];
    while let Some((tree, folder)) = folders.pop() {
        let depth = folder.components().count();
        if database.read_header(tree).map_err(damaged)?.0 > MAX_FOLDER {
            return Err(ExportError::TooMany);
        }
        for entry in repository.find_tree(tree).map_err(damaged)?.iter() {
            let path = folder.join(OsStr::from_bytes(entry.name_bytes()));
            let shown = || path.display().to_string().replace(char::is_control, "?");
            if !is_allowed(entry.name_bytes()) {
                return Err(ExportError::Name { path: shown() });
            }
            if steps.len() == MAX_FILES {
                return Err(ExportError::TooMany);
            }
            let content = match entry.kind() {
                Some(ObjectType::Tree) if depth == MAX_DEPTH => return Err(ExportError::TooDeep { path: shown() }),
                Some(ObjectType::Tree) => {
                    folders.push((entry.id(), path.clone()));
                    Content::Folder
                }
                Some(ObjectType::Blob) => {
                    let (size, _) = database.read_header(entry.id()).map_err(damaged)?;
                    bytes = bytes.saturating_add(size as u64);
                    if bytes > MAX_TOTAL {
                        return Err(ExportError::TooLarge);
                    }
                    blob(database, &entry, size, depth, &path, damaged)?
                }
                _ => return Err(ExportError::Submodule { path: shown() }),
            };
            steps.push(Step { path, content });
        }
    }
    Ok(steps)
}

fn blob(
    database: &Odb<'_>,
    entry: &TreeEntry<'_>,
    size: usize,
    depth: usize,
    path: &Path,
    damaged: &dyn Fn(git2::Error) -> ExportError,
) -> Result<Content, ExportError> {
    if entry.filemode_raw() != SYMBOLIC_LINK {
        let mode = if entry.filemode_raw() & 0o100 == 0 { 0o644 } else { 0o755 };
        return Ok(Content::File { blob: entry.id(), mode });
    }
    // No link can point further than PATH_MAX.
    let target = if size > 4096 { Vec::new() } else { database.read(entry.id()).map_err(damaged)?.data().to_vec() };
    if stays_inside(&target, depth) {
        return Ok(Content::Link(target));
    }
    let target = String::from_utf8_lossy(&target).chars().take(200).collect();
    Err(ExportError::Link { path: path.display().to_string(), target })
}

fn set_mode(path: &Path, mode: u32) -> Result<(), PathError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("set the mode of", path)
}

// git forbids most of these names in a tree, but an object store can be written by anything. Control characters would
// reach terminals, logs and scripts that split lines.
fn is_allowed(name: &[u8]) -> bool {
    !name.is_empty()
        && name != b"."
        && name != b".."
        && !name.eq_ignore_ascii_case(b".git")
        && !name.contains(&b'/')
        && !name.iter().any(u8::is_ascii_control)
        && name.len() <= LONGEST_NAME
}

/// Whether a link in a folder that lies `depth` folders below the module's own can only lead to places inside.
///
/// `..` may only stand at the beginning, where it climbs through folders that are known to be real: after a name it could
/// climb from wherever another link leads.
fn stays_inside(target: &[u8], depth: usize) -> bool {
    if target.is_empty() || target.starts_with(b"/") || target.contains(&0) {
        return false;
    }
    let mut climbed = 0;
    let mut named = false;
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if named => return false,
            b".." => climbed += 1,
            _ => named = true,
        }
    }
    climbed <= depth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_may_only_climb_as_far_as_the_module() {
        assert!(stays_inside(b"a/b", 0));
        assert!(stays_inside(b"../a", 1));
        assert!(stays_inside(b"./.././../a", 2));
        for (target, depth) in
            [("", 0), ("/etc", 5), ("..", 0), ("../../a", 1), ("a/..", 3), ("a/../../..", 3), ("a\0", 0)]
        {
            assert!(!stays_inside(target.as_bytes(), depth), "{target:?} at {depth}");
        }
    }

    #[test]
    fn names_of_git_and_of_the_file_system_are_refused() {
        for bad in ["", ".", "..", ".git", ".GIT", "a/b", "a\0", "a\n", "\x1b[2J", &"a".repeat(256)] {
            assert!(!is_allowed(bad.as_bytes()), "{bad:?}");
        }
        assert!(is_allowed(b".gitignore") && is_allowed("ä".as_bytes()) && is_allowed(b"\xff"));
    }
}
