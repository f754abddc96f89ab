//! Each refusal against the rule that it is explained by and the line that would allow it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use updates_protocol::{Access, LandlockRules, Mount, ProtectProc, SandboxPlan, SystemCallFilter, TracedCall};

use super::explain::{OnMachine, Rules, explain};
use crate::profile::{Profile, Profiles};

fn profiles() -> Vec<Profile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox-profiles");
    Profiles::load(Path::new("/nonexistent"), &folder).shipped()
}

fn plan(profile: &Profile) -> SandboxPlan {
    let bind = |path: &str, access| Mount::Bind { source: path.into(), target: path.into(), access };
    let own = |path: &str| Mount::Tmpfs { target: path.into(), size: 1, mode: 0o755 };
    SandboxPlan {
        identity: None,
        mounts: vec![
            Mount::Symlink { content: "usr/bin".into(), target: "/bin".into() },
            bind("/etc", Access::ReadOnly),
            bind("/usr", Access::ReadOnly),
            bind("/var", Access::ReadOnly),
            Mount::Directory { target: "/root".into() },
            own("/run"),
            Mount::Proc { protect: ProtectProc::Default },
            own("/tmp"),
            bind("/etc/app", Access::ReadWrite),
            bind("/etc/hosts", Access::ReadWrite),
            Mount::Inaccessible { target: "/etc/shadow".into() },
            Mount::Inaccessible { target: "/var/lib/updates".into() },
        ],
        private_network: profile.private_network,
        network_namespace: None,
        hostname: "x".to_owned(),
        capability_bounding_set: profile.capability_bounding_set.iter().map(ToString::to_string).collect(),
        landlock: None,
        system_call_filter: None,
        limits: vec![],
        cgroup_procs: vec![],
        umask: 0,
        working_directory: "/".into(),
        best_effort: Default::default(),
        trace: true,
    }
}

fn tried(call: &str, path: &str, write: bool, error: &str) -> TracedCall {
    let path = (!path.is_empty()).then(|| path.to_owned());
    TracedCall { call: call.to_owned(), path, about: None, write, error: Some(error.to_owned()) }
}

fn there(path: &str) -> OnMachine {
    OnMachine { path: PathBuf::from(path), exists: true, folder: false, parent: true }
}

/// The rule, and the line.
fn explained(plan: &SandboxPlan, profile: &str, call: &TracedCall) -> Option<(&'static str, Value)> {
    let choices = profiles();
    let profile = choices.iter().find(|each| each.name.as_ref() == profile).unwrap();
    let machine = call.path.as_deref().map(there);
    let found = explain(&Rules { profile, plan, choices: &choices }, call, machine.as_ref())?;
    Some((found.rule, found.allow.unwrap_or(Value::Null)))
}

#[test]
fn each_refused_path_has_its_rule_and_its_line() {
    let choices = profiles();
    let plan = plan(&choices[0]);
    let write = |path: &str| json!({"sandbox": {"read_write_paths": [path]}});
    let read = |path: &str| json!({"sandbox": {"read_only_paths": [path]}});
    let profile = |name: &str| json!({"sandbox": {"profile": name}});
    let table = [
        (tried("openat", "/etc/foo.conf", true, "EROFS"), "read_write_paths", write("/etc/foo.conf")),
        (tried("rename", "/etc/foo/a", true, "EROFS"), "read_write_paths", write("/etc/foo/")),
        (tried("mkdir", "/etc/foo", true, "EROFS"), "read_write_paths", write("/etc/foo/")),
        (tried("openat", "/bin/x", true, "EROFS"), "read_write_paths", write("/bin/x")),
        (tried("rename", "/etc/hosts", true, "EBUSY"), "read_write_paths", Value::Null),
        (tried("unlink", "/etc/hosts", true, "EROFS"), "read_write_paths", Value::Null),
        (tried("rename", "/etc/app/deep/x", true, "EXDEV"), "read_write_paths", write("/etc/app/deep/")),
        (tried("openat", "/etc/updates/config.toml", true, "EROFS"), "supervisor", Value::Null),
        (tried("openat", "/var/lib/updates/updates.db", false, "EACCES"), "supervisor", Value::Null),
        (tried("openat", "/root/z", false, "ENOENT"), "protect_home", read("/root/z")),
        (tried("openat", "/root/z", true, "ENOENT"), "protect_home", write("/root/z")),
        (tried("openat", "/etc/shadow", false, "EACCES"), "inaccessible_paths", read("/etc/shadow")),
        (tried("connect", "/run/dbus/system_bus_socket", false, "ENOENT"), "/run", profile("legacy")),
        (tried("openat", "/run/x/pid", false, "ENOENT"), "/run", read("/run/x/pid")),
        (tried("openat", "/proc/sys/kernel/core_pattern", true, "EACCES"), "sandbox", Value::Null),
        (tried("chown", "/etc/app/f", true, "EPERM"), "capability_bounding_set", profile("default")),
        (tried("mknod", "/etc/app/f", true, "EPERM"), "capability_bounding_set", profile("package-manager")),
        (tried("mount", "/usr", true, "EPERM"), "capability_bounding_set", Value::Null),
    ];
    for (call, rule, allow) in table {
        assert_eq!(explained(&plan, "strict", &call), Some((rule, allow)), "{call:?}");
    }
}

