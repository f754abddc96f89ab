//! Where one profile allows more than another.

use updates_protocol::{DeclaredPath, ProtectProc};

use super::{Profile, RunAs, allowed};

impl Profile {
    /// The keys in which this profile allows more than `other`.
    pub fn loosened_against(&self, other: &Profile) -> Vec<&'static str> {
        let more = |ours: &[DeclaredPath], theirs: &[DeclaredPath]| ours.iter().any(|path| !theirs.contains(path));
        let unlimited = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        [
            ("read_write_paths", more(&self.read_write_paths, &other.read_write_paths)),
            ("read_only_paths", more(&self.read_only_paths, &other.read_only_paths)),
            ("inaccessible_paths", more(&other.inaccessible_paths, &self.inaccessible_paths)),
            ("volatile_paths", more(&self.volatile_paths, &other.volatile_paths)),
            ("protect_home", !self.protect_home && other.protect_home),
            ("protect_proc", seen(self.protect_proc) > seen(other.protect_proc)),
            ("private_network", !self.private_network && other.private_network),
            ("bind_tcp_ports", ports(self.bind_tcp_ports.as_deref(), other.bind_tcp_ports.as_deref())),
            ("connect_tcp_ports", ports(self.connect_tcp_ports.as_deref(), other.connect_tcp_ports.as_deref())),
            ("dynamic_user", other.user == RunAs::Dynamic && self.user != RunAs::Dynamic),
            ("user", other.user != RunAs::Dynamic && self.user > other.user),
            (
                "capability_bounding_set",
                self.capability_bounding_set.iter().any(|held| !other.capability_bounding_set.contains(held)),
            ),
            (
                "system_call_filter",
                self.system_call_filter != other.system_call_filter
                    && !allowed(&self.system_call_filter).is_subset(&allowed(&other.system_call_filter)),
            ),
            (
                "restrict_address_families",
                self.restrict_address_families.iter().any(|family| !other.restrict_address_families.contains(family)),
            ),
            ("restrict_suid_sgid", !self.restrict_suid_sgid && other.restrict_suid_sgid),
            ("restrict_realtime", !self.restrict_realtime && other.restrict_realtime),
            ("restrict_namespaces", !self.restrict_namespaces && other.restrict_namespaces),
            ("lock_personality", !self.lock_personality && other.lock_personality),
            ("memory_deny_write_execute", !self.memory_deny_write_execute && other.memory_deny_write_execute),
            ("limit_nofile", self.limit_nofile > other.limit_nofile),
            ("limit_fsize", unlimited(self.limit_fsize) > unlimited(other.limit_fsize)),
            ("limit_core", self.limit_core > other.limit_core),
            ("limit_as", unlimited(self.limit_as) > unlimited(other.limit_as)),
            ("limit_stack", self.limit_stack > other.limit_stack),
            ("limit_memlock", self.limit_memlock > other.limit_memlock),
            ("limit_msgqueue", self.limit_msgqueue > other.limit_msgqueue),
            ("limit_nice", self.limit_nice > other.limit_nice),
            ("limit_rtprio", self.limit_rtprio > other.limit_rtprio),
            ("tasks_max", self.tasks_max > other.tasks_max),
            ("memory_max", self.memory_max > other.memory_max),
            ("cpu_quota", unlimited(self.cpu_quota) > unlimited(other.cpu_quota)),
            ("runtime_max_sec", self.runtime_max_sec > other.runtime_max_sec),
            ("timeout_stop_sec", self.timeout_stop_sec > other.timeout_stop_sec),
            ("umask", self.umask & other.umask != other.umask),
            ("tmp_size", self.tmp_size > other.tmp_size),
            ("best_effort", self.best_effort.iter().any(|setting| !other.best_effort.contains(setting))),
        ]
        .into_iter()
        .filter_map(|(key, loosened)| loosened.then_some(key))
        .collect()
    }
}

/// How much is seen of other users' processes, from nothing.
pub(super) fn seen(protect: ProtectProc) -> u8 {
    match protect {
        ProtectProc::Ptraceable | ProtectProc::Invisible => 0,
        ProtectProc::Noaccess => 1,
        ProtectProc::Default => 2,
    }
}

fn ports(ours: Option<&[u16]>, theirs: Option<&[u16]>) -> bool {
    match (ours, theirs) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(ours), Some(theirs)) => ours.iter().any(|port| !theirs.contains(port)),
    }
}
