//! The machine that modules see, looked at from outside: what is at a path, with its links followed inside that machine.
//!
//! Below `--root` a path is the root's where the root has it, and this machine's otherwise. Only for telling a person
//! something, and for refusing: what is granted is decided elsewhere, and never by following links.

use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::denials::OnMachine;
use crate::config::Machine;

/// How many links are followed; see path_resolution(7).
const MOST_LINKS: usize = 40;

/// A look at the machine.
#[derive(Debug)]
pub(super) struct View {
    machine: Machine,
}

impl View {
    pub(super) fn new(machine: Machine) -> Self {
        Self { machine }
    }

    /// What is at `path`.
    pub(super) fn look(&self, path: &Path) -> OnMachine {
        let path = self.resolve(path);
        let found = self.metadata(&path);
        let parent = path.parent().and_then(|parent| self.metadata(parent)).is_some_and(|parent| parent.is_dir());
        OnMachine { exists: found.is_some(), folder: found.is_some_and(|found| found.is_dir()), parent, path }
    }

    /// What is at `path` itself, a link not followed.
    pub(super) fn metadata(&self, path: &Path) -> Option<Metadata> {
        match &self.machine {
            Machine::Host => fs::symlink_metadata(path).ok(),
            Machine::Root(root) => {
                let below = root.join(path.strip_prefix("/").unwrap_or(path));
                fs::symlink_metadata(below).or_else(|_| fs::symlink_metadata(path)).ok()
            }
        }
    }

    /// `path` without links on its way, the last component's own included; absent parts stay as they are.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        let mut left: Vec<Vec<u8>> = parts(path);
        let mut whole = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == b".." {
                whole.pop();
                continue;
            }
            let next = whole.join(std::ffi::OsStr::from_bytes(&part));
            match self.link(&next) {
                Some(content) if links < MOST_LINKS => {
                    links += 1;
                    if content.is_absolute() {
                        whole = PathBuf::from("/");
                    }
                    left.extend(parts(&content));
                }
                _ => whole = next,
            }
        }
        whole
    }

    fn link(&self, path: &Path) -> Option<PathBuf> {
        // The kernel's own links lead to whoever asks.
        if path.starts_with("/proc") || !self.metadata(path)?.is_symlink() {
            return None;
        }
        match &self.machine {
            Machine::Host => fs::read_link(path).ok(),
            Machine::Root(root) => {
                let below = root.join(path.strip_prefix("/").unwrap_or(path));
                fs::read_link(below).or_else(|_| fs::read_link(path)).ok()
            }
        }
    }
}

// In reverse, to be popped one by one.
fn parts(path: &Path) -> Vec<Vec<u8>> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.as_bytes().to_vec()),
        Component::ParentDir => Some(b"..".to_vec()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut parts: Vec<_> = parts.collect();
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_inside_the_root_and_circles_end() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("srv/real")).unwrap();
        fs::write(root.path().join("srv/real/file"), "").unwrap();
        std::os::unix::fs::symlink("/srv/real", root.path().join("srv/absolute")).unwrap();
        std::os::unix::fs::symlink("../srv/real", root.path().join("srv/relative")).unwrap();
        std::os::unix::fs::symlink("circle", root.path().join("srv/circle")).unwrap();
        let view = View::new(Machine::Root(root.path().to_owned()));
        for path in ["/srv/absolute/file", "/srv/relative/file", "/srv/real/file"] {
            let found = view.look(Path::new(path));
            assert_eq!((found.path.as_path(), found.exists), (Path::new("/srv/real/file"), true));
        }
        let absent = view.look(Path::new("/srv/real/none"));
        assert!(!absent.exists && absent.parent);
        view.look(Path::new("/srv/circle/x"));
    }
}
