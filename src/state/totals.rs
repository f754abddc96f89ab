//! How much a slot holds, and how much of that an earlier one held already: counted from manifests, without a look at any
//! file.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

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

/// The files of a slot by name, inode, time and content, eight bytes each, for as long as it takes to make the next slot of
/// its name.
#[derive(Debug)]
pub struct KnownFiles {
    hasher: RandomState,
    hashes: HashSet<u64>,
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

    /// Remembers its files. Asked before the slot is made anew, since it is gone then.
    pub fn known_files(&self) -> Result<KnownFiles, StateError> {
        let mut known = KnownFiles { hasher: RandomState::new(), hashes: HashSet::new() };
        self.each(|entry| {
            if let Some(hash) = known.hash(entry) {
                known.hashes.insert(hash);
            }
        })?;
        Ok(known)
    }

    /// How many of its files are `known` as they are. They share their content with the earlier slot, but for those that had
    /// changed within the last tick of the file system's clock.
    pub fn unchanged_since(&self, known: &KnownFiles) -> Result<u64, StateError> {
        let mut count = 0;
        self.each(|entry| count += u64::from(known.hash(entry).is_some_and(|hash| known.hashes.contains(&hash))))?;
        Ok(count)
    }

    fn each(&self, mut look: impl FnMut(&Entry)) -> Result<(), StateError> {
        for entry in self.entries()? {
            look(&entry?);
        }
        Ok(())
    }
}

impl KnownFiles {
    fn hash(&self, entry: &Entry) -> Option<u64> {
        let (SavedNode::File { content, .. }, Some(seen)) = (&entry.node, &entry.seen) else { return None };
        let inode = (seen.device, seen.inode, seen.size, seen.ctime.seconds, seen.ctime.nanoseconds);
        Some(self.hasher.hash_one((&entry.path, inode, &content.sha256)))
    }
}
