//! A slot as a directory: its names, how it is built beside, made durable and swapped in, and what recovery makes of
//! what a crash left.
//!
//! `.NAME_backup.new` is a slot being built, or after an exchange the former one. `.NAME_backup.old` exists only where
//! the file system has no exchange, between two renames. So `.new` may always be removed, and `.old` goes back when the
//! slot is missing. `.NAME_backup.next` exists only where the former slot can't be renamed at all: it is complete, and
//! takes the slot's place whatever is left of that one. `.NAME_backup.before` is a
//! former slot that is kept on purpose; see `replaced.rs`.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags, flock, openat, renameat_with};
use rustix::io::Errno;
use updates_protocol::ModuleName;

use super::error::StateError;
use super::save::Written;
use crate::fs::{IoContext, PathError, Root, is_absence, list, remove_all_at, sync_directory};

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const FILES: &str = "files";
pub(super) const DATABASES: &str = "databases";
pub(super) const SERVICES: &str = "services.json";
const SUFFIX: &str = "_backup";

/// The places of one name in a store.
#[derive(Debug, Clone)]
pub(super) struct Places {
    store: PathBuf,
    name: ModuleName,
}

impl Places {
    pub fn new(store: &Path, name: &ModuleName) -> Self {
        Self { store: store.to_owned(), name: name.clone() }
    }

    pub fn slot(&self) -> PathBuf {
        self.store.join(format!("{}{SUFFIX}", self.name))
    }

    pub fn new_slot(&self) -> PathBuf {
        self.store.join(format!(".{}{SUFFIX}.new", self.name))
    }

    pub fn old_slot(&self) -> PathBuf {
        self.store.join(format!(".{}{SUFFIX}.old", self.name))
    }

    fn next_slot(&self) -> PathBuf {
        self.store.join(format!(".{}{SUFFIX}.next", self.name))
    }

    pub fn before_slot(&self) -> PathBuf {
        self.store.join(format!(".{}{SUFFIX}.before", self.name))
    }

    pub fn store(&self) -> &Path {
        &self.store
    }

    /// Removes the slot, so that a crash leaves it whole or gone. Says whether there was one.
    pub fn remove(&self) -> Result<bool, PathError> {
        remove_abandoned(&self.new_slot())?;
        match fs::rename(self.slot(), self.new_slot()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            // A directory of an overlay's lower layer can't be renamed.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => remove(&self.slot())?,
            other => other.at("remove", &self.slot())?,
        }
        sync_directory(&self.store)?;
        remove(&self.new_slot())?;
        Ok(true)
    }

    /// Settles what a crash left of this name.
    pub fn recover(&self) -> Result<(), PathError> {
        if is_there(&self.next_slot())? {
            self.take_next()?;
        }
        if is_there(&self.old_slot())? && !is_there(&self.slot())? {
            fs::rename(self.old_slot(), self.slot()).at("put back", &self.slot())?;
            sync_directory(&self.store)?;
        }
        remove(&self.old_slot())?;
        remove_abandoned(&self.new_slot())
    }

    /// Puts a complete slot in the place of one that can't be renamed.
    fn take_next(&self) -> Result<(), PathError> {
        sync_directory(&self.store)?;
        remove(&self.slot())?;
        fs::rename(self.next_slot(), self.slot()).at("swap in", &self.slot())?;
        sync_directory(&self.store)
    }
}

pub(super) fn is_there(path: &Path) -> Result<bool, PathError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => other.at("look at", path).map(|_| true),
    }
}

