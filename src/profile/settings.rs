//! A profile with every setting decided.

use std::collections::BTreeMap;

use updates_protocol::{DeclaredPath, ProfileName, ProtectProc};

use super::{AddressFamily, Allowance, Capability, Provenance, Restrictions, RunAs, SystemCallEntry};

/// The settings of one sandbox; named like systemd's directives, see systemd.exec(5) and systemd.resource-control(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The profile's name.
    pub name: ProfileName,
    /// What it is for, in a sentence.
    pub description: String,
    /// Writable, and backed up before a run. Once resolved for a module: all of its declared paths.
    pub read_write_paths: Vec<DeclaredPath>,
    /// Seen but not written, also inside writable paths and where nothing else would be seen, as in `/run`.
    pub read_only_paths: Vec<DeclaredPath>,
    /// Hidden.
    pub inaccessible_paths: Vec<DeclaredPath>,
    /// Writable without a way back; reports name them.
    pub volatile_paths: Vec<DeclaredPath>,
    /// Whether `/root` and `/home` are hidden.
    pub protect_home: bool,
    /// What is seen of other users' processes.
    pub protect_proc: ProtectProc,
    /// Whether there is no network but a loopback of its own.
    pub private_network: bool,
    /// TCP ports that may be bound; all when absent. Landlock's; systemd has no equal.
    pub bind_tcp_ports: Option<Vec<u16>>,
    /// TCP ports that may be connected to; all when absent. Landlock's; systemd has no equal.
    pub connect_tcp_ports: Option<Vec<u16>>,
    /// Whom modules run as; `user` and `dynamic_user` of a file.
    pub user: RunAs,
    /// Every other capability is gone for good.
    pub capability_bounding_set: Vec<Capability>,
    /// System calls that are possible; see [`super::allowed`].
    pub system_call_filter: Vec<SystemCallEntry>,
    /// Families of which sockets can be made.
    pub restrict_address_families: Vec<AddressFamily>,
    /// Whether no file becomes setuid or setgid.
    pub restrict_suid_sgid: bool,
    /// Whether there is no real-time scheduling.
    pub restrict_realtime: bool,
    /// Whether no namespace is made or entered.
    pub restrict_namespaces: bool,
    /// Whether the execution domain stays.
    pub lock_personality: bool,
    /// Whether memory is never writable and executable, nor becomes executable.
    pub memory_deny_write_execute: bool,
    /// Open descriptors a process.
    pub limit_nofile: u64,
    /// Largest file, in bytes.
    pub limit_fsize: Option<u64>,
    /// Largest core dump, in bytes.
    pub limit_core: u64,
    /// Address space of a process, in bytes.
    pub limit_as: Option<u64>,
    /// Stack of a process, in bytes.
    pub limit_stack: u64,
    /// Locked memory of a process, in bytes.
    pub limit_memlock: u64,
    /// Message queues of the user, in bytes.
    pub limit_msgqueue: u64,
    /// Ceiling of the nice value, as 20 minus it, 0 to 40: with 0 no process becomes more urgent.
    pub limit_nice: u64,
    /// Ceiling of the real-time priority, 0 to 99.
    pub limit_rtprio: u64,
    /// Processes and threads.
    pub tasks_max: u64,
    /// Memory, in bytes.
    pub memory_max: u64,
    /// Processor time in percent of one processor; no bound when absent.
    pub cpu_quota: Option<u64>,
    /// Deadline of one attempt, in seconds.
    pub runtime_max_sec: u64,
    /// Time between SIGTERM and SIGKILL, in seconds.
    pub timeout_stop_sec: u64,
    /// Further environment variables.
    pub environment: BTreeMap<String, String>,
    /// File mode creation mask.
    pub umask: u32,
    /// Size of each of the private `/tmp` and `/var/tmp`, in bytes.
    pub tmp_size: u64,
    /// Whether modules under it run while no other module runs.
    pub exclusive: bool,
    /// What may go unenforced where the machine can't enforce it; everything else stops the module then.
    pub best_effort: Vec<BestEffort>,
    /// Why settings are looser than `strict`, by key.
    pub reasons: BTreeMap<String, String>,
    /// How far a manifest may loosen the profile before a person is asked.
    pub allow: Allowance,
    /// Who set what.
    pub provenance: Provenance,
}

/// A setting that a machine may lack the means to enforce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BestEffort {
    /// No cgroup with the `pids` controller is delegated.
    TasksMax,
    /// No cgroup with the `memory` controller is delegated.
    MemoryMax,
    /// No cgroup with the `cpu` controller is delegated.
    CpuQuota,
    /// The kernel lacks Landlock, or a part of it that the profile asks for.
    Landlock,
    /// The kernel has Landlock, but not its scopes for signals and abstract sockets, which came with Linux 6.12.
    LandlockScopes,
    /// The kernel lacks seccomp filters.
    SystemCallFilter,
}

