//! Finding what differs from the targets, and putting it right.
//!
//! Every path is opened below the machine's root by openat2(2) with RESOLVE_NO_SYMLINKS, and changed through the open
//! descriptor: a link that a module plants between the look and the change leads nowhere.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid, chownat, fstat, openat, openat2,
};
use serde::Serialize;

use super::{OwnerError, Owners, PermissionTarget, TargetType};
use crate::config::Machine;
use crate::fs::{IoContext, PathError};

/// Directories below a recursive target are entered this deep at most.
const MAX_DEPTH: usize = 256;

/// One path that differs from its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// The path, as modules see it.
    pub path: PathBuf,
    /// `uid:gid mode` as found, mode in octal.
    pub from: String,
    /// `uid:gid mode` as declared.
    pub to: String,
}

/// Why targets could not be put right.
#[derive(Debug, thiserror::Error)]
pub enum PermissionError {
    /// A user or group is not known.
    #[error("{path}: {source}", path = path.display())]
    Owner {
        /// Whose owner.
        path: PathBuf,
        /// Which name.
        source: OwnerError,
    },
    /// A mode outside 0 to 0o7777.
    #[error("{}: mode {mode:#o} is outside 0 to 0o7777", path.display())]
    Mode {
        /// Whose mode.
        path: PathBuf,
        /// As given.
        mode: u32,
    },
    /// The path is not of the declared type.
    #[error("{} is not a {expected}", path.display())]
    Type {
        /// Where.
        path: PathBuf,
        /// `file` or `directory`.
        expected: &'static str,
    },
    /// The system refused.
    #[error(transparent)]
    Io(#[from] PathError),
}

/// What differs from `targets` on `machine`, without changing anything.
pub fn plan(machine: &Machine, targets: &[PermissionTarget]) -> Result<Vec<Planned>, PermissionError> {
    walk_targets(machine, targets, false)
}

/// Puts what differs right and returns it. Everything is looked at first, so that a mistake changes nothing.
pub fn apply(machine: &Machine, targets: &[PermissionTarget]) -> Result<Vec<Planned>, PermissionError> {
    if plan(machine, targets)?.is_empty() {
        return Ok(Vec::new());
    }
    walk_targets(machine, targets, true)
}

fn walk_targets(
    machine: &Machine,
    targets: &[PermissionTarget],
    change: bool,
) -> Result<Vec<Planned>, PermissionError> {
    let owners = Owners::of(machine);
    let root = match machine {
        Machine::Host => Path::new("/"),
        Machine::Root(root) => root,
    };
    let root_fd =
        openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).at("open", root)?;
    let mut found = Vec::new();
    for target in targets {
        let path = target.path.as_path();
        let owner = |source| PermissionError::Owner { path: path.to_owned(), source };
        if target.mode > 0o7777 {
            return Err(PermissionError::Mode { path: path.to_owned(), mode: target.mode });
        }
        let wanted = Wanted {
            uid: owners.user(&target.owner).map_err(owner)?,
            gid: owners.group(&target.group).map_err(owner)?,
            mode: target.mode,
            recursive: target.recursive,
            change,
        };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let relative = match target.path.relative() {
            relative if relative.as_os_str().is_empty() => Path::new("."),
            relative => relative,
        };
        let fd =
            openat2(&root_fd, relative, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve).at("open", path)?;
        let kind = FileType::from_raw_mode(fstat(&fd).at("look at", path)?.st_mode);
        match target.target_type {
            TargetType::File if kind != FileType::RegularFile => {
                return Err(PermissionError::Type { path: path.to_owned(), expected: "file" });
            }
            TargetType::Directory if kind != FileType::Directory => {
                return Err(PermissionError::Type { path: path.to_owned(), expected: "directory" });
            }
            _ => {}
        }
        wanted.visit(&fd, path, 0, &mut found)?;
    }
    Ok(found)
}

struct Wanted {
    uid: u32,
    gid: u32,
    mode: u32,
    recursive: bool,
    change: bool,
}

