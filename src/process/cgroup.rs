//! The cgroup of one attempt: bounds its tasks and its memory, tells whether a bound was hit, ends whatever is left.
//!
//! What can't be enforced here is accounted for with its reason; whether the module then runs is its profile's affair.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use updates_protocol::{Enforcement, ModuleName};

use super::hierarchy::{Base, CgroupHierarchy, Version, describe};

/// The runner and its init are in the group as well, and are not the module's tasks.
const RUNNER_TASKS: u64 = 2;
/// How often and after which pause removing a group is tried while its last tasks are on their way out.
const REMOVALS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// What to bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CgroupLimits {
    /// Largest number of processes and threads.
    pub tasks_max: Option<u64>,
    /// Largest amount of memory, in bytes.
    pub memory_max: Option<u64>,
}

/// The groups of one attempt. Dropping it kills what is left in them and removes them.
#[derive(Debug)]
#[must_use]
pub struct CgroupScope {
    directories: Vec<PathBuf>,
    version: Version,
    account: Enforcement,
    limits: Vec<(PathBuf, LimitHit)>,
}

/// A bound that the module ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitHit {
    /// A process or thread was refused.
    Tasks {
        /// The bound.
        limit: u64,
    },
    /// A process was killed for want of memory.
    Memory {
        /// The bound in bytes.
        limit: u64,
    },
}

impl CgroupHierarchy {
    /// Makes the groups for one attempt of `module`.
    pub fn scope(&self, module: &ModuleName, limits: CgroupLimits) -> CgroupScope {
        // Counted for the whole process, so that no two scopes of it ever share a group.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{module}-{count}", std::process::id());
        let mut scope = CgroupScope {
            directories: Vec::new(),
            version: Version::Two,
            account: Enforcement::default(),
            limits: Vec::new(),
        };
        if let Some(limit) = limits.tasks_max {
            let value = limit.saturating_add(RUNNER_TASKS);
            scope.bound("tasks_max", &self.pids, &name, ["pids.max"; 2], value, LimitHit::Tasks { limit });
        }
        if let Some(limit) = limits.memory_max {
            let files = ["memory.limit_in_bytes", "memory.max"];
            scope.bound("memory_max", &self.memory, &name, files, limit, LimitHit::Memory { limit });
        }
        scope
    }
}

impl CgroupScope {
    fn bound(
        &mut self,
        key: &str,
        base: &Result<Base, String>,
        name: &str,
        [file_1, file_2]: [&str; 2],
        value: u64,
        hit: LimitHit,
    ) {
        let base = match base {
            Ok(base) => base,
            Err(why) => return self.account.missing(key, why),
        };
        let (file, number) = match base.version {
            Version::One => (file_1, 1),
            Version::Two => (file_2, 2),
        };
        let directory = base.directory.join(name);
        let path = directory.join(file);
        match create(&directory).and_then(|()| fs::write(&path, value.to_string())) {
            Ok(()) => self.account.enforced(key, format!("cgroup v{number}, {file} {value}")),
            Err(error) => self.account.missing(key, describe(&path, &error)),
        }
        if directory.is_dir() && !self.directories.contains(&directory) {
            self.directories.push(directory.clone());
        }
        self.version = base.version;
        self.limits.push((directory, hit));
    }

    /// The `cgroup.procs` files that the runner writes itself into.
    pub fn procs(&self) -> Vec<PathBuf> {
        self.directories.iter().map(|directory| directory.join("cgroup.procs")).collect()
    }

    /// What is bounded by what, and what is not, and why.
    pub fn account(&self) -> &Enforcement {
        &self.account
    }

    /// The bounds that were hit so far.
    pub fn hits(&self) -> Vec<LimitHit> {
        self.limits.iter().filter(|(directory, hit)| was_hit(directory, *hit)).map(|(_, hit)| *hit).collect()
    }
}