#[test]
fn a_file_that_was_to_be_made_asks_for_its_folder() {
    let choices = profiles();
    let plan = plan(&choices[0]);
    let rules = Rules { profile: &choices[0], plan: &plan, choices: &choices };
    let absent = |path: &str| OnMachine { exists: false, ..there(path) };
    for (path, line) in [("/var/lib/apt/lists/partial/x.n9hxJL", "/var/lib/apt/lists/partial/"), ("/etc/x", "/etc/x")] {
        let found = explain(&rules, &tried("openat", path, true, "EROFS"), Some(&absent(path))).unwrap();
        assert_eq!(found.allow, Some(json!({"sandbox": {"read_write_paths": [line]}})), "{path}");
    }
}

#[test]
fn each_refusal_of_the_network_has_its_rule() {
    let choices = profiles();
    let call = |call: &str, about: &str, error: &str| TracedCall {
        about: Some(about.to_owned()),
        ..tried(call, "", false, error)
    };
    let strict = plan(&choices[0]);
    let refused = call("connect", "tcp 192.0.2.1:443", "ENETUNREACH");
    let network = json!({"sandbox": {"profile": "network"}});
    assert_eq!(explained(&strict, "strict", &refused), Some(("private_network", network)));
    let packet = explained(&strict, "strict", &call("socket", "AF_PACKET", "EPERM"));
    assert_eq!(packet, Some(("capability_bounding_set", json!({"sandbox": {"profile": "legacy"}}))));
    let being_made = call("connect", "tcp 127.0.0.1:80", "EINPROGRESS");
    assert_eq!(explained(&strict, "strict", &being_made).unwrap().0, "private_network");
    let mut open = SandboxPlan { private_network: false, ..strict };
    assert_eq!(explained(&open, "network", &refused), None);
    open.landlock = Some(LandlockRules { connect_tcp: Some(vec![443]), ..LandlockRules::default() });
    assert_eq!(explained(&open, "network", &call("connect", "tcp 192.0.2.1:25", "EACCES")).unwrap().0, "landlock");
}

#[test]
fn the_filter_of_system_calls_goes_before_every_other_rule() {
    let choices = profiles();
    let mut plan = plan(&choices[1]);
    let keyctl = tried("keyctl", "", false, "EPERM");
    assert_eq!(explained(&plan, "default", &keyctl).unwrap().0, "kernel");
    plan.system_call_filter =
        Some(SystemCallFilter { program: String::new(), summary: String::new(), settings: Default::default() });
    let profile = |name: &str| json!({"sandbox": {"profile": name}});
    for (call, allow) in [
        (keyctl, Value::Null),
        (tried("mount", "", false, "EPERM"), Value::Null),
        (tried("personality", "", false, "SIGSYS"), Value::Null),
        (tried("chroot", "/tmp", false, "EPERM"), profile("package-manager")),
    ] {
        assert_eq!(explained(&plan, "default", &call), Some(("system_call_filter", allow)), "{call:?}");
    }
    let groups = explained(&plan, "default", &tried("setgroups", "", false, "EPERM"));
    assert_eq!(groups, Some(("capability_bounding_set", profile("package-manager"))));
}

#[test]
fn a_setting_that_looks_at_arguments_is_named_with_what_would_loosen_it() {
    let choices = profiles();
    let filter =
        Some(SystemCallFilter { program: String::new(), summary: String::new(), settings: Default::default() });
    let strict = SandboxPlan { system_call_filter: filter.clone(), ..plan(&choices[0]) };
    let default = SandboxPlan { system_call_filter: filter, ..plan(&choices[1]) };
    let socket =
        |family: &str| TracedCall { about: Some(family.to_owned()), ..tried("socket", "", false, "EAFNOSUPPORT") };
    let own = |key: &str, value: Value| json!({"sandbox": {key: value}});
    let profile = |name: &str| own("profile", name.into());
    let families = "restrict_address_families";
    for (plan, name, call, rule, allow) in [
        (&default, "default", socket("AF_UNIX"), families, own(families, json!(["AF_UNIX"]))),
        (&default, "default", socket("AF_NETLINK"), families, profile("network")),
        (&default, "default", socket("AF_PACKET"), families, Value::Null),
        (&strict, "strict", socket("AF_INET"), families, profile("default")),
        (
            &default,
            "default",
            tried("chmod", "/etc/app/f", true, "EPERM"),
            "restrict_suid_sgid",
            profile("package-manager"),
        ),
        (&default, "default", tried("sched_setscheduler", "", false, "EPERM"), "restrict_realtime", Value::Null),
        (&default, "default", tried("unshare", "", false, "EPERM"), "restrict_namespaces", Value::Null),
        (
            &strict,
            "strict",
            tried("mprotect", "", false, "EPERM"),
            "memory_deny_write_execute",
            own("memory_deny_write_execute", false.into()),
        ),
    ] {
        assert_eq!(explained(plan, name, &call), Some((rule, allow)), "{call:?} under {name}");
    }
}

#[test]
fn what_means_nothing_is_not_explained() {
    let choices = profiles();
    let plan = plan(&choices[0]);
    let rules = Rules { profile: &choices[0], plan: &plan, choices: &choices };
    let nowhere = OnMachine { exists: false, parent: false, ..there("/etc/ld.so.preload") };
    assert_eq!(explain(&rules, &tried("openat", "/etc/ld.so.preload", false, "ENOENT"), Some(&nowhere)), None);
    for call in [
        tried("openat", "/usr/lib/x/__pycache__/a.cpython-313.pyc.1", true, "EROFS"),
        tried("openat", "/dev/tty", true, "ENXIO"),
        tried("clone3", "", false, "ENOSYS"),
        TracedCall { error: None, ..tried("openat", "/etc/hosts", false, "") },
    ] {
        assert_eq!(explained(&plan, "strict", &call), None, "{call:?}");
    }
}
