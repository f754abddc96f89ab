//! Joins the cgroups that the supervisor made: init is born into the version 2 one and moves itself into the others.
//!
//! The runner itself stays outside. A cgroup that runs out of memory may be killed as a whole, and the runner is the
//! one who has to report that.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Mode, OFlags};
use updates_protocol::{Enforcement, SetupFailure};

use super::failure::OrFail;

const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270; // linux/magic.h

#[derive(Debug)]
pub(super) struct Cgroups {
    birthplace: Option<OwnedFd>,
    to_join: Vec<PathBuf>,
    all: Vec<PathBuf>,
}

impl Cgroups {
    pub(super) fn open(procs: &[PathBuf]) -> Result<Self, SetupFailure> {
        let mut cgroups = Self { birthplace: None, to_join: Vec::new(), all: procs.to_vec() };
        for file in procs {
            let about = || format!("cgroup {}", file.display());
            let directory = file.parent().unwrap_or(Path::new("/"));
            let directory =
                rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                    .or_fail("cgroup", about)?;
            let kind = rustix::fs::fstatfs(&directory).or_fail("cgroup", about)?.f_type as u64;
            if kind == CGROUP2_SUPER_MAGIC && cgroups.birthplace.is_none() {
                cgroups.birthplace = Some(directory);
            } else {
                cgroups.to_join.push(file.clone());
            }
        }
        Ok(cgroups)
    }

    /// Whether init stays in the runner's cgroups, so that its cgroup namespace can be created along with the others.
    pub(super) fn are_none(&self) -> bool {
        self.all.is_empty()
    }

    /// The cgroup for clone3(2).
    pub(super) fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        self.birthplace.as_ref().map(AsFd::as_fd)
    }

    /// Moves this process into the others and hides everything above them.
    pub(super) fn join(&self) -> Result<(), SetupFailure> {
        if self.are_none() {
            return Ok(());
        }
        for file in &self.to_join {
            std::fs::write(file, "0").or_fail("cgroup", || format!("writing 0 to {}", file.display()))?;
        }
        // Only now: the root of a cgroup namespace is where its creator is at this moment.
        unshare(CloneFlags::CLONE_NEWCGROUP).or_fail("cgroup", || "cgroup namespace".to_owned())
    }

    pub(super) fn report(&self, enforcement: &mut Enforcement) {
        enforcement.enforced("cgroup_namespace", "CLONE_NEWCGROUP");
        if !self.all.is_empty() {
            let names: Vec<_> =
                self.all.iter().filter_map(|file| file.parent()).map(|d| d.display().to_string()).collect();
            enforcement.enforced("cgroup", names.join(", "));
        }
    }
}
