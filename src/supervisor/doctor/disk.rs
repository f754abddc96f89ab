//! Room for what a run writes, and whether each place can be written as runs need it.

use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statfs, statvfs};

use super::Finding;
use crate::supervisor::Supervisor;

const CHECK: &str = "disk";
/// Below this, not even a run record is safe.
const LEAST_BYTES: u64 = 64 << 20;
const LEAST_INODES: u64 = 1000;
/// Files whose sizes are added up at most; more are estimated as none, since this is a warning and no accounting.
const MOST_FILES: usize = 200_000;

/// File systems whose rename knows no exchange, or leaves that to a server; statfs(2) has the numbers.
const NO_EXCHANGE: [(u64, &str); 6] = [
    (0x6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "fuse"),
    (0x4d44, "vfat"),
];

/// What is known of one place.
struct Place {
    what: &'static str,
    path: PathBuf,
    read_only: bool,
    bytes: u64,
    inodes: Option<u64>,
    no_exchange: Option<&'static str>,
    /// What may be written there by one run: all checkpoints once more.
    need: u64,
}

pub(super) fn look(supervisor: &Supervisor) -> Vec<Finding> {
    let layout = &supervisor.layout;
    let checkpoints = size(&layout.checkpoints());
    let places = [
        ("the state", layout.state(), checkpoints),
        ("backups", layout.backups(), 0),
        ("modules", layout.modules(), 0),
    ];
    places.into_iter().map(|(what, path, need)| look_at(what, &path, need)).collect()
}

fn look_at(what: &'static str, path: &Path, need: u64) -> Finding {
    // Where it is not there yet, what it will be made in counts.
    let existing = path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    let (room, kind) = match (statvfs(existing), statfs(existing)) {
        (Ok(room), Ok(kind)) => (room, kind),
        (Err(error), _) | (_, Err(error)) => {
            let text = format!("{} can't be looked at: {error}", existing.display());
            return Finding::problem(CHECK, text, "mount what belongs there, or mend it");
        }
    };
    let magic = u64::from(kind.f_type as u32);
    judge(&Place {
        what,
        path: path.to_owned(),
        read_only: room.f_flag.contains(StatVfsMountFlags::RDONLY),
        bytes: room.f_bavail.saturating_mul(room.f_frsize),
        // Some file systems count none at all.
        inodes: (room.f_files > 0).then_some(room.f_favail),
        no_exchange: NO_EXCHANGE.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name),
        need,
    })
}

fn judge(place: &Place) -> Finding {
    let Place { what, path, bytes, need, .. } = place;
    let (path, free) = (path.display(), bytes >> 20);
    if place.read_only {
        let mend = "look in `journalctl -k` why, and mount it writable again";
        return Finding::problem(CHECK, format!("{path}, which holds {what}, is mounted read-only"), mend);
    }
    if *bytes < LEAST_BYTES {
        return Finding::problem(CHECK, format!("{path}, which holds {what}, has {free} MiB left"), "make room there");
    }
    if let Some(inodes) = place.inodes.filter(|inodes| *inodes < LEAST_INODES) {
        let text = format!("{path}, which holds {what}, has room for {inodes} more files");
        return Finding::problem(CHECK, text, "remove files there; `df -i` shows where they are");
    }
    if let Some(kind) = place.no_exchange {
        let text = format!("{path}, which holds {what}, is on {kind}, which may not exchange two folders in one step");
        return Finding::warning(CHECK, text, "put it on a local file system such as ext4, xfs or btrfs");
    }
    if bytes < need {
        let text = format!("{path} has {free} MiB left, and one run may write {} MiB of checkpoints", need >> 20);
        return Finding::warning(CHECK, text, "make room there, or let modules declare less");
    }
    Finding::ok(CHECK, format!("{path}, which holds {what}, has {free} MiB left"))
}

/// The size of all files below, as far as they can be read.
fn size(folder: &Path) -> u64 {
    let (mut sum, mut seen, mut folders) = (0u64, 0, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > MOST_FILES {
                return sum;
            }
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                Ok(meta) => sum = sum.saturating_add(meta.len()),
                Err(_) => {}
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::super::Health;
    use super::*;

    #[test]
    fn what_keeps_a_run_from_writing_is_a_problem_and_what_may_a_warning() {
        let place = || Place {
            what: "the state",
            path: "/var/lib/updates".into(),
            read_only: false,
            bytes: 10 << 30,
            inodes: Some(1 << 20),
            no_exchange: None,
            need: 1 << 30,
        };
        assert_eq!(judge(&place()).health, Health::Ok);
        assert_eq!(judge(&Place { inodes: None, ..place() }).health, Health::Ok);
        assert_eq!(judge(&Place { read_only: true, ..place() }).health, Health::Problem);
        assert_eq!(judge(&Place { bytes: 1 << 20, ..place() }).health, Health::Problem);
        assert_eq!(judge(&Place { inodes: Some(3), ..place() }).health, Health::Problem);
        assert_eq!(judge(&Place { need: 11 << 30, ..place() }).health, Health::Warning);
        assert_eq!(judge(&Place { no_exchange: Some("nfs"), ..place() }).health, Health::Warning);
    }
}
