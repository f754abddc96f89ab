//! The bounds that cgroups enforce: the files that each is written to, and how it is told that a module ran into one.
//!
//! The files are those of the kernel's cgroup-v2.rst, cgroup-v1/memory.rst, cgroup-v1/pids.rst and sched-bwc.rst.

use std::fmt;
use std::fs;
use std::path::Path;

use super::hierarchy::Version;

/// Length of the periods in which processor time is handed out, in microseconds; the kernel's own default.
const PERIOD: u64 = 100_000;

/// What to bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CgroupLimits {
    /// Largest number of processes and threads.
    pub tasks_max: Option<u64>,
    /// Largest amount of memory, in bytes; nothing of it may be swapped out.
    pub memory_max: Option<u64>,
    /// Processor time in percent of one processor, at least 1; systemd's `CPUQuota=`.
    pub cpu_quota: Option<u64>,
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

/// One bound: a value in files of a cgroup.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    Tasks { limit: u64, tasks_of_ours: u64 },
    Memory { limit: u64 },
    Cpu { percent: u64 },
}

impl Bound {
    /// Its key in a profile.
    pub(super) fn key(self) -> &'static str {
        match self {
            Bound::Tasks { .. } => "tasks_max",
            Bound::Memory { .. } => "memory_max",
            Bound::Cpu { .. } => "cpu_quota",
        }
    }

    /// What must be written, in this order, or the bound does not hold.
    pub(super) fn required(self, version: Version) -> Vec<(&'static str, String)> {
        match (self, version) {
            (Bound::Tasks { limit, tasks_of_ours }, _) => {
                vec![("pids.max", limit.saturating_add(tasks_of_ours).to_string())]
            }
            (Bound::Memory { limit }, Version::One) => vec![("memory.limit_in_bytes", limit.to_string())],
            (Bound::Memory { limit }, Version::Two) => vec![("memory.max", limit.to_string())],
            (Bound::Cpu { percent }, Version::One) => {
                vec![("cpu.cfs_period_us", PERIOD.to_string()), ("cpu.cfs_quota_us", quota(percent).to_string())]
            }
            (Bound::Cpu { percent }, Version::Two) => vec![("cpu.max", format!("{} {PERIOD}", quota(percent)))],
        }
    }

    /// Closes the way around `memory_max` into swap space; a kernel that counts no swap lacks the file.
    pub(super) fn swap(self, version: Version) -> Option<(&'static str, String)> {
        match (self, version) {
            // Memory and swap together, so the same number leaves no swap.
            (Bound::Memory { limit }, Version::One) => Some(("memory.memsw.limit_in_bytes", limit.to_string())),
            (Bound::Memory { .. }, Version::Two) => Some(("memory.swap.max", "0".to_owned())),
            _ => None,
        }
    }

    /// What is told when it was hit. Being throttled is no way to end.
    pub(super) fn hit(self) -> Option<LimitHit> {
        match self {
            Bound::Tasks { limit, .. } => Some(LimitHit::Tasks { limit }),
            Bound::Memory { limit } => Some(LimitHit::Memory { limit }),
            Bound::Cpu { .. } => None,
        }
    }
}

// Less than a millisecond a period is refused by the kernel.
fn quota(percent: u64) -> u64 {
    percent.max(1).saturating_mul(PERIOD / 100)
}

impl LimitHit {
    // pids.events and memory.events (version 2) and memory.oom_control (version 1) count.
    pub(super) fn happened_in(self, directory: &Path) -> bool {
        match self {
            LimitHit::Tasks { .. } => count(directory, "pids.events", "max") > 0,
            LimitHit::Memory { .. } => {
                count(directory, "memory.events", "oom_kill") > 0
                    || count(directory, "memory.oom_control", "oom_kill") > 0
            }
        }
    }
}

/// How often and for how long a group was kept from the processor by its quota, in words; nothing if never.
pub(super) fn throttled(directory: &Path) -> Option<String> {
    let stat = |key| count(directory, "cpu.stat", key);
    let (periods, times) = (stat("nr_periods"), stat("nr_throttled"));
    // Microseconds in version 2, nanoseconds in version 1.
    let milliseconds = (stat("throttled_usec") / 1_000).max(stat("throttled_time") / 1_000_000);
    (times > 0).then(|| format!("throttled in {times} of {periods} periods, for {milliseconds} ms of processor time"))
}

fn count(directory: &Path, file: &str, key: &str) -> u64 {
    let text = fs::read_to_string(directory.join(file)).unwrap_or_default();
    let value = text.lines().filter_map(|line| line.split_once(' ')).find(|(name, _)| *name == key);
    value.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
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
    use super::*;

    #[test]
    fn a_quota_is_a_share_of_one_processor_in_either_version() {
        let half = Bound::Cpu { percent: 50 };
        assert_eq!(half.required(Version::Two), [("cpu.max", "50000 100000".to_owned())]);
        let version_1 = [("cpu.cfs_period_us", "100000".to_owned()), ("cpu.cfs_quota_us", "50000".to_owned())];
        assert_eq!(half.required(Version::One), version_1);
        assert_eq!(Bound::Cpu { percent: 250 }.required(Version::Two)[0].1, "250000 100000");
        assert_eq!(Bound::Cpu { percent: 0 }.required(Version::Two)[0].1, "1000 100000");
    }

    #[test]
    fn throttling_is_told_in_the_units_of_either_version() {
        let group = tempfile::tempdir().unwrap();
        assert_eq!(throttled(group.path()), None);
        for time in ["throttled_usec 1500000", "throttled_time 1500000000"] {
            fs::write(group.path().join("cpu.stat"), format!("nr_periods 40\nnr_throttled 30\n{time}\n")).unwrap();
            let told = "throttled in 30 of 40 periods, for 1500 ms of processor time";
            assert_eq!(throttled(group.path()).unwrap(), told);
        }
    }
}
