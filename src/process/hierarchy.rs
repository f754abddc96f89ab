//! Where cgroups can be made on this machine: version 2 where the controllers live there, version 1 where they still do.
//!
//! See the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/, and systemd's CGROUP_DELEGATION.md. Which
//! group of a version 2 tree is used is `unified`'s affair.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::cgroup::remove;
use super::unified::{Unified, enable};

/// The places of the controllers that limit a module, found once a run.
#[derive(Debug)]
pub struct CgroupHierarchy {
    pub(super) pids: Result<Base, String>,
    pub(super) memory: Result<Base, String>,
    pub(super) cpu: Result<Base, String>,
    /// Beside version 1 controllers: a directory of the version 2 tree, whose groups can be killed as a whole.
    pub(super) kill: Option<PathBuf>,
}

/// A directory in which a controller takes new groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) directory: PathBuf,
    pub(super) version: Version,
    /// Groups of a version 2 tree, the uppermost first, that must hand the controller to their children.
    pub(super) above: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

impl Base {
    /// Hands `controller` down to the groups in this directory; does nothing where that is so.
    pub(super) fn enable(&self, controller: &str) -> Result<(), String> {
        self.above.iter().try_for_each(|group| enable(group, controller))
    }
}

impl CgroupHierarchy {
    /// Looks at what this process can see, makes the base directories, and ends and removes groups that a killed supervisor left.
    ///
    /// In a version 2 tree that is delegated to this process's group, this moves the processes of that group into a
    /// child of it, called `supervisor`.
    pub fn find() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let found = Self::from_kernel_text(&mounts, &own);
        for base in [&found.pids, &found.memory, &found.cpu].into_iter().flatten() {
            sweep(&base.directory);
        }
        if let Some(directory) = &found.kill {
            sweep(directory);
        }
        found
    }

    pub(super) fn from_kernel_text(mounts: &str, own: &str) -> Self {
        let mounts: Vec<_> = mounts.lines().filter_map(Mount::parse).collect();
        let mut unified = Unified::new(&mounts, own);
        let enabled = |controller, base: Result<Base, String>| base.and_then(|b| b.enable(controller).map(|()| b));
        let pids = enabled("pids", base("pids", &mounts, &mut unified));
        let memory = enabled("memory", base("memory", &mounts, &mut unified));
        // Enabled with the first module that has a quota: it changes how the machine's other groups share processors.
        let cpu = base("cpu", &mounts, &mut unified);
        let one = |base: &Result<Base, String>| base.as_ref().is_ok_and(|base| base.version == Version::One);
        let kill = if one(&pids) || one(&memory) { unified.killing() } else { None };
        Self { pids, memory, cpu, kill }
    }
}

fn base(controller: &str, mounts: &[Mount<'_>], unified: &mut Unified<'_>) -> Result<Base, String> {
    let version_1 = |mount: &&Mount<'_>| mount.kind == "cgroup" && mount.options.split(',').any(|o| o == controller);
    if let Some(mount) = mounts.iter().find(version_1) {
        let directory = mount.point.join("updates");
        fs::create_dir_all(&directory).map_err(|error| describe(Version::One, &directory, &error))?;
        return Ok(Base { directory, version: Version::One, above: Vec::new() });
    }
    match unified.with(controller) {
        Some(found) => found,
        None => Err(format!("no cgroup file system with the {controller} controller is mounted")),
    }
}

pub(super) fn lists(file: &Path, controller: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text.split_whitespace().any(|word| word == controller))
}

/// What groups of this process are called after: its id, and in which namespace that is its id, since containers may
/// share one cgroup tree.
pub(super) fn owner() -> String {
    format!("{}.{}", pid_namespace(), std::process::id())
}

fn pid_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |namespace| namespace.ino())
}

