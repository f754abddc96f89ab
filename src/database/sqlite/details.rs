//! What a slot remembers of an SQLite file beside its content: to whom it belonged, and by what it is recognised unread.

use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::fs::{Flags, IoContext, Kind, Node, PathError, Status, Time, Xattrs, is_racy};

/// What a dump itself does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// Of the database file.
    pub owner: Ownership,
    /// Of the directories above it, outermost first, so that missing ones come back as they were.
    pub parents: Vec<Ownership>,
    /// Just before the files were looked at, by the clock that stamps them.
    pub began: Time,
    /// The database, its `-wal` and its `-journal`, as they were before the dump began; `None` for what was not there.
    pub seen: [Option<Seen>; 3],
}

/// Owner, mode and all that comes with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ownership {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The 12 permission bits.
    pub mode: u32,
    /// Extended attributes, ACLs among them, names and values as bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Xattrs,
    /// Flags of chattr(1).
    #[serde(default, skip_serializing_if = "is_default")]
    pub flags: Flags,
}

/// What tells an inode from any other and from its own past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Device.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of the inode, which no program can set.
    pub ctime: Time,
}

impl Details {
    /// Takes down what is there now. To be called before the dump: what is written meanwhile then counts as moved.
    pub(super) fn of(place: &Place) -> Result<Self, PathError> {
        let began = Time::now();
        Ok(Self { seen: seen(place)?, owner: place.ownership()?, parents: place.parents()?, began })
    }

    /// Whether nobody was in the middle of anything: neither log nor journal, and a last change so long ago that another one
    /// would have another time.
    pub(super) fn is_at_rest(&self) -> bool {
        self.seen[1..].iter().all(Option::is_none) && self.is_settled()
    }

    fn is_settled(&self) -> bool {
        self.seen.iter().flatten().all(|seen| !is_racy(seen.ctime, self.began))
    }

    /// Whether nothing was written since: every file is the one that was seen, and was at rest then.
    ///
    /// Each commit writes to one of the three with write(2); what SQLite maps into memory for writing is the `-shm` alone.
    pub(super) fn is_unmoved(&self, place: &Place) -> Result<bool, PathError> {
        Ok(self.is_settled() && seen(place)? == self.seen)
    }
}

fn seen(place: &Place) -> Result<[Option<Seen>; 3], PathError> {
    let one = |suffix| Ok::<_, PathError>(place.status(suffix)?.as_ref().map(Seen::of));
    Ok([one("")?, one("-wal")?, one("-journal")?])
}

impl Seen {
    fn of(status: &Status) -> Self {
        let Status { device, inode, size, mtime, ctime, .. } = *status;
        Self { device, inode, size, mtime, ctime }
    }
}

impl Ownership {
    /// Reads them.
    pub(super) fn of(node: &Node) -> std::io::Result<Self> {
        let Status { uid, gid, mode, flags, .. } = node.status()?;
        Ok(Self { uid, gid, mode, flags, xattrs: node.xattrs()? })
    }

    /// Gives them to an inode, but for flags that forbid changes. The kernel clears bits and capabilities with the owner,
    /// and the group bits of the mode are the mask of an ACL, so the order is: owner, mode, extended attributes.
    pub(super) fn give(&self, node: &Node) -> std::io::Result<()> {
        let status = node.status()?;
        if status.flags.forbid_changes() && matches!(status.kind, Kind::File | Kind::Directory) {
            node.set_flags(Flags::default())?;
        }
        if (status.uid, status.gid) != (self.uid, self.gid) {
            node.set_owner(self.uid, self.gid)?;
        }
        if node.status()?.mode != self.mode {
            node.set_mode(self.mode)?;
        }
        node.set_xattrs(&self.xattrs)
    }

    /// Sets the flags, last of all, and makes the inode durable.
    pub(super) fn seal(&self, node: &Node, what: &std::path::Path) -> Result<(), PathError> {
        let file = node.read().at("open", what)?;
        rustix::fs::fsync(&file).at("write", what)?;
        if node.status().at("look at", what)?.flags != self.flags {
            node.set_flags(self.flags).at("set the flags of", what)?;
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default(flags: &Flags) -> bool {
    *flags == Flags::default()
}
