//! A profile as a unit of systemd: to be judged by `systemd-analyze security`, and to be read by who knows systemd.
//!
//! The unit is never started. What systemd has no directive for, TCP ports among it, is not in it.

use std::fmt::Write;

use super::score::system_is_writable;
use super::{Profile, RunAs, allowed};

/// The unit's text.
pub fn unit(profile: &Profile) -> String {
    let mut text = String::from("[Service]\nType=exec\nExecStart=/bin/true\n");
    let mut line = |directive: &str, value: &str| {
        // Writing to a string can't fail.
        writeln!(text, "{directive}={value}").unwrap_or_default();
    };
    let yes = |value: bool| if value { "yes" } else { "no" };
    for directive in [
        "NoNewPrivileges",
        "PrivateDevices",
        "PrivateMounts",
        "PrivateTmp",
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
    ] {
        line(directive, "yes");
    }
    line("DevicePolicy", "closed");
    line("KeyringMode", "private");
    line("SystemCallArchitectures", "native");
    line("ProtectSystem", if system_is_writable(profile) { "no" } else { "strict" });
    line("ProtectHome", if profile.protect_home { "tmpfs" } else { "read-only" });
    line("ProtectProc", profile.protect_proc.as_str());
    line("PrivateNetwork", yes(profile.private_network));
    match &profile.user {
        RunAs::Root => {}
        RunAs::Dynamic => line("DynamicUser", "yes"),
        RunAs::User(user) => {
            line("User", user);
            line("RemoveIPC", "yes");
        }
    }
    for (directive, paths) in [
        ("ReadWritePaths", &profile.read_write_paths),
        ("ReadWritePaths", &profile.volatile_paths),
        ("ReadOnlyPaths", &profile.read_only_paths),
        ("InaccessiblePaths", &profile.inaccessible_paths),
    ] {
        paths.iter().for_each(|path| line(directive, &format!("-{path}")));
    }
    line("CapabilityBoundingSet", &words(&profile.capability_bounding_set));
    line("SystemCallFilter", &words(&allowed(&profile.system_call_filter).iter().copied().collect::<Vec<_>>()));
    let families = words(&profile.restrict_address_families);
    line("RestrictAddressFamilies", if families.is_empty() { "none" } else { &families });
    line("RestrictSUIDSGID", yes(profile.restrict_suid_sgid));
    line("RestrictRealtime", yes(profile.restrict_realtime));
    line("RestrictNamespaces", yes(profile.restrict_namespaces));
    line("LockPersonality", yes(profile.lock_personality));
    line("MemoryDenyWriteExecute", yes(profile.memory_deny_write_execute));
    line("UMask", &format!("{:04o}", profile.umask));
    line("TasksMax", &profile.tasks_max.to_string());
    line("MemoryMax", &profile.memory_max.to_string());
    if let Some(percent) = profile.cpu_quota {
        line("CPUQuota", &format!("{percent}%"));
    }
    line("RuntimeMaxSec", &profile.runtime_max_sec.to_string());
    line("TimeoutStopSec", &profile.timeout_stop_sec.to_string());
    text
}

fn words<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}
