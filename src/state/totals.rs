//! How much a slot holds: counted from its manifest, without a look at any file.

use std::collections::HashSet;

use super::backup::Backup;
use super::entry::{Entry, SavedNode};
use super::error::StateError;

/// How much a slot holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Regular files; each name counts, also those of one inode.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links, FIFOs, sockets and devices.
    pub others: u64,
    /// Bytes of files and dumps, without holes; the content of one inode counts once. Slots share what has not changed
    /// between them, so that the sum over slots is more than what they take.
    pub bytes: u64,
}

impl Backup {
    /// Counts what the slot holds. It reads the whole manifest.
    pub fn totals(&self) -> Result<Totals, StateError> {
        let mut totals = Totals::default();
        let mut counted = HashSet::new();
        self.each(|entry| match &entry.node {
            SavedNode::File { content, link_group } => {
                totals.files += 1;
                if link_group.is_none_or(|group| counted.insert(group)) {
                    let data = content.segments.as_ref().map(|parts| parts.iter().map(|(_, length)| length).sum());
                    totals.bytes = totals.bytes.saturating_add(data.unwrap_or(content.size));
                }
            }
            SavedNode::Directory => totals.directories += 1,
            SavedNode::Symlink { .. } | SavedNode::Special { .. } => totals.others += 1,
            SavedNode::Absent | SavedNode::Mount => {}
        })?;
        let dumps = self.manifest().header.databases.iter().filter_map(|saved| saved.dump.as_ref());
        totals.bytes = dumps.fold(totals.bytes, |sum, dump| sum.saturating_add(dump.size));
        Ok(totals)
    }

    fn each(&self, mut look: impl FnMut(&Entry)) -> Result<(), StateError> {
        for entry in self.entries()? {
            look(&entry?);
        }
        Ok(())
    }
}
