//! What a plan is made from, beside the profile: everything about the machine and the attempt, gathered beforehand.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use updates_protocol::Identity;

use crate::config::Machine;
use crate::fs::{IoContext, PathError};

/// The facts that decide a module's file tree. Paths are absolute; sources lie on this machine, targets inside.
#[derive(Debug, Clone)]
pub struct PlanInput {
    /// The machine that modules see.
    pub machine: Machine,
    /// What is in `/` of this machine.
    pub host_top: Vec<TopLevel>,
    /// What is in the root of [`Machine::Root`]; empty for [`Machine::Host`].
    pub machine_top: Vec<TopLevel>,
    /// [`super::Profile::writable_paths`], each where it lies. They must exist, on the machine that
    /// modules see as well.
    pub writable: Vec<Place>,
    /// Top-level directories of [`Machine::Root`] that are written in place while this machine's shine through them.
    pub laid_over: Vec<LaidOver>,
    /// [`super::Profile::read_only_paths`] of which there is something.
    pub read_only: Vec<Place>,
    /// Whether nothing may be changed.
    pub check: bool,
    /// The SDK's folder on this machine.
    pub sdk: PathBuf,
    /// The module's folder. Its target must exist on the machine that modules see, or lie below `/run/updates`.
    pub module_directory: Place,
    /// The module's own state directory; it must exist.
    pub state_directory: Place,
    /// What the module reads as its `index.json`, where that differs from the file.
    pub effective_index: Option<String>,
    /// The supervisor's own places that are read but never written: installed modules and settings. They must exist, or
    /// a module that may write their parent could make them.
    pub protected: Vec<Place>,
    /// The supervisor's own places that are hidden, as paths inside.
    pub hidden: Vec<PathBuf>,
    /// `cgroup.procs` files for the runner.
    pub cgroup_procs: Vec<PathBuf>,
    /// Whom the module runs as, see [`super::RunAs::resolve`]; user 0 when absent.
    pub identity: Option<Identity>,
    /// Host name inside.
    pub hostname: String,
}

/// Something of this machine, and where it is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where it lies.
    pub source: PathBuf,
    /// Where it is seen.
    pub target: PathBuf,
}

/// A top-level directory that is written where this machine has one too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaidOver {
    /// The directory, such as `/usr`.
    pub target: PathBuf,
    /// An empty directory for the kernel, see [`updates_protocol::Mount::Overlay`].
    pub work: PathBuf,
}

/// An entry of a root directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopLevel {
    /// Its name.
    pub name: OsString,
    /// What it is.
    pub kind: TopLevelKind,
}

/// What an entry of a root directory is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopLevelKind {
    /// A directory.
    Directory,
    /// A symbolic link, with what it says.
    Symlink(PathBuf),
    /// Something else; it is left out of a sandbox.
    Other,
}

impl TopLevel {
    /// The entries of `root`, by name.
    pub fn list(root: &Path) -> Result<Vec<Self>, PathError> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(root).at("read", root)? {
            let entry = entry.at("read", root)?;
            let kind = entry.file_type().at("inspect", &entry.path())?;
            let kind = if kind.is_dir() {
                TopLevelKind::Directory
            } else if kind.is_symlink() {
                TopLevelKind::Symlink(fs::read_link(entry.path()).at("read", &entry.path())?)
            } else {
                TopLevelKind::Other
            };
            entries.push(Self { name: entry.file_name(), kind });
        }
        entries.sort();
        Ok(entries)
    }
}
