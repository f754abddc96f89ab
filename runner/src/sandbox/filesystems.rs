//! New file systems through fsopen(2): in memory, processes, terminals and overlays.

use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen};
use updates_protocol::SetupFailure;

use super::failure::OrFail;
use super::mounts::{HARMLESS, open_source, source_failure};
use super::target::Links;

/// A detached mount of a new file system of `kind`, with `options` as mount(8) knows them.
pub(super) fn new_file_system(
    kind: &str,
    options: &[(&str, String)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, SetupFailure> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).or_fail("mounts", || format!("file system {kind}"))?;
    let created = options
        .iter()
        .try_for_each(|(key, value)| fsconfig_set_string(&context, *key, value.as_str()))
        .and_then(|()| fsconfig_create(&context))
        .and_then(|()| fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes));
    created.or_fail("mounts", || format!("file system {kind}{}", explanation(context)))
}

/// An empty file system in memory of at most `size` bytes. Empty files cost memory as well, so their number is bound
/// to the number of pages.
pub(super) fn tmpfs(size: u64, mode: u32, attributes: MountAttrFlags) -> Result<OwnedFd, SetupFailure> {
    let inodes = (size / 4096).max(64) + 1024;
    let options =
        [("size", size.to_string()), ("nr_inodes", inodes.to_string()), ("mode", format!("{:o}", mode & 0o7777))];
    new_file_system("tmpfs", &options, attributes)
}

/// Several directories of the machine as one, the first on top; with `work`, writes land in the first.
pub(super) fn overlay(layers: &[PathBuf], work: Option<&Path>) -> Result<OwnedFd, SetupFailure> {
    let links = if work.is_some() { Links::Refuse } else { Links::Follow };
    let open: Vec<OwnedFd> = layers
        .iter()
        .enumerate()
        .map(|(number, layer)| open_layer(layer, if number == 0 { links } else { Links::Follow }))
        .collect::<Result<_, _>>()?;
    // Layers go by descriptor: what was opened is what is mounted, and no path needs escaping or is too long.
    let mut paths: Vec<String> = open.iter().map(by_descriptor).collect();
    let mut attributes = HARMLESS;
    let mut upper = Vec::new();
    let held = work.map(|work| open_layer(work, Links::Refuse)).transpose()?;
    match &held {
        Some(work) => {
            upper = vec![("upperdir", paths.remove(0)), ("workdir", by_descriptor(work))];
        }
        None => attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY,
    }
    let with = |lower: Vec<(&'static str, String)>| [lower, upper.clone()].concat();
    let single = paths.iter().map(|path| ("lowerdir+", path.clone())).collect();
    match new_file_system("overlay", &with(single), attributes) {
        Ok(mount) => Ok(mount),
        // `lowerdir+` came with Linux 6.5; older ones take the whole list in one value.
        Err(_) => {
            new_file_system("overlay", &with(vec![("lowerdir", paths.join(":"))]), attributes).map_err(|mut failure| {
                let names: Vec<String> = layers.iter().map(|layer| layer.display().to_string()).collect();
                failure.reason = format!("overlay of {}: {}", names.join(", "), failure.reason);
                failure
            })
        }
    }
}

fn open_layer(layer: &Path, links: Links) -> Result<OwnedFd, SetupFailure> {
    open_source(layer, links).map_err(|error| source_failure(layer, error))
}

fn by_descriptor(directory: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", directory.as_raw_fd())
}

// The kernel's own words about what was wrong, see "fs_context" in its documentation of mount_api.
fn explanation(context: OwnedFd) -> String {
    let mut text = [0_u8; 512];
    match std::fs::File::from(context).read(&mut text) {
        Ok(length) if length > 0 => format!(" ({})", String::from_utf8_lossy(&text[..length]).trim_end()),
        _ => String::new(),
    }
}
