//! What a module may write, resolved on the machine as it is now: which paths exist, which are absent and have to be
//! made so that they can be mounted, and which can't be granted at all.
//!
//! A path that is not there yet is made writable by the topmost folder that is missing; where only its last component is
//! missing, the text decides: a trailing slash, no dot in the name or a name ending in `.d` means a folder.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use updates_protocol::{DeclaredPath, ModuleName};

use crate::config::{Layout, Machine};
use crate::fs::{IoContext, PathError};

/// A path that the module may write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As modules see it.
    pub path: DeclaredPath,
    /// Where it lies.
    pub place: PathBuf,
    /// What is there.
    pub state: EntryState,
}

/// What is at a writable path before the module runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryState {
    /// A file, folder or whatever can be mounted.
    Present,
    /// A folder of the machine that shines through below `--root`, and is not in that tree yet: writes will land in a new
    /// one there.
    Below,
    /// A symbolic link: saved, but not writable, since a mount would follow it.
    Link,
    /// Nothing; to be made so that there is something to mount.
    Absent(Placeholder),
}

/// What is made at an absent path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placeholder {
    /// An empty folder, and inside it these folders, relative, so that the parents of all declared paths are there.
    Folder(Vec<PathBuf>),
    /// An empty file.
    File,
}

/// Why a declared path can't be granted.
#[derive(Debug, thiserror::Error)]
pub enum WritableError {
    /// It lies in, or above, a place that would let the module undo its own supervision.
    #[error(
        "{path} can't be declared: it covers {own}, which belongs to the supervisor; declare the folders beside it"
    )]
    Own {
        /// The declared path.
        path: DeclaredPath,
        /// The supervisor's place.
        own: String,
    },
    /// It is reached through a symbolic link.
    #[error("{path} can't be declared: {link} is a symbolic link; declare {real} instead", link = link.display(), real = real.display())]
    ThroughLink {
        /// The declared path.
        path: DeclaredPath,
        /// The link.
        link: PathBuf,
        /// The same place without a link.
        real: PathBuf,
    },
    /// A component that should be a folder is something else.
    #[error("{path} can't be declared: {} is not a folder", part.display())]
    NotAFolder {
        /// The declared path.
        path: DeclaredPath,
        /// The component.
        part: PathBuf,
    },
    /// The system refused.
    #[error(transparent)]
    Io(#[from] PathError),
}

/// Resolves `declared` for the module `name`. Nothing is changed.
pub fn resolve(
    layout: &Layout,
    name: &ModuleName,
    declared: impl Iterator<Item = DeclaredPath>,
) -> Result<Vec<Entry>, WritableError> {
    let machine = layout.machine();
    let mut entries: Vec<Entry> = Vec::new();
    for path in outermost(declared) {
        forbid_own_places(layout, name, &path)?;
        let entry = look(&machine, path)?;
        match entries.iter_mut().find(|known| known.path == entry.path) {
            // Two absent paths below the same missing folder become one entry with both their parents.
            Some(Entry { state: EntryState::Absent(Placeholder::Folder(known)), .. }) => {
                if let EntryState::Absent(Placeholder::Folder(more)) = entry.state {
                    known.extend(more);
                }
            }
            Some(_) => {}
            None => entries.push(entry),
        }
    }
    Ok(entries)
}

// Nested and repeated declarations say nothing that the outermost does not say.
fn outermost(declared: impl Iterator<Item = DeclaredPath>) -> Vec<DeclaredPath> {
    let mut paths: Vec<_> = declared.collect();
    paths.sort_by(|a, b| a.as_path().cmp(b.as_path()).then(b.is_folder().cmp(&a.is_folder())));
    let mut kept: Vec<DeclaredPath> = Vec::new();
    for path in paths {
        if !kept.iter().any(|outer| path.is_within(outer)) {
            kept.push(path);
        }
    }
    kept
}

fn forbid_own_places(layout: &Layout, name: &ModuleName, path: &DeclaredPath) -> Result<(), WritableError> {
    let state = layout.module_state(name);
    let code = Layout::module_inside(name);
    if path.as_path().starts_with(&state) || path.as_path().starts_with(&code) {
        return Ok(());
    }
    match own_place(path.as_path()) {
        Some(own) => Err(WritableError::Own { path: path.clone(), own: own.to_owned() }),
        None => Ok(()),
    }
}

/// The place of the supervisor's, or of the sandbox's own, that `path` lies in or covers: no module may declare it.
pub(super) fn own_place(path: &Path) -> Option<&'static str> {
    const OWN: [&str; 8] = [
        "/var/lib/updates",
        "/var/backups",
        "/run/updates",
        "/etc/updates",
        "/usr/local/lib/updates",
        "/proc",
        "/sys",
        "/dev",
    ];
    OWN.into_iter().find(|own| path.starts_with(own) || Path::new(own).starts_with(path))
}

