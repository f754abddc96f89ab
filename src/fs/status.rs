//! What the kernel says of one inode, taken by statx(2) without following a link or opening what is there.
//!
//! One plain value for the walk, the comparison and the copy, so that they can't disagree about what "the same" is.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxAttributes, StatxFlags, StatxTimestamp, makedev, statx};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A moment by a file system's clock, written as `[seconds, nanoseconds]` since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(i64, u32)", into = "(i64, u32)")]
pub struct Time {
    /// Whole seconds since the epoch; negative before it.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// What an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// The inode flags of chattr(1) that statx(2) reports on every file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Flags {
    /// Nothing about it can be changed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub immutable: bool,
    /// It can only grow.
    #[serde(default, skip_serializing_if = "is_false")]
    pub append: bool,
    /// dump(8) leaves it out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub nodump: bool,
}

/// One inode's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: 12 bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes, holes included.
    pub size: u64,
    /// Bytes that really take space.
    pub allocated: u64,
    /// Last read, as far as the mount keeps it.
    pub atime: Time,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of the inode; no program can set it.
    pub ctime: Time,
    /// The device it lies on.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// How many names it has.
    pub links: u32,
    /// The mount it was reached through; 0 before Linux 5.8.
    pub mount: u64,
    /// For a device: which one.
    pub number: u64,
    /// Flags of chattr(1).
    pub flags: Flags,
}

impl Status {
    /// The status of `name` in `directory`; an empty name means `directory` itself, whatever it was opened as.
    pub fn at(directory: impl AsFd, name: &OsStr) -> io::Result<Status> {
        // AT_NO_AUTOMOUNT: looking must not mount anything.
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
        let found = statx(directory, name, flags, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID)?;
        Status::from_statx(&found)
    }

    fn from_statx(found: &Statx) -> io::Result<Status> {
        let kind = match FileType::from_raw_mode(u32::from(found.stx_mode)) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::CharacterDevice => Kind::CharDevice,
            FileType::BlockDevice => Kind::BlockDevice,
            FileType::Unknown => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "it is of a type that is not known"));
            }
        };
        let set = |flag| found.stx_attributes.contains(flag);
        Ok(Status {
            kind,
            mode: u32::from(found.stx_mode) & 0o7777,
            uid: found.stx_uid,
            gid: found.stx_gid,
            size: found.stx_size,
            allocated: found.stx_blocks.saturating_mul(512),
            atime: found.stx_atime.into(),
            mtime: found.stx_mtime.into(),
            ctime: found.stx_ctime.into(),
            device: makedev(found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            links: found.stx_nlink,
            mount: found.stx_mnt_id,
            number: makedev(found.stx_rdev_major, found.stx_rdev_minor),
            flags: Flags {
                immutable: set(StatxAttributes::IMMUTABLE),
                append: set(StatxAttributes::APPEND),
                nodump: set(StatxAttributes::NODUMP),
            },
        })
    }

    /// Whether nothing that content or metadata depend on has moved between two looks at one inode.
    pub fn is_unmoved(&self, later: &Status) -> bool {
        (self.inode, self.device, self.size, self.mtime, self.ctime)
            == (later.inode, later.device, later.size, later.mtime, later.ctime)
    }
}

/// Whether an inode changed so shortly before `began` that a further change could carry the same ctime.
///
/// File systems stamp with the kernel's coarse clock, which ticks every 1 to 10 ms; ones that keep whole seconds show
/// no nanoseconds, and FAT keeps every other second. A ctime in the future is racy too, so a clock that was set back
/// costs a reading and never a change.
pub fn is_racy(ctime: Time, began: Time) -> bool {
    const TICK: u32 = 20_000_000;
    const SECOND: u32 = 1_000_000_000;
    let mut settled = ctime;
    if ctime.nanoseconds == 0 {
        settled.seconds = settled.seconds.saturating_add(2);
    }
    settled.nanoseconds += TICK;
    if settled.nanoseconds >= SECOND {
        settled.nanoseconds -= SECOND;
        settled.seconds = settled.seconds.saturating_add(1);
    }
    settled >= began
}

impl Flags {
    /// Whether one of them forbids changes.
    pub fn forbid_changes(self) -> bool {
        self.immutable || self.append
    }
}

impl Time {
    /// Now, by the kernel's coarse clock that file systems stamp with: a comparison with a ctime means something.
    pub fn now() -> Time {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        Time { seconds: now.tv_sec, nanoseconds: u32::try_from(now.tv_nsec).unwrap_or(0) }
    }
}

impl From<StatxTimestamp> for Time {
    fn from(time: StatxTimestamp) -> Time {
        Time { seconds: time.tv_sec, nanoseconds: time.tv_nsec }
    }
}

impl From<(i64, u32)> for Time {
    fn from((seconds, nanoseconds): (i64, u32)) -> Time {
        Time { seconds, nanoseconds }
    }
}

impl From<Time> for (i64, u32) {
    fn from(time: Time) -> (i64, u32) {
        (time.seconds, time.nanoseconds)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;

    // faults: 24 50
    #[test]
    fn a_change_just_before_the_backup_or_in_the_future_is_racy() {
        let time = |seconds, nanoseconds| Time { seconds, nanoseconds };
        assert!(!is_racy(time(10, 5), time(10, 30_000_000)));
        assert!(is_racy(time(10, 5), time(10, 10_000_000)));
        assert!(is_racy(time(10, 999_000_000), time(11, 1)));
        assert!(is_racy(time(10, 0), time(11, 900_000_000)), "a clock of whole seconds");
        assert!(is_racy(time(99, 5), time(10, 0)), "a clock that went back");
    }
}