// pids.events and memory.events (version 2) and memory.oom_control (version 1) count; see cgroup-v2.rst.
fn was_hit(directory: &Path, hit: LimitHit) -> bool {
    let (files, key) = match hit {
        LimitHit::Tasks { .. } => (["pids.events", "pids.events"], "max"),
        LimitHit::Memory { .. } => (["memory.events", "memory.oom_control"], "oom_kill"),
    };
    files.iter().any(|file| {
        let text = fs::read_to_string(directory.join(file)).unwrap_or_default();
        text.lines().any(|line| line.split_once(' ').is_some_and(|(name, count)| name == key && count.trim() != "0"))
    })
}

// A group of this name can only be the rest of a supervisor that had this process id before.
fn create(directory: &Path) -> io::Result<()> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

impl Drop for CgroupScope {
    fn drop(&mut self) {
        for directory in &self.directories {
            for attempt in 0..REMOVALS {
                match fs::remove_dir(directory) {
                    // Only a group with tasks in it is busy; anything else would not change by waiting.
                    Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) => {
                        kill_all(directory, self.version);
                        if attempt > 0 {
                            thread::sleep(PAUSE);
                        }
                    }
                    _ => break,
                }
            }
        }
    }
}

fn kill_all(directory: &Path, version: Version) {
    // cgroup.kill came with Linux 5.14; where it is missing, no task may be added while they are killed one by one.
    if version == Version::Two && fs::write(directory.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    fs::write(directory.join("pids.max"), "0").ok();
    let tasks = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    for pid in tasks.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw) {
        // A task that is gone already is what is wanted.
        kill_process(pid, Signal::KILL).ok();
    }
}

impl fmt::Display for LimitHit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitHit::Tasks { limit } => write!(f, "tasks_max {limit} was reached"),
            LimitHit::Memory { limit } if limit % (1 << 20) == 0 => {
                write!(f, "memory_max {}M was reached", limit >> 20)
            }
            LimitHit::Memory { limit } => write!(f, "memory_max {limit} was reached"),
        }
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
        let Some(scope) = scope(CgroupLimits { tasks_max: Some(4), memory_max: None }) else { return };
        assert_eq!(scope.hits(), []);
        // Not `output`: its pipes would be held open by what is left.
        inside(&scope, "for n in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done").stderr(Stdio::null()).status().ok();
        assert_eq!(scope.hits(), [LimitHit::Tasks { limit: 4 }]);
        assert_eq!(scope.hits()[0].to_string(), "tasks_max 4 was reached");
    }

    #[test]
    fn a_dropped_scope_leaves_neither_tasks_nor_directories() {
        let Some(scope) = scope(CgroupLimits { tasks_max: Some(9), memory_max: Some(64 << 20) }) else { return };
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
        let Some(scope) = scope(CgroupLimits { tasks_max: None, memory_max: Some(16 << 20) }) else { return };
        let hog = "head -c 200000000 /dev/zero | tail -c 200000000 > /dev/null";
        assert!(!inside(&scope, hog).status().unwrap().success());
        assert_eq!(scope.hits(), [LimitHit::Memory { limit: 16 << 20 }]);
        assert_eq!(scope.hits()[0].to_string(), "memory_max 16M was reached");
    }

    #[test]
    fn what_no_controller_bounds_is_accounted_for_with_its_reason() {
        let hierarchy = CgroupHierarchy {
            pids: Err("no pids here".to_owned()),
            memory: Ok(Base { directory: PathBuf::from("/nonexistent"), version: Version::Two }),
        };
        let limits = CgroupLimits { tasks_max: Some(9), memory_max: Some(1 << 20) };
        let scope = hierarchy.scope(&"x".parse().unwrap(), limits);
        assert_eq!(scope.procs(), Vec::<PathBuf>::new());
        assert!(scope.account().restrictions.iter().all(|restriction| !restriction.enforced));
        assert_eq!(scope.account().restrictions[0].by, "no pids here");
        assert!(scope.account().restrictions[1].by.starts_with("cannot write /nonexistent/"));
    }
}
