//! Declared folders that are not there yet: a run makes them empty before the module starts, so learning does too, in the
//! upper layers. What stays empty is taken away again before the layers are read, since it is none of the module's doing.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use updates_protocol::DeclaredPath;

use super::overlay::Layer;
use crate::fs::{IoContext, PathError};
use crate::supervisor::view::View;
use crate::supervisor::writable::means_folder;

/// The folders that were made, the deepest last.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Placeholders(Vec<PathBuf>);

impl Placeholders {
    /// Makes the folders among `declared` that `view` does not have, each in the layer that it is seen through.
    pub(super) fn make<'p>(
        declared: impl Iterator<Item = &'p DeclaredPath>,
        layers: &[Layer],
        view: &View,
    ) -> Result<Self, PathError> {
        let mut made = Self::default();
        for path in declared.filter(|path| means_folder(path) && view.metadata(path.as_path()).is_none()) {
            let above = layers.iter().filter(|layer| path.as_path().starts_with(&layer.target));
            if let Some(layer) = above.max_by_key(|layer| layer.target.components().count()) {
                made.make_one(path.as_path(), layer, view)?;
            }
        }
        Ok(made)
    }

    // A folder of the upper layer is seen in place of the machine's, with its own owner and mode.
    fn make_one(&mut self, path: &Path, layer: &Layer, view: &View) -> Result<(), PathError> {
        let (mut seen, mut place) = (layer.target.clone(), layer.upper.clone());
        for part in path.strip_prefix(&layer.target).unwrap_or(path) {
            seen.push(part);
            place.push(part);
            if place.is_dir() {
                continue;
            }
            let machines = view.metadata(&seen);
            if machines.as_ref().is_some_and(|found| !found.is_dir()) {
                return Ok(()); // a link or a file is in the way; the module will be told by the kernel
            }
            fs::DirBuilder::new().mode(0o755).create(&place).at("create", &place)?;
            if let Some(machines) = machines {
                if rustix::process::geteuid().is_root() {
                    chown(&place, Some(machines.uid()), Some(machines.gid())).at("set the owner of", &place)?;
                }
                let mode = fs::Permissions::from_mode(machines.mode() & 0o7777);
                fs::set_permissions(&place, mode).at("set the mode of", &place)?;
            }
            self.0.push(place.clone());
        }
        Ok(())
    }

    /// Removes those that the module left empty.
    pub(super) fn remove(self) {
        for place in self.0.into_iter().rev() {
            // One with something in it stays, and one that the module removed is gone.
            fs::remove_dir(place).ok();
        }
    }
}
