//! What a slot remembers of one path: what it was, what it held, and how to recognise that nothing has moved since.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::bytes::{self, Bytes};
use crate::fs::{Content, Flags, Kind, Status, Time, Xattrs, is_racy};

/// One path of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The path on the machine that modules see: absolute, normalised, any bytes.
    #[serde(with = "bytes::path")]
    pub path: PathBuf,
    /// What was there.
    pub node: SavedNode,
    /// Its metadata; absent where nothing was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Attributes>,
    /// What the live inode looked like; absent where nothing was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Identity>,
}

/// What was at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SavedNode {
    /// Nothing. Only declared paths are recorded so.
    Absent,
    /// A regular file.
    File {
        /// What it held.
        content: Content,
        /// Entries with the same number were names of one inode. Set where the inode had several names, be they
        /// inside the slot or not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link_group: Option<u32>,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// What it said.
        target: Bytes,
        /// As of a file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link_group: Option<u32>,
    },
    /// A FIFO, socket or device: recorded, never opened.
    Special {
        /// Which kind.
        kind: Kind,
        /// The device number, 0 for FIFO and socket.
        #[serde(default)]
        number: u64,
        /// As of a file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link_group: Option<u32>,
    },
    /// Another file system is mounted here: neither saved nor touched by a restore.
    Mount,
}

/// Metadata that comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// The 12 permission bits, written in octal.
    #[serde(with = "octal")]
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last access, put back only on what has to be written anew.
    pub atime: Time,
    /// Last change.
    pub mtime: Time,
    /// Extended attributes, ACLs and capabilities among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Vec<(Bytes, Bytes)>,
    /// Flags of chattr(1).
    #[serde(default, skip_serializing_if = "has_no_flags")]
    pub flags: Flags,
}

/// What tells without reading whether a live inode is still the one that was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Device.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Names.
    pub links: u32,
    /// Size in bytes.
    pub size: u64,
    /// Last change of the inode, which no program can set.
    pub ctime: Time,
}

impl Attributes {
    /// From a status and the extended attributes read beside it.
    pub(super) fn new(status: &Status, xattrs: Xattrs) -> Self {
        Self {
            mode: status.mode,
            uid: status.uid,
            gid: status.gid,
            atime: status.atime,
            mtime: status.mtime,
            xattrs: xattrs.into_iter().map(|(name, value)| (Bytes(name), Bytes(value))).collect(),
            flags: status.flags,
        }
    }

    /// The extended attributes as the file system takes them.
    pub(super) fn raw_xattrs(&self) -> Xattrs {
        self.xattrs.iter().map(|(name, value)| (name.0.clone(), value.0.clone())).collect()
    }
}

impl Identity {
    /// What tells this inode from any other and from its own past.
    pub(super) fn of(status: &Status) -> Self {
        Self { device: status.device, inode: status.inode, links: status.links, size: status.size, ctime: status.ctime }
    }
}

impl Entry {
    /// Whether a live inode is, by its status alone, what was saved: every recorded field is equal, and the inode's
    /// last change lies so far before `began` that a later one would have had another ctime.
    pub(super) fn is_unmoved(&self, status: &Status, began: Time) -> bool {
        let (Some(attributes), Some(seen)) = (&self.attributes, &self.seen) else { return false };
        *seen == Identity::of(status)
            && self.node.kind() == Some(status.kind)
            && (attributes.mode, attributes.uid, attributes.gid) == (status.mode, status.uid, status.gid)
            && attributes.mtime == status.mtime
            && attributes.flags == status.flags
            && !is_racy(seen.ctime, began)
    }
}

impl SavedNode {
    /// Its kind; `None` for what was no inode of its own.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            SavedNode::Absent | SavedNode::Mount => None,
            SavedNode::File { .. } => Some(Kind::File),
            SavedNode::Directory => Some(Kind::Directory),
            SavedNode::Symlink { .. } => Some(Kind::Symlink),
            SavedNode::Special { kind, .. } => Some(*kind),
        }
    }

    /// The number that it shares with the other names of its inode, where that had several.
    pub fn link_group(&self) -> Option<u32> {
        match self {
            SavedNode::File { link_group, .. }
            | SavedNode::Symlink { link_group, .. }
            | SavedNode::Special { link_group, .. } => *link_group,
            SavedNode::Absent | SavedNode::Directory | SavedNode::Mount => None,
        }
    }

    pub(super) fn link_group_mut(&mut self) -> Option<&mut Option<u32>> {
        match self {
            SavedNode::File { link_group, .. }
            | SavedNode::Symlink { link_group, .. }
            | SavedNode::Special { link_group, .. } => Some(link_group),
            SavedNode::Absent | SavedNode::Directory | SavedNode::Mount => None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn has_no_flags(flags: &Flags) -> bool {
    *flags == Flags::default()
}

mod octal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub fn serialize<S: Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{mode:04o}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let text = String::deserialize(deserializer)?;
        u32::from_str_radix(&text, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777)
            .ok_or_else(|| D::Error::custom("a mode is four octal digits"))
    }
}
