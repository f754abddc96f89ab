//! Where cgroups can be made on this machine: version 2 where the controllers live there, version 1 where they still do.
//!
//! See the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/, and systemd's CGROUP_DELEGATION.md.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The places of the controllers that limit a module, found once a run.
#[derive(Debug)]
pub struct CgroupHierarchy {
    pub(super) pids: Result<Base, String>,
    pub(super) memory: Result<Base, String>,
}

/// A directory in which a controller takes new groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) directory: PathBuf,
    pub(super) version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

impl CgroupHierarchy {
    /// Looks at what this process can see, makes the base directories, and removes groups that a killed supervisor left.
    pub fn find() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let found = Self::from_kernel_text(&mounts, &own);
        for base in [&found.pids, &found.memory].into_iter().flatten() {
            sweep(&base.directory);
        }
        found
    }

    fn from_kernel_text(mounts: &str, own: &str) -> Self {
        Self { pids: base("pids", mounts, own), memory: base("memory", mounts, own) }
    }
}

fn base(controller: &str, mounts: &str, own: &str) -> Result<Base, String> {
    for mount in mounts.lines().filter_map(Mount::parse) {
        let base = match mount.kind {
            "cgroup" if mount.options.split(',').any(|option| option == controller) => {
                Base { directory: mount.point.join("updates"), version: Version::One }
            }
            "cgroup2" if lists(&mount.point.join("cgroup.controllers"), controller) => {
                Base { directory: version_2(&mount, controller, own)?, version: Version::Two }
            }
            _ => continue,
        };
        fs::create_dir_all(&base.directory).map_err(|error| describe(&base.directory, &error))?;
        if base.version == Version::Two {
            enable(&base.directory, controller)?;
        }
        return Ok(base);
    }
    Err(format!("no cgroup file system with the {controller} controller is mounted"))
}

/// A group that systemd delegated to this service is used; without one, as in a person's shell, a group of our own at
/// the top, since a session's scope belongs to systemd and to the shell in it.
fn version_2(mount: &Mount<'_>, controller: &str, own: &str) -> Result<PathBuf, String> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let group = mount.point.join(Path::new(path).strip_prefix(mount.root).unwrap_or(Path::new("")));
    // After an earlier controller moved this process, its group is the `supervisor` below the delegated one.
    let group = if group.ends_with("supervisor") { group.parent().unwrap_or(&group).to_owned() } else { group };
    if !is_delegated(&group) {
        enable(&mount.point, controller)?;
        return Ok(mount.point.join("updates"));
    }
    // A group that hands controllers to its children may hold no process itself.
    let leaf = group.join("supervisor");
    fs::create_dir_all(&leaf).map_err(|error| describe(&leaf, &error))?;
    let procs = leaf.join("cgroup.procs");
    fs::write(&procs, std::process::id().to_string()).map_err(|error| describe(&procs, &error))?;
    Ok(group)
}

fn is_delegated(group: &Path) -> bool {
    ["user.delegate", "trusted.delegate"]
        .iter()
        .any(|name| matches!(xattr::get(group, name), Ok(Some(value)) if value == b"1"))
}

fn enable(group: &Path, controller: &str) -> Result<(), String> {
    let control = group.join("cgroup.subtree_control");
    if lists(&control, controller) {
        return Ok(());
    }
    fs::write(&control, format!("+{controller}")).map_err(|error| describe(&control, &error))
}

fn lists(file: &Path, controller: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text.split_whitespace().any(|word| word == controller))
}

// Groups are named after the supervisor's process id: one whose supervisor lives is somebody else's.
fn sweep(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some((pid, _)) = name.to_str().and_then(|name| name.split_once('-')) else { continue };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            // A group that still holds a process can't be removed, and is left to the next start.
            fs::remove_dir(entry.path()).ok();
        }
    }
}

pub(super) fn describe(path: &Path, error: &io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}

/// One line of /proc/self/mountinfo; see proc_pid_mountinfo(5).
struct Mount<'a> {
    root: &'a str,
    point: PathBuf,
    kind: &'a str,
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
mod tests {
    use super::*;

    fn mountinfo(point: &Path, kind: &str, options: &str) -> String {
        format!("33 24 0:28 / {} rw,relatime shared:9 - {kind} {kind} rw,{options}\n", point.display())
    }

    #[test]
    fn version_1_has_a_base_in_each_hierarchy() {
        let root = tempfile::tempdir().unwrap();
        let (pids, memory) = (root.path().join("pids"), root.path().join("memory"));
        let mounts = mountinfo(&pids, "cgroup", "pids") + &mountinfo(&memory, "cgroup", "memory");
        let found = CgroupHierarchy::from_kernel_text(&mounts, "");
        assert_eq!(found.pids, Ok(Base { directory: pids.join("updates"), version: Version::One }));
        assert_eq!(found.memory, Ok(Base { directory: memory.join("updates"), version: Version::One }));
        assert!(pids.join("updates").is_dir());
    }

    #[test]
    fn version_2_without_delegation_has_a_base_at_the_top_with_its_controllers_on() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "cpu pids memory\n").unwrap();
        fs::write(root.path().join("cgroup.subtree_control"), "cpu pids memory\n").unwrap();
        let found = CgroupHierarchy::from_kernel_text(&mountinfo(root.path(), "cgroup2", ""), "0::/user.slice\n");
        let base = root.path().join("updates");
        assert_eq!(found.memory, Ok(Base { directory: base.clone(), version: Version::Two }));
        assert_eq!(fs::read_to_string(base.join("cgroup.subtree_control")).unwrap(), "+memory");
    }

    #[test]
    fn a_delegated_group_is_used_and_freed_of_the_supervisor_itself() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "pids memory\n").unwrap();
        let group = root.path().join("system.slice/updates.service");
        fs::create_dir_all(&group).unwrap();
        if xattr::set(&group, "user.delegate", b"1").is_err() {
            // The file system of the temporary directory knows no user attributes.
            return;
        }
        let own = "0::/system.slice/updates.service\n";
        let found = CgroupHierarchy::from_kernel_text(&mountinfo(root.path(), "cgroup2", ""), own);
        assert_eq!(found.pids, Ok(Base { directory: group.clone(), version: Version::Two }));
        let moved = fs::read_to_string(group.join("supervisor/cgroup.procs")).unwrap();
        assert_eq!(moved, std::process::id().to_string());
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
        let (gone, alive) =
            (base.path().join("4194305-nginx-1"), base.path().join(format!("{}-x-1", std::process::id())));
        fs::create_dir(&gone).unwrap();
        fs::create_dir(&alive).unwrap();
        sweep(base.path());
        assert!(!gone.exists() && alive.exists());
    }
}
