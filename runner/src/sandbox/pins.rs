//! Keeps what is closed in its place when it lies somewhere below a writable directory.
//!
//! Nobody can rename or remove a mount's own place, but a directory above it can be renamed, mount and all: a module could
//! put the supervisor's folder aside and make one of its own, or find a hidden path open in the next run, which covers
//! it under its old name. A directory that is mounted on itself can't be renamed either.

use std::path::{Path, PathBuf};

use rustix::io::Errno;
use updates_protocol::SetupFailure;

use super::failure::OrFail;
use super::mounts::{FileTree, HARMLESS, clone_of};
use super::target::Links;

impl FileTree {
    /// To be called before something closed is mounted at `target`.
    pub(super) fn pin_above(&mut self, target: &Path) -> Result<(), SetupFailure> {
        for directory in self.between(target) {
            let place = match self.root.find(&directory, Links::Refuse) {
                Ok(place) => place,
                // Nothing there to be moved, or the place is reached by another name and not in here.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
                Err(error) => return Err(error).or_fail("mounts", || format!("holding {}", directory.display())),
            };
            self.attach(&clone_of(&place, HARMLESS, &directory)?, &place, &directory)?;
            self.pinned.push(directory);
        }
        Ok(())
    }

    // The directories above `target` that the module could rename, from the top down.
    fn between(&self, target: &Path) -> Vec<PathBuf> {
        let writable = |directory: &Path| {
            self.root.writable().iter().any(|place| directory.starts_with(place) && directory != place.as_path())
        };
        let above = target.ancestors().skip(1);
        let mut directories: Vec<PathBuf> =
            above.take_while(|directory| writable(directory)).map(Path::to_owned).collect();
        directories.retain(|directory| !self.pinned.contains(directory));
        directories.reverse();
        directories
    }
}
