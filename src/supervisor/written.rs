//! What a module that ran well has left in the kernel's memory, written out before anybody is told that it ran well.
//!
//! Hardly any program calls fsync(2). Once the row of a module is gone nothing puts it back, so a power cut afterwards must
//! find on the disk what the module did, and not files that are there and empty.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::writable::Entry;
use crate::config::Machine;
use crate::fs::{IoContext, PathError};

/// Writes out every file system on which `entries` lie; with `units` also that of the links which say what starts at boot,
/// because systemd makes those without syncing them. An error is final: the kernel reports a lost write once, and it
/// includes a full disk that nobody was told of, where blocks are only allocated now (ext4, xfs, btrfs).
pub(super) fn write_out(machine: &Machine, entries: &[Entry], units: bool) -> Result<(), PathError> {
    let links = units.then(|| machine.root().join("etc"));
    let places = entries.iter().map(|entry| entry.place.as_path()).chain(links.as_deref());
    let mut written = BTreeSet::new();
    for place in places {
        let Some((folder, device)) = folder_of(place)? else { continue };
        if written.insert(device) {
            let open = File::open(folder).at("open", folder)?;
            rustix::fs::syncfs(open).at("write out what was left on the file system of", folder)?;
        }
    }
    Ok(())
}

// The place itself where it is a folder, else the one above that is there; opening anything else might wait for a peer.
fn folder_of(place: &Path) -> Result<Option<(&Path, u64)>, PathError> {
    for folder in place.ancestors() {
        match fs::symlink_metadata(folder) {
            Ok(status) if status.is_dir() => return Ok(Some((folder, status.dev()))),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error).at("look at", folder),
        }
    }
    Ok(None)
}
