//! The cgroup of one attempt: bounds its tasks, memory and processor time, tells whether a bound was hit, and ends
//! whatever is left.
//!
//! What can't be enforced here is accounted for with its reason; whether the module then runs is its profile's affair.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use updates_protocol::{Enforcement, ModuleName};

use super::cgroup_limit::{Bound, CgroupLimits, LimitHit, throttled};
use super::hierarchy::{Base, CgroupHierarchy, Version, describe, owner};

/// The runner and its init may be in the group as well, and are not the module's tasks.
const RUNNER_TASKS: u64 = 2;
/// How often and after which pause removing a group is tried while its last tasks are on their way out.
const REMOVALS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// The groups of one attempt. Dropping it kills what is left in them and removes them.
#[derive(Debug)]
#[must_use]
pub struct CgroupScope {
    name: String,
    directories: Vec<PathBuf>,
    account: Enforcement,
    limits: Vec<(PathBuf, LimitHit)>,
    cpu: Option<PathBuf>,
}

impl CgroupHierarchy {
    /// Makes the groups for one attempt of `module`.
    pub fn scope(&self, module: &ModuleName, limits: CgroupLimits) -> CgroupScope {
        // Counted for the whole process, so that no two scopes of it ever share a group.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut scope = CgroupScope {
            name: format!("{}-{module}-{count}", owner()),
            directories: Vec::new(),
            account: Enforcement::default(),
            limits: Vec::new(),
            cpu: None,
        };
        if let Some(directory) = &self.kill {
            // A convenience: without it, the tasks that are left are killed one by one.
            scope.directory_in(directory).ok();
        }
        if let Some(limit) = limits.tasks_max {
            scope.bound(&self.pids, Bound::Tasks { limit, tasks_of_ours: RUNNER_TASKS });
        }
        if let Some(limit) = limits.memory_max {
            scope.bound(&self.memory, Bound::Memory { limit });
        }
        if let Some(percent) = limits.cpu_quota {
            let base = self.cpu.clone().and_then(|base| base.enable("cpu").map(|()| base));
            scope.cpu = scope.bound(&base, Bound::Cpu { percent });
        }
        scope
    }
}

impl CgroupScope {
    fn bound(&mut self, base: &Result<Base, String>, bound: Bound) -> Option<PathBuf> {
        match base.as_ref().map_err(Clone::clone).and_then(|base| self.apply(base, bound)) {
            Ok((directory, by)) => {
                self.account.enforced(bound.key(), by);
                self.limits.extend(bound.hit().map(|hit| (directory.clone(), hit)));
                Some(directory)
            }
            Err(why) => {
                self.account.missing(bound.key(), why);
                None
            }
        }
    }

    fn apply(&mut self, base: &Base, bound: Bound) -> Result<(PathBuf, String), String> {
        let directory = self
            .directory_in(&base.directory)
            .map_err(|error| describe(base.version, &base.directory.join(&self.name), &error))?;
        let number = match base.version {
            Version::One => 1,
            Version::Two => 2,
        };
        let mut by = format!("cgroup v{number}");
        for (file, value) in bound.required(base.version) {
            write(&directory, file, &value).map_err(|error| describe(base.version, &directory.join(file), &error))?;
            by += &format!(", {file} {value}");
        }
        if let Some((file, value)) = bound.swap(base.version) {
            match write(&directory, file, &value) {
                Ok(()) => by += &format!(", {file} {value}"),
                Err(_) if !swap_is_on() => {}
                Err(why) => by += &format!("; what is swapped out is not counted: {file}: {why}"),
            }
        }
        if let (Bound::Memory { .. }, Version::Two) = (bound, base.version) {
            // A module of which one process is missing is in a state that nobody has thought of.
            match write(&directory, "memory.oom.group", "1") {
                Ok(()) => by += ", memory.oom.group 1",
                Err(why) => by += &format!("; at the bound the kernel ends one process alone: memory.oom.group: {why}"),
            }
        }
        Ok((directory, by))
    }