fn look(machine: &Machine, path: DeclaredPath) -> Result<Entry, WritableError> {
    let components: Vec<PathBuf> = path.as_path().ancestors().map(Path::to_owned).collect();
    for part in components.iter().rev().skip(1) {
        let declared = declared(part);
        let place = machine.locate(&declared);
        let last = part == path.as_path();
        match found(machine, part, &place)? {
            Some(metadata) if last && metadata.is_symlink() => {
                return Ok(Entry { place, path, state: EntryState::Link });
            }
            Some(metadata) if metadata.is_symlink() => {
                let content = fs::read_link(&place).at("read", &place)?;
                let rest = path.as_path().strip_prefix(part).unwrap_or(Path::new(""));
                let real = part.parent().unwrap_or(Path::new("/")).join(content).join(rest);
                return Err(WritableError::ThroughLink { link: part.clone(), real, path });
            }
            Some(metadata) if !last && !metadata.is_dir() => {
                return Err(WritableError::NotAFolder { part: part.clone(), path });
            }
            Some(_) => {}
            None if last => {
                let state = EntryState::Absent(if means_folder(&path) {
                    Placeholder::Folder(Vec::new())
                } else {
                    Placeholder::File
                });
                return Ok(Entry { place, path, state });
            }
            None => {
                let inner = path.as_path().strip_prefix(part).unwrap_or(Path::new(""));
                let inner = if means_folder(&path) { Some(inner) } else { inner.parent() };
                let folders = inner.into_iter().filter(|p| !p.as_os_str().is_empty()).map(Path::to_owned).collect();
                return Ok(Entry { place, path: declared, state: EntryState::Absent(Placeholder::Folder(folders)) });
            }
        }
    }
    let place = machine.locate(&path);
    let state = if place.symlink_metadata().is_ok() { EntryState::Present } else { EntryState::Below };
    Ok(Entry { place, path, state })
}

// Below `--root` the machine's own folders shine through: one that only they have is a folder that exists.
fn found(machine: &Machine, part: &Path, place: &Path) -> Result<Option<fs::Metadata>, PathError> {
    match fs::symlink_metadata(place) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => match machine {
            Machine::Host => Ok(None),
            Machine::Root(_) => Ok(fs::metadata(part).ok().filter(fs::Metadata::is_dir)),
        },
        Err(error) => Err(error).at("look at", place),
    }
}

fn declared(path: &Path) -> DeclaredPath {
    // A prefix of a checked path passes the same check.
    DeclaredPath::new(&path.to_string_lossy()).unwrap_or_else(|_| unreachable!("a prefix of a declared path"))
}

/// Whether a declared path that is not there yet is taken for a folder, by its text.
pub(super) fn means_folder(path: &DeclaredPath) -> bool {
    let name = path.as_path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.is_folder() || !name.contains('.') || name.ends_with(".d")
}

impl Entry {
    /// Whether something has to be made for it, so that it may stand for more than what was declared.
    pub fn is_new(&self) -> bool {
        matches!(self.state, EntryState::Absent(_))
    }

    /// Makes what has to be there for the mount. The checkpoint that says "absent" must be sealed before.
    pub fn make(&self, machine: &Machine) -> Result<(), PathError> {
        match &self.state {
            EntryState::Link => return Ok(()),
            EntryState::Present => return Ok(()),
            EntryState::Below => create_folders(machine, &self.path, &self.place)?,
            EntryState::Absent(Placeholder::Folder(inner)) => {
                create_folders(machine, &self.path, &self.place)?;
                for folder in inner {
                    let folder = self.place.join(folder);
                    fs::create_dir_all(&folder).at("create", &folder)?;
                }
            }
            EntryState::Absent(Placeholder::File) => {
                if let (Some(parent), Some(place)) = (self.path.as_path().parent(), self.place.parent()) {
                    create_folders(machine, &declared(parent), place)?;
                }
                match File::create_new(&self.place) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    other => other.map(drop).at("create", &self.place)?,
                }
            }
        }
        Ok(())
    }

    /// Removes what [`make`](Self::make) made, where the module put nothing there.
    pub fn tidy(&self) -> Result<(), PathError> {
        match &self.state {
            EntryState::Absent(Placeholder::File) => match fs::symlink_metadata(&self.place) {
                Ok(metadata) if metadata.is_file() && metadata.len() == 0 && never_written(&metadata) => {
                    fs::remove_file(&self.place).at("remove", &self.place)
                }
                _ => Ok(()),
            },
            EntryState::Absent(Placeholder::Folder(inner)) => {
                for folder in inner {
                    for part in folder.ancestors().filter(|part| !part.as_os_str().is_empty()) {
                        remove_if_empty(&self.place.join(part))?;
                    }
                }
                remove_if_empty(&self.place)
            }
            // A folder that only the machine below had, and that nothing was written to.
            EntryState::Below => remove_if_empty(&self.place),
            EntryState::Present | EntryState::Link => Ok(()),
        }
    }
}

