//! Reading a slot again: that every file holds what was saved, and that nothing is missing or extra.
//!
//! The walk through the slot and the manifest are in the same order, so both are gone through at once; content is read on
//! all processors.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::rand::{GetRandomFlags, getrandom};
use updates_protocol::DeclaredPath;

use super::backup::Backup;
use super::entry::{Entry, SavedNode};
use super::error::{Damage, StateError};
use super::pool::{self, Pool, Stop, Taken};
use super::progress::{Meter, Progress, Step};
use super::survey::{Found, Territory, What};
use crate::fs::{self, Cursor, IoContext, Kind, Node, Root, Status};

/// What [`Backup::verify_within`] had time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampled {
    /// Files that were read and are as they were saved.
    pub looked_at: u64,
    /// Files there are.
    pub of: u64,
}

impl Backup {
    /// Reads the whole slot again: the manifest, every file against its hash, and that nothing is missing or extra.
    pub fn verify(&self) -> Result<(), StateError> {
        self.verify_with(&mut |_| {})
    }

    /// As [`Backup::verify`], and tells `report` how far it has come.
    pub fn verify_with(&self, report: &mut dyn FnMut(Progress)) -> Result<(), StateError> {
        let count = self.check()?;
        self.verify_beside()?;
        let files = self.files()?;
        let whole = Territory { paths: DeclaredPath::new("/").into_iter().collect(), left_out: Vec::new() };
        let mut meter = Meter::new(report, Step::Verify, Some(count));
        let stop = Stop::default();
        std::thread::scope(|scope| {
            let worker = || {
                let mut cursor = Cursor::new(&files);
                let files = &files;
                move |(entry, status): (Entry, Status)| {
                    is_as_saved(files, &mut cursor, &entry, &status).map(|same| (entry, same))
                }
            };
            let mut pool = Pool::start(scope, pool::threads(count), &stop, worker);
            let mut take = |done: Result<(Entry, bool), StateError>| {
                let (entry, same) = done?;
                let bytes = if let SavedNode::File { content, .. } = &entry.node { content.size } else { 0 };
                meter.advance(bytes);
                if same { Ok(()) } else { Err(self.damaged(Damage::Differs(entry.path))) }
            };
            let taken = |taken| match taken {
                Taken::Error(error) => error,
                Taken::Stopped => self.damaged(Damage::Checksum),
            };
            let mut entries = self.entries()?.filter(|entry| entry.as_ref().map_or(true, has_content));
            let mut next = entries.next().transpose()?;
            // Further names in the slot share their content, which is read once.
            let mut read: HashMap<u64, (String, u32)> = HashMap::new();
            for found in whole.survey(&files) {
                let found = found?;
                if let Some(entry) = next.take_if(|entry| entry.path < found.path) {
                    return Err(self.damaged(Damage::Missing(entry.path)));
                }
                let Some(entry) = next.take_if(|entry| entry.path == found.path) else {
                    if self.is_above(&found) {
                        continue;
                    }
                    return Err(self.damaged(Damage::Extra(found.path)));
                };
                next = entries.next().transpose()?;
                let What::Inode(status) = found.what else {
                    return Err(self.damaged(Damage::Differs(entry.path)));
                };
                let mut weight = 0;
                if let SavedNode::File { content, link_group: Some(_) } = &entry.node
                    && status.kind == Kind::File
                    && status.size == content.size
                {
                    let (known, left) = read.entry(status.inode).or_insert_with(|| (String::new(), status.links));
                    *left = left.saturating_sub(1);
                    let (again, last) = (*known == content.sha256, *left == 0);
                    known.clone_from(&content.sha256);
                    if last {
                        read.remove(&status.inode);
                    }
                    if again {
                        continue;
                    }
                }
                if status.kind == Kind::File {
                    weight = status.size;
                }
                pool.push((entry, status), weight, &mut take).map_err(taken)?;
            }
            pool.drain(&mut take).map_err(taken)?;
            match next {
                Some(entry) => Err(self.damaged(Damage::Missing(entry.path))),
                None => Ok(()),
            }
        })?;
        meter.finish();
        Ok(())
    }

    /// Reads files of the slot again, in random order, until `time` is over; one is always read to its end. Says how many
    /// it looked at. To be called often, so that rot is found without reading everything each time.
    pub fn verify_within(&self, time: Duration) -> Result<Sampled, StateError> {
        let began = Instant::now();
        let source = self.source()?;
        let at = self.path().join(super::slot::MANIFEST);
        let mut offsets = source.offsets().at("read", &at)?;
        let files = self.files()?;
        let mut cursor = Cursor::new(&files);
        let mut sampled = Sampled { looked_at: 0, of: offsets.len() as u64 };
        let mut seed = [0; 8];
        getrandom(&mut seed, GetRandomFlags::empty()).at("read", Path::new("/dev/urandom"))?;
        let mut random = u64::from_ne_bytes(seed) | 1;
        while !offsets.is_empty() && (sampled.looked_at == 0 || began.elapsed() < time) {
            // Marsaglia, "Xorshift RNGs", 2003: any order will do, as long as it is another one each time.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let chosen = usize::try_from(random % offsets.len() as u64).unwrap_or(0);
            let entry = source.entry_at(offsets.swap_remove(chosen)).map_err(|damage| self.damaged(damage))?;
            sampled.looked_at += 1;
            if !has_content(&entry) {
                continue;
            }
            let status = cursor.parent(&entry.path).and_then(|(directory, name)| Status::at(directory, name));
            let same = match status {
                Err(error) if fs::is_absence(&error) => return Err(self.damaged(Damage::Missing(entry.path))),
                other => is_as_saved(&files, &mut cursor, &entry, &other.at("look at", &files.locate(&entry.path))?)?,
            };
            if !same {
                return Err(self.damaged(Damage::Differs(entry.path)));
            }
        }
        Ok(sampled)
    }

    /// Whether this is a directory on the way to a declared path.
    fn is_above(&self, found: &Found) -> bool {
        matches!(&found.what, What::Inode(status) if status.kind == Kind::Directory)
            && (found.path.parent().is_none()
                || self.manifest().header.paths.iter().any(|path| path.as_path().starts_with(&found.path)))
    }
}

/// Whether an entry has something below `files`.
fn has_content(entry: &Entry) -> bool {
    matches!(entry.node, SavedNode::File { .. } | SavedNode::Directory | SavedNode::Symlink { .. })
}

fn is_as_saved(files: &Root, cursor: &mut Cursor<'_>, entry: &Entry, status: &Status) -> Result<bool, StateError> {
    if entry.node.kind() != Some(status.kind) {
        return Ok(false);
    }
    let mut open = || cursor.parent(&entry.path).and_then(|(directory, name)| Node::open(directory, name));
    let at = || files.locate(&entry.path);
    match &entry.node {
        SavedNode::File { content, .. } => {
            if status.size != content.size {
                return Ok(false);
            }
            let file = open().and_then(|node| node.read()).at("read", &at())?;
            Ok(fs::holds(&file, status, content).at("read", &at())?)
        }
        SavedNode::Symlink { target, .. } => {
            Ok(open().and_then(|node| node.link_target()).at("read", &at())? == target.0)
        }
        _ => Ok(true),
    }
}
