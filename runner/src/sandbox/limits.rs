//! Resource limits, setrlimit(2).

use rustix::io::Errno;
use rustix::process::{Resource as Rlimit, Rlimit as Value, getrlimit, getuid, setrlimit};
use updates_protocol::{Enforcement, Limit, Resource, SetupFailure};

use super::failure::OrFail;

#[derive(Debug)]
pub(super) struct Limits {
    limits: Vec<Limit>,
}

impl Limits {
    pub(super) fn new(limits: &[Limit]) -> Self {
        Self { limits: limits.to_vec() }
    }

    /// Needs to run before capabilities are dropped, for a limit above the inherited one; `ordinary` is whether the user
    /// that comes after it is not root.
    pub(super) fn apply(&self, ordinary: bool, enforcement: &mut Enforcement) -> Result<(), SetupFailure> {
        let mut applied = Vec::new();
        for &Limit { resource, value } in &self.limits {
            let (rlimit, name) = named(resource);
            let value = set(rlimit, value).or_fail("limits", || format!("{name}={value}"))?;
            if resource == Resource::Nproc && !ordinary && is_the_machines_root() {
                // copy_process() in kernel/fork.c exempts the first user of the machine.
                enforcement
                    .missing("limit_nproc", "the kernel does not bind root by RLIMIT_NPROC; pids.max of a cgroup does");
            } else {
                applied.push(format!("{name}={value}"));
            }
        }
        if !applied.is_empty() {
            enforcement.enforced("limits", applied.join(", "));
        }
        Ok(())
    }
}

// The `root` of a user namespace is somebody else outside, and bound as such. Its map is inside, outside, length; see
// user_namespaces(7). Without a map to read, saying less than what holds is the safe side.
fn is_the_machines_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let outside = map.split_whitespace().nth(1);
    getuid().is_root() && outside.is_none_or(|id| id == "0")
}

// Where the inherited hard limit is lower and can't be raised, it stays: that is stricter than what was asked for.
fn set(rlimit: Rlimit, value: u64) -> Result<u64, Errno> {
    let limit = |value| Value { current: Some(value), maximum: Some(value) };
    match setrlimit(rlimit, limit(value)) {
        Err(Errno::PERM) => match getrlimit(rlimit).maximum {
            Some(maximum) if maximum < value => setrlimit(rlimit, limit(maximum)).map(|()| maximum),
            _ => Err(Errno::PERM),
        },
        other => other.map(|()| value),
    }
}

fn named(resource: Resource) -> (Rlimit, &'static str) {
    match resource {
        Resource::As => (Rlimit::As, "as"),
        Resource::Core => (Rlimit::Core, "core"),
        Resource::Cpu => (Rlimit::Cpu, "cpu"),
        Resource::Data => (Rlimit::Data, "data"),
        Resource::Fsize => (Rlimit::Fsize, "fsize"),
        Resource::Nofile => (Rlimit::Nofile, "nofile"),
        Resource::Nproc => (Rlimit::Nproc, "nproc"),
        Resource::Stack => (Rlimit::Stack, "stack"),
        Resource::Memlock => (Rlimit::Memlock, "memlock"),
        Resource::Msgqueue => (Rlimit::Msgqueue, "msgqueue"),
        Resource::Nice => (Rlimit::Nice, "nice"),
        Resource::Rtprio => (Rlimit::Rtprio, "rtprio"),
    }
}