impl BestEffort {
    const ALL: [Self; 6] =
        [Self::TasksMax, Self::MemoryMax, Self::CpuQuota, Self::Landlock, Self::LandlockScopes, Self::SystemCallFilter];

    /// The key that it stands for, as the report names the restriction.
    pub fn as_str(self) -> &'static str {
        match self {
            BestEffort::TasksMax => "tasks_max",
            BestEffort::MemoryMax => "memory_max",
            BestEffort::CpuQuota => "cpu_quota",
            BestEffort::Landlock => "landlock",
            BestEffort::LandlockScopes => "landlock_scopes",
            BestEffort::SystemCallFilter => "system_call_filter",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::as_str).join(", ");
        Self::ALL.into_iter().find(|each| each.as_str() == text).ok_or_else(|| {
            format!("is always enforced, or the module does not run; only these may be lacking: {known}")
        })
    }
}

/// What a program of a service needs, less what needs privilege and what widens the kernel's surface without need.
const CALLS: [&str; 15] = [
    "@system-service",
    "@pkey",
    "@sandbox",
    "~@privileged",
    "~@resources",
    "~@keyring",
    "~io_uring_setup",
    "~io_uring_enter",
    "~io_uring_register",
    "~kcmp",
    "~personality",
    "~process_vm_readv",
    "~process_vm_writev",
    "~setns",
    "~userfaultfd",
];

const NETLINK: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_NET_ADMIN"];

impl Profile {
    /// What holds where no profile says otherwise: everything closed, and bounds that suit a small job. The shipped
    /// `strict` spells it out.
    pub(super) fn closed(name: ProfileName) -> Self {
        Self {
            name,
            description: String::new(),
            read_write_paths: Vec::new(),
            read_only_paths: Vec::new(),
            inaccessible_paths: Vec::new(),
            volatile_paths: Vec::new(),
            protect_home: true,
            protect_proc: ProtectProc::Invisible,
            private_network: true,
            bind_tcp_ports: None,
            connect_tcp_ports: None,
            user: RunAs::Dynamic,
            capability_bounding_set: Vec::new(),
            system_call_filter: CALLS.iter().filter_map(|call| SystemCallEntry::parse(call).ok()).collect(),
            restrict_address_families: Vec::new(),
            restrict_suid_sgid: true,
            restrict_realtime: true,
            restrict_namespaces: true,
            lock_personality: true,
            memory_deny_write_execute: true,
            limit_nofile: 1024,
            limit_fsize: Some(1 << 30),
            limit_core: 0,
            limit_as: None,
            limit_stack: 8 << 20,
            limit_memlock: 8 << 20,
            limit_msgqueue: 819_200,
            limit_nice: 0,
            limit_rtprio: 0,
            tasks_max: 256,
            memory_max: 512 << 20,
            cpu_quota: None,
            runtime_max_sec: 300,
            timeout_stop_sec: 10,
            environment: BTreeMap::new(),
            umask: 0o022,
            tmp_size: 512 << 20,
            exclusive: false,
            best_effort: Vec::new(),
            reasons: BTreeMap::new(),
            allow: Allowance::default(),
            provenance: Provenance::default(),
        }
    }

    /// Every path that can be written: the backed-up ones, then the volatile ones.
    pub fn writable_paths(&self) -> impl Iterator<Item = &DeclaredPath> {
        self.read_write_paths.iter().chain(&self.volatile_paths)
    }

    /// Whether a module may leave files behind that let whoever runs them be somebody else: setuid and setgid bits and file
    /// capabilities, as a package manager has to.
    pub fn may_lend_privileges(&self) -> bool {
        self.capability_bounding_set.iter().any(|capability| capability.as_str() == "CAP_SETFCAP")
    }

    /// Whether a module runs although the setting called `key` can't be enforced here.
    pub fn may_lack(&self, key: &str) -> bool {
        self.best_effort.iter().any(|setting| setting.as_str() == key)
    }

    /// The settings that look at arguments of system calls.
    pub fn restrictions(&self) -> Restrictions {
        Restrictions {
            address_families: self.restrict_address_families.clone(),
            suid_sgid: self.restrict_suid_sgid,
            realtime: self.restrict_realtime,
            namespaces: self.restrict_namespaces,
            lock_personality: self.lock_personality,
            memory_deny_write_execute: self.memory_deny_write_execute,
            tcp_ports: self.bind_tcp_ports.is_some() || self.connect_tcp_ports.is_some(),
            // Who may write to the kernel's audit log or set up the network does so over sockets of these kinds.
            netlink: !self.capability_bounding_set.iter().any(|held| NETLINK.contains(&held.as_str())),
        }
    }
}