    // A group of this name that is there can only be the rest of a supervisor that had this process id before, and its
    // counters are not this attempt's.
    fn directory_in(&mut self, base: &Path) -> io::Result<PathBuf> {
        let directory = base.join(&self.name);
        if self.directories.contains(&directory) {
            return Ok(directory);
        }
        match fs::create_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                remove(&directory);
                fs::create_dir(&directory)?;
            }
            made => made?,
        }
        self.directories.push(directory.clone());
        Ok(directory)
    }

    /// The `cgroup.procs` files that the runner writes itself into.
    pub fn procs(&self) -> Vec<PathBuf> {
        self.directories.iter().map(|directory| directory.join("cgroup.procs")).collect()
    }

    /// What is bounded by what, and what is not, and why.
    pub fn account(&self) -> &Enforcement {
        &self.account
    }

    /// How much `cpu_quota` has kept the module from the processor so far, in words; nothing if it has not.
    pub fn throttled(&self) -> Option<String> {
        self.cpu.as_deref().and_then(throttled)
    }

    /// The bounds that were hit so far.
    pub fn hits(&self) -> Vec<LimitHit> {
        self.limits.iter().filter(|(directory, hit)| hit.happened_in(directory)).map(|(_, hit)| *hit).collect()
    }
}

// Not `fs::write`, which would make a file that is not there where the tree is no cgroup's.
fn write(directory: &Path, file: &str, value: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(directory.join(file))?.write_all(value.as_bytes())
}

// The first line of /proc/swaps is a heading, see proc_swaps(5).
fn swap_is_on() -> bool {
    fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1)
}

impl Drop for CgroupScope {
    fn drop(&mut self) {
        self.directories.iter().for_each(|directory| remove(directory));
    }
}

/// Kills what is in the group, waits for that, and removes it.
pub(super) fn remove(directory: &Path) {
    for attempt in 0..REMOVALS {
        match fs::remove_dir(directory) {
            // Only a group with tasks in it is busy; anything else would not change by waiting.
            Err(error) if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => {
                kill_all(directory);
                if attempt > 0 {
                    thread::sleep(PAUSE);
                }
            }
            _ => return,
        }
    }
}

