//! What stands in for a cgroup where none can be made: resource limits, which bind each process or user by itself.
//!
//! They are weaker, and the report says what they leave open. Whether a module runs under them is its profile's affair:
//! a bound that is not fully replaced counts as missing.

use updates_protocol::{Enforcement, Limit, Resource, Restriction, SandboxPlan};

use crate::process::CgroupLimits;

/// Init is the module's user as well, and no task of the module.
const INIT: u64 = 1;

/// Adds to `plan` what replaces the bounds that `account` lacks, and notes it there.
///
/// `unprivileged` says whether the module's user is another than the machine's root outside as well: the kernel exempts
/// that one from RLIMIT_NPROC.
pub(super) fn substitute(account: &mut Enforcement, limits: CgroupLimits, plan: &mut SandboxPlan, unprivileged: bool) {
    for restriction in account.restrictions.iter_mut().filter(|restriction| !restriction.enforced) {
        match restriction.name.as_str() {
            "tasks_max" => tasks(restriction, limits.tasks_max, plan, unprivileged),
            "memory_max" => memory(restriction, limits.memory_max, plan),
            // RLIMIT_CPU is an amount of time and no share of it.
            _ => {}
        }
    }
}

// In a user namespace of its own, as every unprivileged sandbox has, the count is that of the sandbox alone.
fn tasks(restriction: &mut Restriction, limit: Option<u64>, plan: &mut SandboxPlan, unprivileged: bool) {
    let Some(value) = limit.filter(|_| unprivileged).map(|limit| limit.saturating_add(INIT)) else { return };
    plan.limits.push(Limit { resource: Resource::Nproc, value });
    restriction.enforced = true;
    restriction.by = format!("RLIMIT_NPROC {value} instead of a cgroup: {}", restriction.by);
}

// Not RLIMIT_AS: programs reserve far more address space than they ever use.
fn memory(restriction: &mut Restriction, limit: Option<u64>, plan: &mut SandboxPlan) {
    let Some(value) = limit else { return };
    plan.limits.push(Limit { resource: Resource::Data, value });
    restriction.by =
        format!("RLIMIT_DATA {value} bounds each process, and nothing all of them together: {}", restriction.by);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn substituted(unprivileged: bool) -> (Vec<Restriction>, Vec<Limit>) {
        let mut account = Enforcement::default();
        account.missing("tasks_max", "no pids");
        account.missing("memory_max", "no memory");
        account.missing("cpu_quota", "no cpu");
        let mut plan: SandboxPlan = serde_json::from_value(json!({
            "mounts": [], "private_network": true, "hostname": "h", "capability_bounding_set": [], "limits": [],
            "cgroup_procs": [], "umask": 18, "working_directory": "/m", "best_effort": [], "trace": false
        }))
        .unwrap();
        let limits = CgroupLimits { tasks_max: Some(64), memory_max: Some(1 << 20), cpu_quota: Some(50) };
        substitute(&mut account, limits, &mut plan, unprivileged);
        (account.restrictions, plan.limits)
    }

    #[test]
    fn a_user_is_bound_in_tasks_as_by_a_cgroup_and_each_process_in_memory() {
        let (account, limits) = substituted(true);
        assert_eq!(limits[0], Limit { resource: Resource::Nproc, value: 65 });
        assert_eq!(limits[1], Limit { resource: Resource::Data, value: 1 << 20 });
        assert_eq!(account[0].by, "RLIMIT_NPROC 65 instead of a cgroup: no pids");
        assert_eq!(account.iter().map(|each| each.enforced).collect::<Vec<_>>(), [true, false, false]);
        assert!(account[1].by.ends_with("nothing all of them together: no memory"), "{}", account[1].by);
        assert_eq!(account[2].by, "no cpu");
    }

    #[test]
    fn root_is_bound_by_no_number_of_tasks_and_the_account_does_not_say_otherwise() {
        let (account, limits) = substituted(false);
        assert_eq!(limits.len(), 1);
        assert!(!account[0].enforced);
        assert_eq!(account[0].by, "no pids");
    }
}
