//! Which group of a version 2 tree takes the modules' groups: one for all controllers, since a process is in one group.
//!
//! A group that hands controllers to its children may hold no process itself. So where the group of this process is
//! delegated to it, its processes move into a child called `supervisor`. Where it is not, as in a person's shell, whose
//! scope belongs to systemd and to the shell in it, a group at the top takes them: systemd leaves groups alone that no
//! unit of it is called after. See "Delegation" in cgroup-v2.rst, and CGROUP_DELEGATION.md.

use std::fs;
use std::path::{Path, PathBuf};

use super::hierarchy::{Base, Mount, Version, describe, lists};

/// The group at the top.
const AT_TOP: &str = "updates";
const LEAF: &str = "supervisor";
/// Processes may fork while they are moved.
const ROUNDS: usize = 20;

/// The version 2 tree of this machine, if it has one.
#[derive(Debug)]
pub(super) struct Unified<'a> {
    mount: Option<&'a Mount<'a>>,
    own: &'a str,
    group: Option<Result<PathBuf, String>>,
}

impl<'a> Unified<'a> {
    /// `own` is the text of /proc/self/cgroup.
    pub(super) fn new(mounts: &'a [Mount<'a>], own: &'a str) -> Self {
        let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
        Self { mount: mounts.iter().find(|mount| mount.kind == "cgroup2"), own, group: None }
    }

    /// Where groups are bounded by `controller` once that is enabled; nothing where the tree lacks it.
    pub(super) fn with(&mut self, controller: &str) -> Option<Result<Base, String>> {
        let mount = self.mount.filter(|mount| lists(&mount.point.join("cgroup.controllers"), controller))?;
        let group = self.group.get_or_insert_with(|| find(mount, self.own)).clone();
        Some(group.and_then(|directory| {
            if directory == mount.point.join(AT_TOP) {
                let above = vec![mount.point.clone(), directory.clone()];
                return Ok(Base { directory, version: Version::Two, above });
            }
            if !lists(&directory.join("cgroup.controllers"), controller) {
                let group = directory.display();
                return Err(format!("{group} has no {controller} controller; name it in Delegate= of its unit"));
            }
            Ok(Base { above: vec![directory.clone()], directory, version: Version::Two })
        }))
    }

    /// A group that needs no controller, for the sake of `cgroup.kill`, which came with Linux 5.14.
    pub(super) fn killing(&self) -> Option<PathBuf> {
        let group = self.mount?.point.join(AT_TOP);
        fs::create_dir_all(&group).ok()?;
        group.join("cgroup.kill").exists().then_some(group)
    }
}

fn find(mount: &Mount<'_>, own: &str) -> Result<PathBuf, String> {
    // `/..` is what a process sees whose group lies outside of its cgroup namespace.
    let below = Path::new(own).strip_prefix(mount.root).unwrap_or(Path::new(""));
    let own = if own.starts_with("/..") { mount.point.clone() } else { mount.point.join(below) };
    // An earlier supervisor, or a parent of this process that is one, has moved this process there.
    let group = if own.ends_with(LEAF) { own.parent().unwrap_or(&own).to_owned() } else { own };
    if is_delegated(&group) {
        vacate(&group)?;
        return Ok(group);
    }
    // Every group but that at the very top has this file: a container that sees its own group as the top has it there.
    if mount.point.join("cgroup.events").exists() {
        vacate(&mount.point)?;
    }
    let group = mount.point.join(AT_TOP);
    fs::create_dir_all(&group).map_err(|error| describe(Version::Two, &group, &error))?;
    Ok(group)
}

// systemd says so by these attributes, see `Delegate=` in systemd.resource-control(5).
fn is_delegated(group: &Path) -> bool {
    ["user.delegate", "trusted.delegate"]
        .iter()
        .any(|name| matches!(xattr::get(group, name), Ok(Some(value)) if value == b"1"))
}

// Whoever else is in the group is part of what was delegated, as a script around this process.
fn vacate(group: &Path) -> Result<(), String> {
    let processes = || fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let leaf = group.join(LEAF);
    let procs = leaf.join("cgroup.procs");
    for _ in 0..ROUNDS {
        let found = processes();
        if found.is_empty() {
            break;
        }
        fs::create_dir_all(&leaf).map_err(|error| describe(Version::Two, &leaf, &error))?;
        for pid in found.lines() {
            match fs::write(&procs, pid) {
                Err(error) if error.raw_os_error() != Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                    return Err(describe(Version::Two, &procs, &error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Hands `controller` to the children of `group`.
pub(super) fn enable(group: &Path, controller: &str) -> Result<(), String> {
    let control = group.join("cgroup.subtree_control");
    if lists(&control, controller) {
        return Ok(());
    }
    fs::write(&control, format!("+{controller}")).map_err(|error| describe(Version::Two, &control, &error))
}

#[cfg(test)]
mod tests {
    use super::super::hierarchy::CgroupHierarchy;
    use super::super::hierarchy::tests::mountinfo;
    use super::*;

    #[test]
    fn version_2_without_delegation_has_a_base_at_the_top_with_its_controllers_on() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "cpu pids memory\n").unwrap();
        fs::write(root.path().join("cgroup.subtree_control"), "cpu pids memory\n").unwrap();
        let found = CgroupHierarchy::from_kernel_text(&mountinfo(root.path(), "cgroup2", ""), "0::/user.slice\n");
        let base = root.path().join("updates");
        let above = vec![root.path().to_owned(), base.clone()];
        assert_eq!(found.memory, Ok(Base { directory: base.clone(), version: Version::Two, above }));
        assert_eq!(fs::read_to_string(base.join("cgroup.subtree_control")).unwrap(), "+memory");
        // The processor is everybody's: its controller waits for the first module with a quota.
        found.cpu.unwrap().enable("cpu").unwrap();
        assert_eq!(fs::read_to_string(base.join("cgroup.subtree_control")).unwrap(), "+cpu");
    }

    #[test]
    fn a_delegated_group_is_used_and_freed_of_the_supervisor_itself() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "pids memory\n").unwrap();
        let group = root.path().join("system.slice/updates.service");
        fs::create_dir_all(&group).unwrap();
        fs::write(group.join("cgroup.controllers"), "pids\n").unwrap();
        fs::write(group.join("cgroup.procs"), format!("{}\n", std::process::id())).unwrap();
        if xattr::set(&group, "user.delegate", b"1").is_err() {
            // The file system of the temporary directory knows no user attributes.
            return;
        }
        let own = "0::/system.slice/updates.service\n";
        let found = CgroupHierarchy::from_kernel_text(&mountinfo(root.path(), "cgroup2", ""), own);
        let above = vec![group.clone()];
        assert_eq!(found.pids, Ok(Base { directory: group.clone(), version: Version::Two, above }));
        assert!(found.memory.unwrap_err().ends_with("has no memory controller; name it in Delegate= of its unit"));
        let moved = fs::read_to_string(group.join("supervisor/cgroup.procs")).unwrap();
        assert_eq!(moved, std::process::id().to_string());
    }
}