// A group whose supervisor lives is somebody else's.
fn sweep(directory: &Path) {
    let own = format!("{}.", pid_namespace());
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some((owner, _)) = name.to_str().and_then(|name| name.split_once('-')) else { continue };
        let Some(pid) = owner.strip_prefix(&own) else { continue };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            remove(&entry.path());
        }
    }
}

/// What went wrong with a file or directory of a cgroup tree, and what to do about it where that is known.
pub(super) fn describe(version: Version, path: &Path, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied if version == Version::One => {
            "; run as root, who alone may use version 1 groups"
        }
        io::ErrorKind::PermissionDenied => {
            "; run as root, or have the group delegated: Delegate=yes in the service's unit, or from a shell \
             `systemd-run --user --scope --property=Delegate=yes`"
        }
        io::ErrorKind::ResourceBusy => "; the group holds processes itself that can't be moved from here",
        io::ErrorKind::ReadOnlyFilesystem => {
            "; this container may make no cgroups: start it with a writable cgroup file system"
        }
        _ => "",
    };
    format!("cannot write {}: {error}{advice}", path.display())
}

/// One line of /proc/self/mountinfo; see proc_pid_mountinfo(5).
#[derive(Debug)]
pub(super) struct Mount<'a> {
    pub(super) root: &'a str,
    pub(super) point: PathBuf,
    pub(super) kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let (kind, _source, options) = (after.next()?, after.next()?, after.next()?);
        Some(Self { root, point: PathBuf::from(point), kind, options })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn mountinfo(point: &Path, kind: &str, options: &str) -> String {
        format!("33 24 0:28 / {} rw,relatime shared:9 - {kind} {kind} rw,{options}\n", point.display())
    }

    #[test]
    fn version_1_has_a_base_in_each_hierarchy() {
        let root = tempfile::tempdir().unwrap();
        let (pids, memory) = (root.path().join("pids"), root.path().join("memory"));
        let mounts = mountinfo(&pids, "cgroup", "pids") + &mountinfo(&memory, "cgroup", "memory");
        let found = CgroupHierarchy::from_kernel_text(&mounts, "");
        assert_eq!(found.pids, Ok(Base { directory: pids.join("updates"), version: Version::One, above: vec![] }));
        assert_eq!(found.memory, Ok(Base { directory: memory.join("updates"), version: Version::One, above: vec![] }));
        assert!(pids.join("updates").is_dir());
    }

    #[test]
    fn beside_version_1_controllers_the_version_2_tree_serves_to_kill() {
        let root = tempfile::tempdir().unwrap();
        let (pids, unified) = (root.path().join("pids"), root.path().join("unified"));
        fs::create_dir_all(unified.join("updates")).unwrap();
        fs::write(unified.join("updates/cgroup.kill"), "").unwrap();
        let mounts = mountinfo(&pids, "cgroup", "pids") + &mountinfo(&unified, "cgroup2", "");
        let found = CgroupHierarchy::from_kernel_text(&mounts, "0::/\n");
        assert_eq!(found.kill, Some(unified.join("updates")));
    }

    #[test]
    fn a_hybrid_without_the_controllers_says_so() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "\n").unwrap();
        let found = CgroupHierarchy::from_kernel_text(&mountinfo(root.path(), "cgroup2", ""), "0::/\n");
        assert_eq!(found.pids, Err("no cgroup file system with the pids controller is mounted".to_owned()));
    }

    #[test]
    fn groups_of_a_supervisor_that_is_gone_are_removed() {
        let base = tempfile::tempdir().unwrap();
        let gone = base.path().join(format!("{}.4194305-nginx-1", pid_namespace()));
        let alive = base.path().join(format!("{}-x-1", owner()));
        let elsewhere = base.path().join("1.4194305-nginx-1");
        for group in [&gone, &alive, &elsewhere] {
            fs::create_dir(group).unwrap();
        }
        sweep(base.path());
        assert!(!gone.exists() && alive.exists() && elsewhere.exists());
    }
}
