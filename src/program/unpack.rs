//! An artifact's archive, unpacked into a new folder: regular files, folders, and relative links that stay inside.
//!
//! The archive is what the source announced, byte for byte, and is bounded all the same: its number of entries, their
//! depth, and the bytes that come out. Every entry is made below an open directory without following a link (openat2(2)),
//! so that no order of entries leads outside.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use rustix::fs::{Mode, OFlags, mkdirat, openat, symlinkat};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use crate::fs::{IoContext, PathError, Root};

/// The most entries of an archive.
const MAX_ENTRIES: usize = 10_000;
/// The most components of a name.
const MAX_DEPTH: usize = 16;
/// The most bytes of a name.
const MAX_NAME: usize = 1024;
/// The most bytes that come out of the compression, headers and padding included.
const MAX_TOTAL: u64 = 512 << 20;

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It holds what no artifact may hold.
    #[error("the artifact holds {entry:?}, which {reason}")]
    Refused {
        /// The entry's name.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It is no archive, or ends too early.
    #[error("the artifact can't be unpacked: {0}")]
    Damaged(#[source] io::Error),
    /// It lacks the program.
    #[error("the artifact holds no executable bin/updates")]
    NoProgram,
    /// The folder can't be written.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl UnpackError {
    /// Whether the same archive would fail again.
    pub fn is_of_the_artifact(&self) -> bool {
        !matches!(self, UnpackError::Path(_))
    }
}

/// Unpacks the gzip-compressed tar archive into `folder`, which is empty. Nothing is durable yet when this returns.
pub fn unpack(archive: impl Read, folder: &Path) -> Result<(), UnpackError> {
    unpack_at_most(MAX_TOTAL, archive, folder)
}

fn unpack_at_most(total: u64, archive: impl Read, folder: &Path) -> Result<(), UnpackError> {
    let root = Root::open(folder)?;
    let bounded = Bounded { inner: MultiGzDecoder::new(archive), left: total };
    let mut archive = Archive::new(bounded);
    let mut links = Vec::new();
    for (index, entry) in archive.entries().map_err(UnpackError::Damaged)?.enumerate() {
        let mut entry = entry.map_err(UnpackError::Damaged)?;
        let name = name(&entry)?;
        if index >= MAX_ENTRIES {
            return Err(refused(&name, format!("is one of more than {MAX_ENTRIES} entries")));
        }
        if name.as_os_str().is_empty() {
            continue;
        }
        let mode = entry.header().mode().map_err(UnpackError::Damaged)?;
        let place = root.locate(&name);
        match entry.header().entry_type() {
            EntryType::Directory => folders(&root, &name)?,
            EntryType::Regular if mode & 0o7000 != 0 => {
                return Err(refused(&name, "is setuid, setgid or sticky".to_owned()));
            }
            EntryType::Regular => {
                folders(&root, name.parent().unwrap_or(Path::new("")))?;
                let (parent, last) = root.parent(&name).at("open the folder of", &place)?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                // What is executable for its owner is for everybody; nothing else of the archive's mode counts.
                let mode = if mode & 0o100 != 0 { 0o755 } else { 0o644 };
                let file = match openat(parent, last, flags, Mode::from_raw_mode(mode)) {
                    Err(Errno::EXIST) => return Err(refused(&name, "is there twice".to_owned())),
                    other => other.at("create", &place)?,
                };
                let mut file = File::from(file);
                file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
                    .at("set the mode of", &place)?;
                fill(&mut entry, &mut file, &place)?;
            }
            EntryType::Symlink => {
                folders(&root, name.parent().unwrap_or(Path::new("")))?;
                let target = entry.link_name().map_err(UnpackError::Damaged)?.unwrap_or_default().into_owned();
                if target.is_absolute() || target.as_os_str().is_empty() || target.as_os_str().len() > MAX_NAME {
                    return Err(refused(&name, "is a link that is not relative".to_owned()));
                }
                let (parent, last) = root.parent(&name).at("open the folder of", &place)?;
                match symlinkat(&target, parent, last) {
                    Err(Errno::EXIST) => return Err(refused(&name, "is there twice".to_owned())),
                    other => other.at("create", &place)?,
                }
                links.push(name);
            }
            kind => return Err(refused(&name, format!("is neither file, folder nor symbolic link ({kind:?})"))),
        }
    }
    inside(folder, &links)?;
    match root.status(Path::new("bin/updates")).at("look at", &folder.join("bin/updates"))? {
        Some(found) if found.kind == crate::fs::Kind::File && found.mode & 0o100 != 0 => Ok(()),
        _ => Err(UnpackError::NoProgram),
    }
}

/// The entry's name, without `.` components; empty for the top itself.
fn name<R: Read>(entry: &Entry<'_, R>) -> Result<PathBuf, UnpackError> {
    let path = entry.path().map_err(UnpackError::Damaged)?.into_owned();
    let mut name = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => name.push(part),
            _ => return Err(refused(&path, "leads out of it".to_owned())),
        }
    }
    if name.components().count() > MAX_DEPTH || name.as_os_str().as_bytes().len() > MAX_NAME {
        return Err(refused(&path, "lies too deep".to_owned()));
    }
    Ok(name)
}

/// Makes a folder and those above it; one that is there already is fine, a link in its place is not.
fn folders(root: &Root, name: &Path) -> Result<(), UnpackError> {
    let mut at = PathBuf::new();
    for part in name.components() {
        at.push(part);
        let place = root.locate(&at);
        let (parent, last) = root.parent(&at).at("open the folder of", &place)?;
        match mkdirat(parent, last, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(PathError { action: "create", path: place, source: error.into() }.into()),
        }
        if root.directory(&at).is_err() {
            return Err(refused(&at, "is a folder where something else is already".to_owned()));
        }
    }
    Ok(())
}

/// Copies an entry's content. Reading fails by the archive's fault, writing by the disk's.
fn fill(entry: &mut impl Read, file: &mut File, place: &Path) -> Result<(), UnpackError> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match entry.read(&mut buffer).map_err(UnpackError::Damaged)? {
            0 => return Ok(()),
            read => io::Write::write_all(file, &buffer[..read]).at("write", place)?,
        }
    }
}

/// Each link has to end at something inside. Looked at when everything is there, by the system itself: links over links
/// can't be judged by their text.
fn inside(folder: &Path, links: &[PathBuf]) -> Result<(), UnpackError> {
    let top = folder.canonicalize().at("look at", folder)?;
    for link in links {
        match fs::canonicalize(folder.join(link)) {
            Ok(target) if target.starts_with(&top) => {}
            _ => return Err(refused(link, "is a link that does not end inside".to_owned())),
        }
    }
    Ok(())
}

fn refused(entry: &Path, reason: String) -> UnpackError {
    UnpackError::Refused { entry: entry.to_string_lossy().chars().take(200).collect(), reason }
}

/// A reader of at most so many bytes; more are an error, not an end.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other("it holds more bytes than an artifact may")),
        }
        Ok(read)
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
