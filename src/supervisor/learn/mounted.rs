//! What is mounted on this machine: an overlay shows one file system, so what is mounted inside needs one of its own.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::fs::{IoContext, PathError};

/// File systems that can't lie below an overlay, or not as themselves: names that differ in case alone, files that change
/// on another machine, and the kernel's own. See the kernel's documentation of overlayfs.
const NOT_BELOW: [&str; 16] = [
    "vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuse", "fuseblk", "nfs", "nfs4", "cifs", "9p", "autofs", "proc",
    "sysfs", "devtmpfs", "virtiofs",
];

/// The mounts of this process's namespace.
#[derive(Debug, Clone, Default)]
pub(super) struct Mounted {
    mounts: Vec<(PathBuf, String)>,
    /// Whether they can't be taken apart: in a user namespace an overlay would uncover what they hide.
    locked: bool,
}

impl Mounted {
    /// Reads them; see proc_pid_mountinfo(5).
    pub(super) fn read() -> Result<Self, PathError> {
        let path = Path::new("/proc/self/mountinfo");
        let locked = !rustix::process::geteuid().is_root();
        Ok(Self { locked, ..Self::parse(&fs::read(path).at("read", path)?) })
    }

    fn parse(text: &[u8]) -> Self {
        let mounts = text.split(|byte| *byte == b'\n').filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ');
            let point = fields.nth(4)?;
            let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
            Some((unescaped(point), String::from_utf8_lossy(kind).into_owned()))
        });
        Self { mounts: mounts.collect(), locked: false }
    }

    /// The kind of the file system that `path` lies on.
    pub(super) fn kind(&self, path: &Path) -> &str {
        // Of two mounts at one point the later covers the earlier.
        let holds = self.mounts.iter().filter(|(point, _)| path.starts_with(point));
        holds.max_by_key(|(point, _)| point.components().count()).map_or("", |(_, kind)| kind)
    }

    /// What is mounted below `path`, each point once, those above before those below.
    pub(super) fn inside(&self, path: &Path) -> Vec<PathBuf> {
        let mut points: Vec<PathBuf> = self
            .mounts
            .iter()
            .map(|(point, _)| point)
            .filter(|point| *point != path && point.starts_with(path))
            .cloned()
            .collect();
        points.sort();
        points.dedup();
        points
    }

    /// Whether `path` can lie below an overlay.
    pub(super) fn can_lie_below(&self, path: &Path) -> bool {
        let kind = self.kind(path);
        let covered = self.locked && !self.inside(path).is_empty();
        !covered && !NOT_BELOW.contains(&kind) && !kind.starts_with("fuse.")
    }

    /// Whether the changes of an overlay can be kept at `path`.
    pub(super) fn can_keep_changes(&self, path: &Path) -> bool {
        ["ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "f2fs", "zfs", "bcachefs"].contains(&self.kind(path))
    }
}

// A blank is written as \040.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match (first, octal.and_then(|digits| u8::from_str_radix(digits, 8).ok())) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
impl Mounted {
    pub(super) fn of(mounts: &[(&str, &str)]) -> Self {
        Self {
            mounts: mounts.iter().map(|(point, kind)| (PathBuf::from(point), (*kind).to_owned())).collect(),
            locked: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_and_kinds_are_read_with_their_blanks() {
        let text = b"22 1 254:0 / / rw - ext4 /dev/vda rw\n30 22 0:1 / /srv/a\\040b rw shared:1 - vfat /dev/b rw\n";
        let mounted = Mounted::parse(text);
        assert_eq!(mounted.inside(Path::new("/srv")), [Path::new("/srv/a b")]);
        assert_eq!((mounted.kind(Path::new("/srv/a b/x")), mounted.kind(Path::new("/srv/a"))), ("vfat", "ext4"));
        assert!(!mounted.can_lie_below(Path::new("/srv/a b")) && mounted.can_keep_changes(Path::new("/tmp")));
    }
}
