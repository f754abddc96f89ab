//! How much a slot holds, counted from its manifest: no file is looked at.

use std::collections::HashSet;

use super::backup::Backup;
use super::entry::SavedNode;

/// How much a slot holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Regular files; each name counts, also those of one inode.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links, FIFOs, sockets and devices.
    pub others: u64,
    /// Bytes of files and dumps, without holes; the content of one inode counts once. Slots of one store share what has not
    /// changed between them, so their sum is more than what they take.
    pub bytes: u64,
}

impl Backup {
    /// Counts what the slot holds.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        let mut counted = HashSet::new();
        let manifest = self.manifest();
        for entry in &manifest.entries {
            match &entry.node {
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
            }
        }
        let dumps = manifest.header.databases.iter().filter_map(|saved| saved.dump.as_ref());
        totals.bytes = dumps.fold(totals.bytes, |sum, dump| sum.saturating_add(dump.size));
        totals
    }

    /// How many of its files are, by name, inode, time and content, those of an earlier slot. Their content is shared with
    /// it rather than copied, but for what had changed within the last tick of the file system's clock.
    pub fn unchanged_since(&self, former: &Backup) -> u64 {
        let manifest = former.manifest();
        let same = self.manifest().entries.iter().filter(|entry| {
            matches!(entry.node, SavedNode::File { .. })
                && manifest
                    .entry(&entry.path)
                    .is_some_and(|old| old.seen == entry.seen && is_one(&old.node, &entry.node))
        });
        same.count() as u64
    }
}

fn is_one(old: &SavedNode, new: &SavedNode) -> bool {
    match (old, new) {
        (SavedNode::File { content: old, .. }, SavedNode::File { content: new, .. }) => old == new,
        _ => false,
    }
}
