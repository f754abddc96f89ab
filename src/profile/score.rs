//! How exposed the machine is to a module: one number, 0.0 safe to 10.0, weighed as `systemd-analyze security` weighs.
//!
//! Names and weights are those of systemd's table; the number is the share of the weights that a sandbox leaves open.
//! What every sandbox here has, whatever the profile, is counted too, since a unit's settings are as well.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use serde::{Serialize, Serializer};
use updates_protocol::ProtectProc;

use super::{Profile, RunAs, allowed, group};

/// An exposure in tenths, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exposure(u64);

impl Exposure {
    /// The exposure in tenths, as near as a number has it that systemd printed.
    pub fn from_text(text: &str) -> Option<Self> {
        let (whole, tenth) = text.split_once('.')?;
        let (whole, tenth): (u64, u64) = (whole.parse().ok()?, tenth.parse().ok()?);
        (whole <= 10 && tenth < 10).then_some(Self(whole * 10 + tenth))
    }

    /// In tenths, 0 to 100.
    pub fn tenths(self) -> u64 {
        self.0
    }

    /// systemd's word for it.
    pub fn word(self) -> &'static str {
        match self.0 {
            100.. => "dangerous",
            90..100 => "unsafe",
            75..90 => "exposed",
            50..75 => "medium",
            10..50 => "ok",
            1..10 => "safe",
            0 => "perfect",
        }
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.0 / 10, self.0 % 10))
    }
}

impl Serialize for Exposure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / 10.0)
    }
}

/// One thing that systemd weighs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Assessment {
    /// As systemd calls it.
    pub name: String,
    /// How much it weighs.
    pub weight: u64,
    /// How bad it is, 0 to `range`.
    pub badness: u64,
    /// How bad it could be.
    pub range: u64,
}

/// The exposure that assessments come to.
pub fn exposure(assessments: &[Assessment]) -> Exposure {
    let bad: u64 = assessments.iter().map(|each| (each.badness * each.weight).div_ceil(each.range)).sum();
    let all: u64 = assessments.iter().map(|each| each.weight).sum();
    Exposure((bad * 100).div_ceil(all.max(1)))
}

const CAPABILITIES: [(&str, u64, &[&str]); 26] = [
    ("CAP_SYS_ADMIN", 1500, &["CAP_SYS_ADMIN"]),
    ("CAP_SET(UID|GID|PCAP)", 1500, &["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"]),
    ("CAP_SYS_PTRACE", 1500, &["CAP_SYS_PTRACE"]),
    ("CAP_SYS_TIME", 1000, &["CAP_SYS_TIME"]),
    ("CAP_NET_ADMIN", 1000, &["CAP_NET_ADMIN"]),
    ("CAP_SYS_RAWIO", 1000, &["CAP_SYS_RAWIO"]),
    ("CAP_SYS_MODULE", 1000, &["CAP_SYS_MODULE"]),
    ("CAP_AUDIT_*", 500, &["CAP_AUDIT_CONTROL", "CAP_AUDIT_READ", "CAP_AUDIT_WRITE"]),
    ("CAP_SYSLOG", 500, &["CAP_SYSLOG"]),
    ("CAP_SYS_(NICE|RESOURCE)", 500, &["CAP_SYS_NICE", "CAP_SYS_RESOURCE"]),
    ("CAP_MKNOD", 500, &["CAP_MKNOD"]),
    ("CAP_(CHOWN|FSETID|SETFCAP)", 1000, &["CAP_CHOWN", "CAP_FSETID", "CAP_SETFCAP"]),
    ("CAP_(DAC_*|FOWNER|IPC_OWNER)", 1000, &["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_IPC_OWNER"]),
    ("CAP_KILL", 500, &["CAP_KILL"]),
    ("CAP_NET_(BIND_SERVICE|BROADCAST|RAW)", 500, &["CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_RAW"]),
    ("CAP_SYS_BOOT", 100, &["CAP_SYS_BOOT"]),
    ("CAP_MAC_*", 100, &["CAP_MAC_ADMIN", "CAP_MAC_OVERRIDE"]),
    ("CAP_LINUX_IMMUTABLE", 75, &["CAP_LINUX_IMMUTABLE"]),
    ("CAP_IPC_LOCK", 50, &["CAP_IPC_LOCK"]),
    ("CAP_SYS_CHROOT", 50, &["CAP_SYS_CHROOT"]),
    ("CAP_BLOCK_SUSPEND", 25, &["CAP_BLOCK_SUSPEND"]),
    ("CAP_WAKE_ALARM", 25, &["CAP_WAKE_ALARM"]),
    ("CAP_LEASE", 25, &["CAP_LEASE"]),
    ("CAP_SYS_TTY_CONFIG", 25, &["CAP_SYS_TTY_CONFIG"]),
    ("CAP_SYS_PACCT", 25, &["CAP_SYS_PACCT"]),
    ("CAP_BPF", 25, &["CAP_BPF"]),
];
const NAMESPACES: [(&str, u64); 7] =
    [("user", 1500), ("mnt", 500), ("ipc", 500), ("pid", 500), ("cgroup", 500), ("net", 500), ("uts", 100)];
