//! Volatile paths on the machine that modules see.
//!
//! Below `--root` a folder such as `/usr` is not the whole of what modules see there: this machine's shines through. It
//! stays so while it is written, and every change lands in the root; otherwise a package manager would find neither
//! itself nor Python.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, PathBuf};

use super::RunContext;
use super::target::Target;
use crate::config::{Layout, Machine};
use crate::fs::{IoContext, PathError};
use crate::profile::{LaidOver, Place, Profile, TopLevel, TopLevelKind};

/// How the volatile paths of one profile are shown.
#[derive(Debug)]
pub(super) struct Volatile {
    /// As they are.
    pub(super) bound: Vec<Place>,
    /// Over this machine's.
    pub(super) laid_over: Vec<LaidOver>,
}

impl Volatile {
    /// Decides for each path; `host` is what is in `/` of this machine.
    pub(super) fn resolve(layout: &Layout, host: &[TopLevel], profile: &Profile) -> Self {
        let machine = layout.machine();
        let mut volatile = Self { bound: Vec::new(), laid_over: Vec::new() };
        for path in &profile.volatile_paths {
            let place = Place { source: machine.locate(path), target: path.as_path().to_owned() };
            match shines_through(&machine, host, &place) {
                true => volatile
                    .laid_over
                    .push(LaidOver { work: layout.overlays().join(path.relative()), target: place.target }),
                false => volatile.bound.push(place),
            }
        }
        volatile
    }
}

// The sandbox has a /run of its own, so there this machine's is never seen.
fn shines_through(machine: &Machine, host: &[TopLevel], place: &Place) -> bool {
    let name = match place.target.components().collect::<Vec<_>>()[..] {
        [Component::RootDir, Component::Normal(name)] if name != "run" => name,
        _ => return false,
    };
    let ours = fs::symlink_metadata(&place.source).map(|found| found.is_dir());
    match host.iter().find(|entry| entry.name == name).map(|entry| &entry.kind) {
        _ if *machine == Machine::Host => false,
        Some(TopLevelKind::Directory) => !matches!(ours, Ok(false)),
        Some(TopLevelKind::Symlink(_)) => matches!(ours, Ok(true)),
        _ => false,
    }
}

/// The folders that an attempt needs; dropped, they go again unless something was written there.
#[derive(Debug)]
#[must_use]
pub(super) struct Made {
    folders: Vec<PathBuf>,
    works: Vec<PathBuf>,
}

/// Makes them: the root's own folders, with the mode of this machine's, and the kernel's.
pub(super) fn make(context: &RunContext<'_>, target: &Target) -> Result<Made, PathError> {
    let layout = &context.supervisor.layout;
    let volatile = Volatile::resolve(layout, &context.host_top, &target.profile);
    let mut made = Made { folders: Vec::new(), works: Vec::new() };
    for LaidOver { target, work } in &volatile.laid_over {
        fs::create_dir_all(work).at("create", work)?;
        made.works.push(work.clone());
        let ours = layout.root().join(target.strip_prefix("/").unwrap_or(target));
        match fs::create_dir(&ours) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => {
                other.at("create", &ours)?;
                let mode = fs::metadata(target).at("inspect", target)?.permissions().mode() & 0o7777;
                fs::set_permissions(&ours, fs::Permissions::from_mode(mode)).at("set the mode of", &ours)?;
                made.folders.push(ours);
            }
        }
    }
    Ok(made)
}

impl Drop for Made {
    fn drop(&mut self) {
        // What can't be removed is in nobody's way: the next overlay clears its folder first, and a folder of the root
        // in which something was written is there to stay.
        for work in &self.works {
            fs::remove_dir_all(work).ok();
        }
        for folder in &self.folders {
            fs::remove_dir(folder).ok();
        }
    }
}
