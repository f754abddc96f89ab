//! File systems where a write through a memory map leaves no new ctime, so that a status alone doesn't say that a file is
//! still what it was. There its content is read.
//!
//! The file systems that live in memory are these: they have no write-back, so that nothing ever catches such a write
//! (mm/shmem.c has no `page_mkwrite`). An overlay above one of them can't be told from an overlay above a disk.

use std::collections::HashMap;
use std::path::Path;

use super::entry::{Entry, SavedNode};
use crate::fs::{self, Node, Root, Status};

/// As statfs(2) names them: tmpfs, ramfs and hugetlbfs.
const IN_MEMORY: [u64; 3] = [0x0102_1994, 0x8584_58f6, 0x9584_58f6];

/// Which of the devices that were met have such a file system.
#[derive(Debug, Default)]
pub(super) struct Unstamped {
    /// All of them count as that.
    everywhere: bool,
    devices: HashMap<u64, bool>,
}

impl Unstamped {
    /// With `everywhere`, no status is believed at all.
    pub fn new(everywhere: bool) -> Self {
        Self { everywhere, devices: HashMap::new() }
    }

    /// Whether a live file whose status is that of `entry` holds something else all the same. What can't be read counts
    /// as that: whoever reads it next says why.
    pub fn differs(&mut self, root: &Root, path: &Path, status: &Status, entry: &Entry) -> bool {
        let SavedNode::File { content, .. } = &entry.node else { return false };
        if status.size == 0 || !self.everywhere && self.devices.get(&status.device) == Some(&false) {
            return false;
        }
        let Ok(node) = root.parent(path).and_then(|(directory, name)| Node::open(directory, name)) else { return true };
        let in_memory = *self.devices.entry(status.device).or_insert_with(|| {
            rustix::fs::fstatfs(&node).is_ok_and(|found| IN_MEMORY.contains(&(found.f_type as u64)))
        });
        (in_memory || self.everywhere)
            && !node.read().and_then(|file| fs::holds(&file, status, content)).unwrap_or(false)
    }
}
