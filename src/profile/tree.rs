//! The file tree while it is planned: a list of mounts that knows what covers a path so far.

use std::path::{Path, PathBuf};

use updates_protocol::{Access, Mount};

/// Size of a directory that only holds mount points, in bytes.
const SMALL: u64 = 1 << 20;

/// The mounts so far, in order. Of two that cover a path, the later one is seen.
#[derive(Debug, Default)]
pub(super) struct Tree {
    mounts: Vec<Mount>,
    covers: Vec<(PathBuf, Cover)>,
}

/// What is seen at a path and below it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cover {
    /// The sandbox's own tree, in which mount points are made as needed.
    Own,
    /// The machine's directory.
    Machine { source: PathBuf, access: Access },
    /// Several directories, or nothing at all.
    Other,
}

impl Tree {
    pub(super) fn push(&mut self, mount: Mount) {
        let cover = match &mount {
            Mount::Bind { source, target, access } => {
                Some((target.clone(), Cover::Machine { source: source.clone(), access: *access }))
            }
            Mount::Overlay { target, .. } | Mount::Inaccessible { target } | Mount::File { target, .. } => {
                Some((target.clone(), Cover::Other))
            }
            Mount::Tmpfs { target, .. } | Mount::Directory { target } => Some((target.clone(), Cover::Own)),
            Mount::Symlink { .. } | Mount::Proc { .. } | Mount::Dev => None,
        };
        self.covers.extend(cover);
        self.mounts.push(mount);
    }

    /// Shows `source` at `target`, unless just that is seen there already.
    pub(super) fn bind(&mut self, source: &Path, target: &Path, access: Access) {
        if let Some((above, Cover::Machine { source: shown, access: given })) = self.cover(target)
            && *given == access
            && target.strip_prefix(above).is_ok_and(|below| shown.join(below) == source)
        {
            return;
        }
        self.push(Mount::Bind { source: source.to_owned(), target: target.to_owned(), access });
    }

    pub(super) fn tmpfs(&mut self, target: &Path, size: u64, mode: u32) {
        self.push(Mount::Tmpfs { target: target.to_owned(), size, mode });
    }

    /// Hides `target`; an empty directory that can be passed through takes its place where something below it is to be
    /// seen later.
    pub(super) fn hide(&mut self, target: &Path, later: &[PathBuf]) {
        if later.iter().any(|path| path != target && path.starts_with(target)) {
            self.tmpfs(target, SMALL, 0o711);
        } else {
            self.push(Mount::Inaccessible { target: target.to_owned() });
        }
    }

    /// Hides `target` with all below it, where the machine's own would be seen.
    pub(super) fn hide_if_seen(&mut self, target: &Path) {
        if matches!(self.cover(target), Some((_, Cover::Machine { .. } | Cover::Other))) {
            self.push(Mount::Inaccessible { target: target.to_owned() });
        }
    }

    /// Makes sure that mount points can be made below `target`.
    pub(super) fn own(&mut self, target: &Path) {
        if !matches!(self.cover(target), None | Some((_, Cover::Own))) {
            self.tmpfs(target, SMALL, 0o755);
        }
    }

    pub(super) fn into_mounts(self) -> Vec<Mount> {
        self.mounts
    }

    fn cover(&self, path: &Path) -> Option<&(PathBuf, Cover)> {
        self.covers.iter().rev().find(|(target, _)| path.starts_with(target))
    }
}
