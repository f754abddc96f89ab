//! Slots that content may be linked from, gone through beside the walk: both are in the same order, so each entry is read
//! once and none is kept.

use std::path::Path;

use super::backup::Backup;
use super::entry::{Entry, SavedNode};
use super::manifest::{Entries, Header};
use super::survey::{Found, What};
use crate::fs::Time;

/// The entries of one former slot.
pub(super) struct Former {
    entries: Entries,
    began: Time,
    next: Option<Entry>,
    /// Whether the slot has said exactly what was found so far.
    same: bool,
    damaged: bool,
}

impl Former {
    /// Begins. `None` where the slot can't be read: the live files are there, so it is merely no use.
    pub fn begin(backup: &Backup, header: Option<&Header>) -> Option<Self> {
        let same = header.is_some_and(|header| asks_the_same(&backup.manifest().header, header));
        let mut former = Self {
            entries: backup.entries().ok()?,
            began: backup.manifest().header.began,
            next: None,
            same,
            damaged: false,
        };
        former.read();
        Some(former)
    }

    fn read(&mut self) {
        self.next = match self.entries.next() {
            Some(Err(_)) => {
                self.damaged = true;
                None
            }
            other => other.and_then(Result::ok),
        };
    }

    /// What the slot says of a path; paths come in the order of the walk.
    fn entry(&mut self, path: &Path) -> Option<Entry> {
        loop {
            let next = self.next.as_ref()?;
            if next.path.as_os_str() == path.as_os_str() {
                let entry = self.next.take();
                self.read();
                return entry;
            }
            if next.path.as_path() > path {
                return None;
            }
            self.same = false;
            self.read();
        }
    }

    /// What the slot says of something that was found, where it has not moved since. `rewritten` is asked whether a file
    /// holds something else although its status is the same.
    pub fn unmoved(&mut self, found: &Found, rewritten: impl FnOnce(&Entry) -> bool) -> Option<Entry> {
        let entry = self.entry(&found.path);
        let entry = entry.filter(|entry| says(entry, &found.what, self.began) && !rewritten(entry));
        self.same &= entry.is_some();
        entry.filter(|_| matches!(found.what, What::Inode(_)))
    }

    /// Whether the slot says exactly what was found, now that all of it was.
    pub fn is_same(&self) -> bool {
        self.same && self.next.is_none() && !self.damaged
    }
}

fn says(entry: &Entry, what: &What, began: Time) -> bool {
    match what {
        What::Absent => entry.node == SavedNode::Absent,
        What::Mount => entry.node == SavedNode::Mount,
        What::Inode(status) => entry.is_unmoved(status, began),
    }
}

/// Whether a slot was asked for in the same words by the same module.
fn asks_the_same(former: &Header, header: &Header) -> bool {
    let Header {
        format,
        module,
        owner,
        description,
        timestamp: _,
        began: _,
        paths,
        left_out,
        parents,
        services,
        // The databases themselves are asked by the caller.
        databases: _,
    } = former;
    (format, module, owner, description) == (&header.format, &header.module, &header.owner, &header.description)
        && (paths, left_out, parents) == (&header.paths, &header.left_out, &header.parents)
        && *services == header.services
}