// cgroup.kill came with version 2 and Linux 5.14; where it is missing, no task may be added while they are killed one
// by one.
fn kill_all(directory: &Path) {
    if write(directory, "cgroup.kill", "1").is_ok() {
        return;
    }
    write(directory, "pids.max", "0").ok();
    let tasks = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    for pid in tasks.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw) {
        // A task that is gone already is what is wanted.
        kill_process(pid, Signal::KILL).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::*;

    /// A scope with a shell in it, or nothing where this machine lets the tests make no cgroups.
    fn scope(limits: CgroupLimits) -> Option<CgroupScope> {
        let scope = CgroupHierarchy::find().scope(&"probe".parse().unwrap(), limits);
        scope.account().restrictions.iter().all(|restriction| restriction.enforced).then_some(scope)
    }

    fn inside(scope: &CgroupScope, script: &str) -> Command {
        let enter: Vec<String> = scope.procs().iter().map(|procs| format!("echo $$ > {}", procs.display())).collect();
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("{} && {script}", enter.join(" && ")));
        command
    }

    #[test]
    fn a_fork_bomb_stops_at_tasks_max_and_is_told_of() {
        let Some(scope) = scope(CgroupLimits { tasks_max: Some(4), ..CgroupLimits::default() }) else { return };
        assert_eq!(scope.hits(), []);
        // Not `output`: its pipes would be held open by what is left.
        inside(&scope, "for n in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done").stderr(Stdio::null()).status().ok();
        assert_eq!(scope.hits(), [LimitHit::Tasks { limit: 4 }]);
        assert_eq!(scope.hits()[0].to_string(), "tasks_max 4 was reached");
    }

    #[test]
    fn a_dropped_scope_leaves_neither_tasks_nor_directories() {
        let Some(scope) = scope(CgroupLimits { tasks_max: Some(9), memory_max: Some(64 << 20), cpu_quota: Some(100) })
        else {
            return;
        };
        let directories = scope.directories.clone();
        let mut child = inside(&scope, "exec sleep 1000").spawn().unwrap();
        let procs = &scope.procs()[0];
        while fs::read_to_string(procs).unwrap().is_empty() {
            thread::yield_now();
        }
        let reaper = thread::spawn(move || child.wait().unwrap());
        drop(scope);
        assert_eq!(reaper.join().unwrap().signal(), Some(9));
        assert!(directories.iter().all(|directory| !directory.exists()), "{directories:?}");
    }

    #[test]
    fn too_much_memory_ends_the_one_who_took_it() {
        let Some(scope) = scope(CgroupLimits { memory_max: Some(16 << 20), ..CgroupLimits::default() }) else { return };
        let hog = "head -c 200000000 /dev/zero | tail -c 200000000 > /dev/null";
        assert!(!inside(&scope, hog).status().unwrap().success());
        assert_eq!(scope.hits(), [LimitHit::Memory { limit: 16 << 20 }]);
        assert_eq!(scope.hits()[0].to_string(), "memory_max 16M was reached");
    }

    #[test]
    fn a_quota_keeps_a_busy_group_from_the_processor_and_the_account_says_so() {
        let Some(scope) = scope(CgroupLimits { cpu_quota: Some(5), ..CgroupLimits::default() }) else { return };
        assert_eq!(scope.throttled(), None);
        let mut busy = inside(&scope, "while :; do :; done").spawn().unwrap();
        while scope.throttled().is_none() {
            thread::yield_now();
        }
        busy.kill().unwrap();
        busy.wait().unwrap();
        assert_eq!(scope.hits(), []);
    }

    #[test]
    fn what_was_left_of_an_earlier_group_of_the_same_name_is_ended_and_not_counted() {
        let Some(mut scope) = scope(CgroupLimits { tasks_max: Some(2), ..CgroupLimits::default() }) else { return };
        let mut left = inside(&scope, "exec sleep 1000").spawn().unwrap();
        let reaper = thread::spawn(move || left.wait().unwrap());
        while fs::read_to_string(&scope.procs()[0]).unwrap().is_empty() {
            thread::yield_now();
        }
        for directory in std::mem::take(&mut scope.directories) {
            assert_eq!(scope.directory_in(directory.parent().unwrap()).unwrap(), directory);
        }
        assert_eq!(reaper.join().unwrap().signal(), Some(9));
    }

    #[test]
    fn what_no_controller_bounds_is_accounted_for_with_its_reason() {
        let hierarchy = CgroupHierarchy {
            pids: Err("no pids here".to_owned()),
            memory: Ok(Base { directory: PathBuf::from("/nonexistent"), version: Version::Two, above: vec![] }),
            cpu: Ok(Base {
                directory: PathBuf::from("/nonexistent"),
                version: Version::Two,
                above: vec![PathBuf::from("/nonexistent")],
            }),
            kill: None,
        };
        let limits = CgroupLimits { tasks_max: Some(9), memory_max: Some(1 << 20), cpu_quota: Some(50) };
        let scope = hierarchy.scope(&"x".parse().unwrap(), limits);
        assert_eq!(scope.procs(), Vec::<PathBuf>::new());
        let account = &scope.account().restrictions;
        assert!(account.iter().all(|restriction| !restriction.enforced));
        assert_eq!(account[0].by, "no pids here");
        assert!(account[1].by.starts_with("cannot write /nonexistent/"));
        assert!(account[2].by.starts_with("cannot write /nonexistent/cgroup.subtree_control"));
    }
}