impl Wanted {
    fn visit(&self, fd: &OwnedFd, path: &Path, depth: usize, found: &mut Vec<Planned>) -> Result<(), PermissionError> {
        let stat = fstat(fd).at("look at", path)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Symlink {
            return Ok(());
        }
        if self.differs(&stat) {
            if self.change {
                self.put_right(fd, path)?;
            }
            let to = format!("{}:{} {:04o}", self.uid, self.gid, self.mode);
            let from = format!("{}:{} {:04o}", stat.st_uid, stat.st_gid, stat.st_mode & 0o7777);
            found.push(Planned { path: path.to_owned(), from, to });
        }
        if self.recursive && kind == FileType::Directory && depth < MAX_DEPTH {
            for name in names(fd, path)? {
                let child = path.join(OsStr::from_bytes(&name));
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match openat(fd, &*name, flags, Mode::empty()) {
                    Ok(fd) => self.visit(&fd, &child, depth + 1, found)?,
                    Err(rustix::io::Errno::NOENT) => {}
                    Err(error) => return Err(error).at("open", &child).map_err(PermissionError::Io),
                }
            }
        }
        Ok(())
    }

    fn differs(&self, stat: &Stat) -> bool {
        stat.st_uid != self.uid || stat.st_gid != self.gid || stat.st_mode & 0o7777 != self.mode
    }

    // The owner first: chown(2) clears the setuid bits that the mode may ask for.
    fn put_right(&self, fd: &OwnedFd, path: &Path) -> Result<(), PathError> {
        chownat(fd, "", Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)), AtFlags::EMPTY_PATH)
            .at("change the owner of", path)?;
        // An O_PATH descriptor takes no fchmod(2) before Linux 6.6; its magic link does.
        let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
        fs::set_permissions(link, fs::Permissions::from_mode(self.mode)).at("change the mode of", path)
    }
}

fn names(fd: &OwnedFd, path: &Path) -> Result<Vec<Vec<u8>>, PathError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(fd, ".", flags, Mode::empty()).at("read", path)?;
    let mut names = Vec::new();
    for entry in Dir::new(directory).at("read", path)? {
        let name = entry.at("read", path)?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};
    use updates_protocol::DeclaredPath;

    fn target(path: &str, mode: u32, recursive: bool) -> PermissionTarget {
        PermissionTarget {
            path: DeclaredPath::new(path).unwrap(),
            owner: nix::unistd::getuid().to_string(),
            group: nix::unistd::getgid().to_string(),
            mode,
            target_type: TargetType::Auto,
            recursive,
        }
    }

    fn machine() -> (tempfile::TempDir, Machine) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("srv/app/sub")).unwrap();
        fs::write(root.path().join("srv/app/sub/file"), "x").unwrap();
        let machine = Machine::Root(root.path().to_owned());
        (root, machine)
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_recursive_target_is_put_right_once_and_then_finds_nothing() {
        let (root, machine) = machine();
        let targets = [target("/srv/app", 0o750, true)];
        assert_eq!(plan(&machine, &targets).unwrap().len(), 3);
        assert_eq!(apply(&machine, &targets).unwrap().len(), 3);
        assert_eq!(mode(&root.path().join("srv/app/sub/file")), 0o750);
        assert_eq!(apply(&machine, &targets).unwrap(), []);
    }

    #[test]
    fn links_are_neither_followed_nor_changed() {
        let (root, machine) = machine();
        let outside = root.path().join("outside");
        fs::write(&outside, "").unwrap();
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&outside, root.path().join("srv/app/link")).unwrap();
        apply(&machine, &[target("/srv/app", 0o777, true)]).unwrap();
        assert_eq!(mode(&outside), 0o600);
        symlink("app", root.path().join("srv/way")).unwrap();
        let error = apply(&machine, &[target("/srv/way/sub", 0o700, false)]).unwrap_err();
        assert!(error.to_string().contains("/srv/way/sub"), "{error}");
    }

    #[test]
    fn mistakes_name_the_path() {
        let (_root, machine) = machine();
        let stranger = PermissionTarget { owner: "nobody-of-that-name".to_owned(), ..target("/srv/app", 0o700, false) };
        assert!(apply(&machine, &[stranger]).unwrap_err().to_string().contains("nobody-of-that-name"));
        let file = PermissionTarget { target_type: TargetType::File, ..target("/srv/app", 0o700, false) };
        assert_eq!(apply(&machine, &[file]).unwrap_err().to_string(), "/srv/app is not a file");
        assert!(apply(&machine, &[target("/srv/gone", 0o700, false)]).unwrap_err().to_string().contains("/srv/gone"));
        assert!(apply(&machine, &[target("/srv/app", 0o17777, false)]).is_err());
    }
}