// A file that was opened for writing and left empty on purpose has a later time than its birth.
fn never_written(metadata: &fs::Metadata) -> bool {
    metadata.mtime() == metadata.ctime()
        && metadata.mtime_nsec() == metadata.ctime_nsec()
        && metadata.nlink() == 1
        && metadata
            .created()
            .and_then(|born| Ok((born, metadata.modified()?)))
            .is_ok_and(|(born, changed)| born == changed)
}

// Only as it was made: a module that gave an empty folder an owner or a mode wants it.
fn remove_if_empty(path: &Path) -> Result<(), PathError> {
    let as_made = |found: &fs::Metadata| {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        found.is_dir() && found.mode() & 0o7777 == 0o755 && (found.uid(), found.gid()) == (uid, gid)
    };
    if !fs::symlink_metadata(path).is_ok_and(|found| as_made(&found)) {
        return Ok(());
    }
    match fs::remove_dir(path) {
        Ok(()) => Ok(()),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(error).at("remove", path),
    }
}

fn create_folders(machine: &Machine, path: &DeclaredPath, place: &Path) -> Result<(), PathError> {
    if place.is_dir() {
        return Ok(());
    }
    if let (Some(parent), Some(above)) = (path.as_path().parent(), place.parent()) {
        create_folders(machine, &declared(parent), above)?;
    }
    match fs::create_dir(place) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error).at("create", place),
        Ok(()) => {
            // A folder that shines through from the machine below keeps its mode; /tmp's sticky bit for example.
            let mode = match machine {
                Machine::Root(_) => fs::metadata(path.as_path()).map_or(0o755, |below| below.mode() & 0o7777),
                Machine::Host => 0o755,
            };
            fs::set_permissions(place, fs::Permissions::from_mode(mode)).at("set the mode of", place)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(root: &Path, declared: &[&str]) -> Result<Vec<Entry>, WritableError> {
        let paths = declared.iter().map(|path| DeclaredPath::new(path).unwrap()).collect::<Vec<_>>();
        resolve(&Layout::new(root), &"app".parse().unwrap(), paths.into_iter())
    }

    #[test]
    fn an_absent_path_is_writable_from_its_topmost_missing_folder() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("srv")).unwrap();
        let found = entries(root.path(), &["/srv/app/conf/a.conf", "/srv/app/data/"]).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path.as_path(), Path::new("/srv/app"));
        found[0].make(&Layout::new(root.path()).machine()).unwrap();
        assert!(root.path().join("srv/app/conf").is_dir() && root.path().join("srv/app/data").is_dir());
        fs::write(root.path().join("srv/app/data/kept"), "").unwrap();
        found[0].tidy().unwrap();
        assert!(!root.path().join("srv/app/conf").exists() && root.path().join("srv/app/data/kept").exists());
    }

    #[test]
    fn the_text_says_whether_a_missing_last_component_is_a_folder() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("srv")).unwrap();
        let found = entries(root.path(), &["/srv/a.conf", "/srv/b", "/srv/c.d", "/srv/d.x/"]).unwrap();
        let kinds: Vec<_> = found.iter().map(|e| matches!(e.state, EntryState::Absent(Placeholder::File))).collect();
        assert_eq!(kinds, [true, false, false, false]);
        let machine = Layout::new(root.path()).machine();
        for entry in &found {
            entry.make(&machine).unwrap();
        }
        assert!(root.path().join("srv/a.conf").is_file());
        for entry in &found {
            entry.tidy().unwrap();
        }
        assert_eq!(fs::read_dir(root.path().join("srv")).unwrap().count(), 0);
    }

    #[test]
    fn the_supervisors_own_places_are_refused_from_below_and_from_above() {
        let root = tempfile::tempdir().unwrap();
        for path in ["/", "/var", "/var/lib/updates/updates.db", "/etc/updates/modules.d", "/usr", "/proc/sys"] {
            let error = entries(root.path(), &[path]).unwrap_err().to_string();
            assert!(error.contains("belongs to the supervisor"), "{path}: {error}");
        }
        entries(root.path(), &["/var/lib/updates/state/app", "/usr/local/lib/updates/modules/app"]).unwrap();
        assert!(entries(root.path(), &["/usr/local/lib/updates/modules/other"]).is_err());
    }

    #[test]
    fn a_path_through_a_link_is_refused_with_the_real_path_and_a_link_itself_is_saved() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("srv/real")).unwrap();
        std::os::unix::fs::symlink("real", root.path().join("srv/link")).unwrap();
        let error = entries(root.path(), &["/srv/link/file"]).unwrap_err().to_string();
        assert!(error.contains("/srv/link is a symbolic link"), "{error}");
        assert_eq!(entries(root.path(), &["/srv/link"]).unwrap()[0].state, EntryState::Link);
    }

    #[test]
    fn nested_and_repeated_declarations_are_one() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("srv/a/b")).unwrap();
        let found = entries(root.path(), &["/srv/a/b", "/srv/a", "/srv//a/"]).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].state, EntryState::Present);
    }
}