/// The names that have something in a store, be it a slot or a leftover.
pub(super) fn names(store: &Path) -> Result<Vec<ModuleName>, PathError> {
    let mut found = Vec::new();
    for name in list(Root::open(store)?.readable(Path::new("/")).at("list", store)?).at("list", store)? {
        let Some(text) = name.to_str() else { continue };
        let hidden = text
            .strip_prefix('.')
            .and_then(|text| [".new", ".old", ".next", ".before"].into_iter().find_map(|end| text.strip_suffix(end)));
        if let Some(Ok(name)) = hidden.unwrap_or(text).strip_suffix(SUFFIX).map(str::parse::<ModuleName>) {
            found.push(name);
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Whether a directory holds what only a store can: a slot, or one that is kept or half swapped in, with its manifest.
pub(super) fn holds_slots(directory: &Path) -> Result<bool, PathError> {
    for name in names(directory)? {
        let places = Places::new(directory, &name);
        for place in [places.slot(), places.before_slot(), places.next_slot(), places.old_slot()] {
            if is_there(&place)? && is_there(&place.join(MANIFEST)).unwrap_or(false) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// A slot being built. Dropped without being published, it removes itself.
#[derive(Debug)]
pub(super) struct Staging {
    places: Places,
    files: Root,
    published: bool,
    /// Held while it is built, and gone with the process.
    _lock: File,
}

impl Staging {
    /// Makes an empty one, clearing away what a crash left.
    pub fn create(places: &Places) -> Result<Self, StateError> {
        places.recover()?;
        let path = places.new_slot();
        let files = path.join(FILES);
        // Saved files may be secrets: root alone may look, whatever their own modes say.
        DirBuilder::new().mode(0o700).create(&path).at("create", &path)?;
        let lock = lock(&path)?;
        let made = DirBuilder::new().mode(0o700).create(&files).at("create", &files).and_then(|()| Root::open(&files));
        match made {
            Ok(files) => Ok(Self { places: places.clone(), files, published: false, _lock: lock }),
            Err(error) => {
                remove(&path)?;
                Err(error.into())
            }
        }
    }

    /// The slot's directory while it is being built.
    pub fn path(&self) -> PathBuf {
        self.places.new_slot()
    }

    /// The tree that takes the content.
    pub fn files(&self) -> &Root {
        &self.files
    }

    /// Creates the manifest's file.
    pub fn manifest(&self) -> Result<File, PathError> {
        let path = self.places.new_slot().join(MANIFEST);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(openat(CWD, &path, flags, Mode::from_raw_mode(0o600)).at("create", &path)?))
    }

    /// Makes everything durable, then puts it in the slot's place in one step and removes the former slot.
    ///
    /// `written` are the files and directories below `files` that are new. An error leaves the former slot as it was;
    /// an error of fsync is final, because the kernel reports it once and would then call the next one a success.
    ///
    /// With `keep_former` the former slot is kept as `.NAME_backup.before`, unless there is one already.
    pub fn publish(mut self, manifest: &File, written: &Written, keep_former: bool) -> Result<(), StateError> {
        let path = self.places.new_slot();
        manifest.sync_all().at("write", &path.join(MANIFEST))?;
        self.sync(written).at("write", &path)?;
        self.sync_beside()?;
        sync_directory(&path)?;
        let slot = self.places.slot();
        let kept = keep_former && self.places.keep_former()?;
        match swap(&path, &slot, &self.places.old_slot()) {
            Ok(()) => self.published = true,
            // The former slot lies in the lower layer of an overlay, which moves no directory of it.
            Err(Errno::XDEV) => {
                fs::rename(&path, self.places.next_slot()).at("swap in", &slot)?;
                self.places.take_next()?;
                self.published = true;
            }
            Err(error) => {
                if kept {
                    fs::rename(self.places.before_slot(), &slot).at("put back", &slot)?;
                }
                return Err(error).at("swap in", &slot).map_err(Into::into);
            }
        }
        sync_directory(&self.places.store)?;
        for leftover in [self.places.new_slot(), self.places.old_slot()] {
            // The slot is in place whatever becomes of the former one, which recovery removes as well.
            if let Err(error) = remove(&leftover) {
                tracing::warn!("a former slot stays until the next run: {error}");
            }
        }
        Ok(())
    }

    fn sync_beside(&self) -> Result<(), StateError> {
        let path = self.path();
        let databases = path.join(DATABASES);
        let mut synced: Vec<PathBuf> = match fs::read_dir(&databases) {
            Err(error) if is_absence(&error) => Vec::new(),
            other => {
                let listed =
                    other.and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>());
                listed.at("list", &databases)?
            }
        };
        synced.extend([databases, path.join(SERVICES)]);
        for path in synced {
            match File::open(&path).and_then(|file| file.sync_all()) {
                Err(error) if is_absence(&error) => {}
                other => other.at("write", &path)?,
            }
        }
        Ok(())
    }

    fn sync(&self, written: &Written) -> io::Result<()> {
        let files = self.files.readable(Path::new("/"))?;
        if written.more {
            return Ok(rustix::fs::syncfs(&files)?);
        }
        for path in &written.paths {
            let (directory, name) = self.files.parent(path)?;
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            match openat(&directory, name, flags, Mode::empty()) {
                // A symbolic link is durable with its directory.
                Err(Errno::LOOP) => {}
                other => rustix::fs::fsync(other?)?,
            }
        }
        Ok(rustix::fs::fsync(&files)?)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = remove(&self.places.new_slot())
        {
            tracing::warn!("an unfinished backup stays until the next run: {error}");
        }
    }
}

pub(super) fn swap(new: &Path, slot: &Path, old: &Path) -> Result<(), Errno> {
    match renameat_with(CWD, new, CWD, slot, RenameFlags::NOREPLACE) {
        Err(Errno::EXIST) => {}
        // The file system knows no flags at all.
        Err(Errno::INVAL | Errno::NOSYS) if fs::symlink_metadata(slot).is_err() => {
            return rustix::fs::rename(new, slot);
        }
        Err(Errno::INVAL | Errno::NOSYS) => {}
        other => return other,
    }
    match renameat_with(CWD, new, CWD, slot, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            rustix::fs::rename(slot, old)?;
            rustix::fs::rename(new, slot).or_else(|error| rustix::fs::rename(old, slot).and(Err(error)))
        }
        other => other,
    }
}

/// Takes a slot that is being built for this process; refused while another one builds it.
fn lock(path: &Path) -> Result<File, PathError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = File::from(openat(CWD, path, flags, Mode::empty()).at("open", path)?);
    flock(&directory, FlockOperation::NonBlockingLockExclusive).at("touch, while another process builds it,", path)?;
    Ok(directory)
}

/// Removes what a process that is gone was building. What is no directory nobody builds.
fn remove_abandoned(path: &Path) -> Result<(), PathError> {
    let _lock = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Some(lock(path)?),
        _ => None,
    };
    remove(path)
}

/// Removes a directory of the store, or whatever else is there, however deep it is.
pub(super) fn remove(path: &Path) -> Result<(), PathError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let directory = File::open(parent).at("open", parent)?;
    match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from) {
        Err(error) if is_absence(&error) => Ok(()),
        other => {
            other.and_then(|_| remove_all_at(std::os::fd::AsFd::as_fd(&directory), OsStr::new(name))).at("remove", path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_somebody_builds_is_left_to_them_and_one_that_was_given_up_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::new(folder.path(), &"web".parse().unwrap());
        let building = Staging::create(&places).unwrap();
        for refused in [places.recover(), places.remove().map(drop)] {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("another process builds it"), "{error}");
        }
        assert!(Staging::create(&places).is_err() && building.path().join(FILES).is_dir());
        let abandoned = building.path();
        drop(building);
        fs::create_dir(&abandoned).unwrap();
        places.recover().unwrap();
        assert!(!abandoned.exists());
    }
}
