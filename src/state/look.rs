//! The first walk of a backup: whether a slot says all of it already, and if not, what there is to do.
//!
//! Nothing is kept of what was found but sums. The checksum of the former slot's manifest is taken meanwhile.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::backup::Backup;
use super::error::StateError;
use super::former::Former;
use super::live::Live;
use super::manifest::Header;
use super::pool;
use super::progress::{Meter, Report, Step};
use super::survey::{Found, Territory, What};
use super::unstamped::Unstamped;
use crate::fs::{Kind, Root};

/// After so many paths it is asked whether the backup is still wanted.
const LOOK: usize = 256;

/// From so many bytes of manifest on it is worth a thread to walk beside the reading of it.
const LARGE: u64 = 128 << 10;

/// What there is to do.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// The slots that say exactly what was found, databases aside.
    pub same: Vec<usize>,
    /// The slots whose manifests are what was written.
    pub sound: Vec<usize>,
    /// Paths.
    pub found: u64,
    /// Files.
    pub files: u64,
    /// Files that have to be copied.
    pub copies: usize,
    /// Bytes that the new slot takes.
    pub need: u64,
    /// Inodes that it takes.
    pub inodes: u64,
    /// Each device that holds files, and one directory of it.
    pub devices: Vec<(u64, PathBuf)>,
    /// Inodes that hold something else although their status says that nothing has moved.
    pub rewritten: HashSet<(u64, u64)>,
}

/// Walks once, beside what `slots` say.
pub(super) fn look(
    live: &Live<'_>,
    root: &Root,
    territory: &Territory,
    slots: &[Backup],
    header: &Header,
    report: &mut Report<'_>,
) -> Result<Look, StateError> {
    let mut look = Look { inodes: 4, ..Look::default() };
    let mut meter = Meter::new(report, Step::Walk, None);
    let mut formers: Vec<(usize, Former)> =
        slots.iter().enumerate().filter_map(|(at, slot)| Some((at, Former::begin(slot, Some(header))?))).collect();
    let large = slots.iter().any(|slot| slot.manifest_size() > LARGE);
    std::thread::scope(|scope| {
        let check = |slot: &Backup| slot.check().is_ok();
        let checks: Vec<_> = slots.iter().map(|slot| large.then(|| scope.spawn(move || check(slot)))).collect();
        let mut unstamped = Unstamped::default();
        let mut take = |found: &Found| {
            let mut known = false;
            for (_, former) in &mut formers {
                let What::Inode(status) = &found.what else {
                    former.unmoved(found, |_| false);
                    continue;
                };
                let unmoved = former.unmoved(found, |entry| {
                    let differs = unstamped.differs(root, &found.path, status, entry);
                    if differs {
                        look.rewritten.insert((status.device, status.inode));
                    }
                    differs
                });
                known |= unmoved.is_some();
            }
            look.count(found, known);
            meter.advance(0);
        };
        if large {
            for (number, found) in pool::ahead(scope, territory.survey(root)).enumerate() {
                if number % LOOK == 0 && live.is_interrupted() {
                    return Err(StateError::Interrupted(header.module.clone()));
                }
                take(&found?);
            }
        } else {
            for found in territory.survey(root) {
                take(&found?);
            }
            if live.is_interrupted() {
                return Err(StateError::Interrupted(header.module.clone()));
            }
        }
        for (at, (slot, checked)) in slots.iter().zip(checks).enumerate() {
            if checked.map_or_else(|| check(slot), |checked| checked.join().unwrap_or(false)) {
                look.sound.push(at);
            }
        }
        Ok(())
    })?;
    meter.finish();
    let same = formers.iter().filter(|(at, former)| former.is_same() && look.sound.contains(at));
    look.same = same.map(|(at, _)| *at).collect();
    Ok(look)
}

impl Look {
    fn count(&mut self, Found { path, what }: &Found, known: bool) {
        self.found += 1;
        let What::Inode(status) = what else { return };
        // The manifest's line, with room.
        self.need = self.need.saturating_add(512 + path.as_os_str().len() as u64);
        match status.kind {
            Kind::File => {
                self.files += 1;
                if !self.devices.iter().any(|(device, _)| *device == status.device) {
                    let directory = path.parent().unwrap_or(Path::new("/")).to_owned();
                    self.devices.push((status.device, directory));
                }
                if !known {
                    self.copies += 1;
                    self.inodes += 1;
                    self.need = self.need.saturating_add(status.allocated.min(status.size.next_multiple_of(4096)));
                }
            }
            Kind::Directory | Kind::Symlink => {
                self.inodes += 1;
                self.need = self.need.saturating_add(4096);
            }
            _ => {}
        }
    }
}