const GROUPS: [(&str, u64); 11] = [
    ("@swap", 1000),
    ("@obsolete", 250),
    ("@clock", 1000),
    ("@cpu-emulation", 250),
    ("@debug", 1000),
    ("@mount", 1000),
    ("@module", 1000),
    ("@raw-io", 1000),
    ("@reboot", 1000),
    ("@privileged", 700),
    ("@resources", 700),
];
/// What every sandbox has, in a mount, pid, ipc and uts namespace of its own, without device nodes and kernel settings.
const ALWAYS: [(&str, u64); 14] = [
    ("PrivateDevices=", 1000),
    ("PrivateMounts=", 1000),
    ("PrivateTmp=", 1000),
    ("ProtectControlGroups=", 1000),
    ("ProtectKernelModules=", 1000),
    ("ProtectKernelTunables=", 1000),
    ("ProtectHostname=", 50),
    ("NoNewPrivileges=", 1000),
    ("KeyringMode=", 1000),
    ("NotifyAccess=", 1000),
    ("Delegate=", 100),
    ("SystemCallArchitectures=", 1000),
    ("DeviceAllow=", 1000),
    ("AmbientCapabilities=", 500),
];
/// What no sandbox has: users of its own, a file tree that is not the machine's, a `/proc` of processes alone, and a
/// filter for addresses.
const NEVER: [(&str, u64); 4] =
    [("PrivateUsers=", 1000), ("RootDirectory=/RootImage=", 200), ("ProcSubset=", 10), ("IPAddressDeny=", 1000)];

/// Everything that is weighed, for one profile.
pub fn assess(profile: &Profile) -> Vec<Assessment> {
    let mut all = Vec::new();
    let mut weigh = |name: &str, weight, badness, range| {
        all.push(Assessment { name: name.to_owned(), weight, badness, range });
    };
    ALWAYS.iter().for_each(|(name, weight)| weigh(name, *weight, 0, 1));
    NEVER.iter().for_each(|(name, weight)| weigh(name, *weight, 1, 1));
    let held = |names: &[&str]| profile.capability_bounding_set.iter().any(|held| names.contains(&held.as_str()));
    let calls = allowed(&profile.system_call_filter);
    weigh("User=/DynamicUser=", 2000, if profile.user == RunAs::Root { 10 } else { 0 }, 10);
    if profile.user != RunAs::Root {
        weigh("SupplementaryGroups=", 200, 0, 1);
        weigh("RemoveIPC=", 100, 0, 1);
    }
    weigh("PrivateNetwork=", 2500, u64::from(!profile.private_network), 1);
    weigh("ProtectKernelLogs=", 1000, u64::from(held(&["CAP_SYSLOG"]) && calls.contains("syslog")), 1);
    weigh("ProtectClock=", 1000, u64::from(held(&["CAP_SYS_TIME", "CAP_WAKE_ALARM"])), 1);
    weigh("ProtectHome=", 1000, if profile.protect_home { 1 } else { 5 }, 10);
    weigh("ProtectSystem=", 1000, if system_is_writable(profile) { 10 } else { 0 }, 10);
    weigh("LockPersonality=", 100, u64::from(!profile.lock_personality), 1);
    weigh("MemoryDenyWriteExecute=", 100, u64::from(!profile.memory_deny_write_execute), 1);
    weigh("UMask=", 100, umask(profile.umask), 10);
    let seen = match profile.protect_proc {
        ProtectProc::Invisible | ProtectProc::Ptraceable => 0,
        ProtectProc::Noaccess => 1,
        ProtectProc::Default => 3,
    };
    weigh("ProtectProc=", 1000, seen, 3);
    weigh("RestrictRealtime=", 500, u64::from(!profile.restrict_realtime), 1);
    weigh("RestrictSUIDSGID=", 1000, u64::from(!profile.restrict_suid_sgid), 1);
    for (name, weight) in NAMESPACES {
        weigh(&format!("RestrictNamespaces=~{name}"), weight, u64::from(!profile.restrict_namespaces), 1);
    }
    for (name, weight, capabilities) in CAPABILITIES {
        weigh(&format!("CapabilityBoundingSet=~{name}"), weight, u64::from(held(capabilities)), 1);
    }
    let families: BTreeSet<_> = profile.restrict_address_families.iter().map(|family| family.as_str()).collect();
    let known = ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET"];
    let any = |names: &[&str]| u64::from(names.iter().any(|name| families.contains(name)));
    weigh("RestrictAddressFamilies=~AF_(INET|INET6)", 1500, any(&known[..2]), 1);
    weigh("RestrictAddressFamilies=~AF_UNIX", 25, any(&known[2..3]), 1);
    weigh("RestrictAddressFamilies=~AF_NETLINK", 200, any(&known[3..4]), 1);
    weigh("RestrictAddressFamilies=~AF_PACKET", 1000, any(&known[4..]), 1);
    let exotic = families.iter().any(|family| !known.contains(family));
    weigh("RestrictAddressFamilies=~…", 1250, u64::from(exotic), 1);
    for (name, weight) in GROUPS {
        let open = group(name).iter().any(|call| calls.contains(call));
        weigh(&format!("SystemCallFilter=~{name}"), weight, if open { 9 } else { 0 }, 10);
    }
    all
}

/// Whether `/usr` can be written as a whole.
pub(super) fn system_is_writable(profile: &Profile) -> bool {
    profile.writable_paths().any(|path| path.as_path() == Path::new("/usr"))
}

fn umask(mask: u32) -> u64 {
    [(0o002, 10), (0o004, 5), (0o020, 2), (0o040, 1)]
        .into_iter()
        .find(|(bit, _)| mask & bit == 0)
        .map_or(0, |(_, badness)| badness)
}
