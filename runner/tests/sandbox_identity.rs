//! Whom the module runs as, which network and which processes it sees, and that init is out of its reach.
//!
//! As root, since that is what a supervisor has; one test is about doing without.
#![allow(clippy::unwrap_used)] // clippy.toml allows it inside test functions, and helpers are as much of a test

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use common::{Elsewhere, Module, runner};
use updates_protocol::{Identity, Limit, Mount, ProtectProc, Resource};

fn as_user(commands: &str) -> Module {
    let mut module = Module::shell(&format!("exec 2>&1\n{commands}"));
    module.plan().identity = Some(Identity { uid: 1234, gid: 1235, groups: vec![7] });
    module
}

#[test]
fn an_ordinary_user_holds_no_capability_and_can_use_its_own_places() {
    let module = as_user(
        r#"id -u; id -g; id -G; grep -E '^Cap' /proc/self/status | grep -v '0000000000000000$'
           for file in /tmp/a /dev/shm/a /dev/null "$STATE_DIRECTORY/a"; do echo x >"$file" || echo "no $file"; done
           echo out >/dev/stdout; echo error >/dev/stderr; grep -c module /dev/stdin; : >/dev/ptmx && echo terminal
           grep -c . /proc/self/maps >/dev/null && echo own"#,
    );
    let run = module.run().succeeded();
    assert_eq!(run.stdout()[..3], ["1234", "1235", "1235 7"]);
    let mut rest = run.stdout()[3..].to_vec();
    rest.sort_unstable();
    assert_eq!(rest, ["1", "error", "out", "own", "terminal"]);
    let written = fs::metadata(module.state().join("a")).unwrap();
    assert_eq!((written.uid(), written.gid()), (1234, 1235));
    assert_eq!(run.enforced("identity"), Some("user 1234, group 1235, 1 supplementary groups"));
    assert_eq!(run.enforced("capabilities"), Some("none"));
}

#[test]
fn what_belongs_to_root_is_closed_to_an_ordinary_user() {
    let mut module = as_user("cat /etc/shadow; ( : >/tmp/../etc/x ); ls /run/hidden; chown 0 /tmp; kill -9 1");
    module.plan().mounts.push(Mount::Directory { target: "/run/hidden".into() });
    module.plan().mounts.push(Mount::Inaccessible { target: "/run/hidden".into() });
    let run = module.run();
    let lines: Vec<&str> = run.stdout().into_iter().filter(|line| !line.is_empty()).collect();
    let refusals = ["Permission denied", "Read-only", "Permission denied", "not permitted", "not permitted"];
    assert_eq!(lines.len(), refusals.len(), "{run:?}");
    for (line, refusal) in lines.into_iter().zip(refusals) {
        assert!(line.contains(refusal), "{line}");
    }
}

#[test]
fn root_inside_has_no_groups_of_whoever_started_it() {
    let mut command = Command::new("setpriv");
    command.args(["--groups", "4,27"]).arg(runner().get_program());
    let run = Module::shell("id -G").start_with(&mut command).finish().succeeded();
    assert_eq!(run.stdout(), ["0"]);
}

#[test]
fn ids_that_mean_root_or_nothing_are_refused() {
    for (uid, gid, groups) in [(0, 1, vec![]), (1, 0, vec![]), (u32::MAX, 1, vec![]), (1, 1, vec![u32::MAX])] {
        let mut module = as_user("echo ran");
        module.plan().identity = Some(Identity { uid, gid, groups });
        assert!(module.run().failed_in("plan").contains("identity"));
    }
}

#[test]
fn a_limit_of_processes_binds_an_ordinary_user() {
    let mut module = as_user("( true; true ) & ( true; true ) & wait");
    // Nobody else's: the limit counts all processes of a user.
    module.plan().identity = Some(Identity { uid: 1236, gid: 1236, groups: vec![] });
    module.plan().limits = vec![Limit { resource: Resource::Nproc, value: 1 }];
    let run = module.run();
    assert_eq!(run.enforced("limits"), Some("nproc=1"));
    assert!(run.stdout().iter().any(|line| line.to_lowercase().contains("fork")), "{run:?}");
}

#[test]
fn without_root_the_planned_user_stands_for_the_caller() {
    let module = as_user("id -u; id -g; echo x >$STATE_DIRECTORY/a; echo out >/dev/stdout; : >/tmp/a");
    let mut command = runner();
    command.uid(65534).gid(65534);
    let run = module.start_with(&mut command).finish().succeeded();
    assert_eq!(run.stdout(), ["1234", "1235", "out"]);
    assert!(run.enforced("identity").unwrap().contains("the caller's outside"));
    assert!(run.missing("supplementary_groups").unwrap().contains("1 planned are not given"), "{run:?}");
    assert_eq!(fs::metadata(module.state().join("a")).unwrap().uid(), 65534);
}

#[test]
fn init_can_be_neither_stopped_nor_traced_nor_read() {
    let attempts = r#"#!/usr/bin/python3
import ctypes, errno, os, signal
libc = ctypes.CDLL(None, use_errno=True)
for number in range(1, 65):
    try: os.kill(1, number)
    except PermissionError: pass
for name, request in ("attach", 16), ("seize", 0x4206):
    print(name, "OPEN" if libc.ptrace(request, 1, 0, 0) == 0 else errno.errorcode[ctypes.get_errno()])
for name, flags in ("mem", os.O_RDWR), ("exe", os.O_RDONLY), ("environ", os.O_RDONLY), ("root/etc", os.O_RDONLY):
    try: os.open("/proc/1/" + name, flags); print(name, "OPEN")
    except OSError as error: print(name, errno.errorcode[error.errno])
# A stopped init would never reap an orphan.
if os.fork() == 0:
    if os.fork() == 0: os._exit(0)
    os._exit(0)
print("state", open("/proc/1/stat").read().split(")")[1].split()[0] in "SR")
"#;
    for identity in [None, Some(Identity { uid: 1234, gid: 1234, groups: vec![] })] {
        let mut module = Module::executable(attempts);
        module.plan().capability_bounding_set = vec!["CAP_KILL".into(), "CAP_DAC_OVERRIDE".into(), "CAP_SETUID".into()];
        module.plan().identity = identity;
        let run = module.run().succeeded();
        assert_eq!(run.stdout().len(), 7, "{run:?}");
        assert!(!run.stdout().iter().any(|line| line.contains("OPEN")), "{run:?}");
        assert_eq!(run.stdout()[6], "state True");
    }
}

#[test]
fn processes_of_others_are_hidden_as_asked() {
    for (protect, seen, readable) in
        [(ProtectProc::Default, "1", true), (ProtectProc::Noaccess, "1", false), (ProtectProc::Invisible, "", false)]
    {
        let mut module = as_user("cd /proc; echo 1*; cat 1/status >/dev/null 2>&1 && echo readable; cat self/comm");
        for mount in &mut module.plan().mounts {
            if let Mount::Proc { protect: planned } = mount {
                *planned = protect;
            }
        }
        let run = module.run().succeeded();
        assert_eq!(run.stdout()[0].split(' ').any(|name| name == "1"), !seen.is_empty(), "{protect:?} {run:?}");
        assert_eq!(run.stdout().contains(&"readable"), readable, "{protect:?} {run:?}");
        assert_eq!(run.stdout().last(), Some(&"cat"));
        assert_eq!(run.enforced("protect_proc").is_some(), protect != ProtectProc::Default);
    }
}

#[test]
fn what_proc_tells_of_the_kernel_is_hidden_or_read_only() {
    let module = Module::shell(
        r#"cd /proc; for file in kcore kmsg keys kallsyms timer_list kpagecount kpageflags vmallocinfo; do
             head -c 1 $file >/dev/null 2>&1 && echo "open $file"; done
           for file in sysrq-trigger sys/kernel/core_pattern irq/default_smp_affinity sys/vm/drop_caches; do
             ( : >>$file ) 2>/dev/null && echo "writable $file"; done; echo end"#,
    );
    assert_eq!(module.run().succeeded().stdout(), ["end"]);
}

#[test]
fn a_premade_network_is_entered() {
    let elsewhere = Elsewhere::new();
    let file = elsewhere.file();
    let mut module = Module::shell("readlink /proc/self/ns/net; grep -c : /proc/net/dev");
    module.plan().private_network = true;
    module.plan().network_namespace = Some(file.clone());
    let run = module.run().succeeded();
    assert_eq!(run.stdout()[0], fs::read_link(&file).unwrap().to_str().unwrap());
    assert!(run.enforced("private_network").unwrap().contains("premade"));

    module.plan().private_network = false;
    assert!(module.run().failed_in("plan").contains("private_network"));
}

#[test]
fn what_is_no_network_namespace_is_refused() {
    let mut module = Module::shell("echo ran");
    module.plan().private_network = true;
    for (file, reason) in [
        ("/dev/null", "no network namespace"),
        ("/proc/self/ns/mnt", "no network namespace"),
        ("/no/such/file", "No such file"),
    ] {
        module.plan().network_namespace = Some(file.into());
        assert!(module.run().failed_in("private_network").contains(reason));
    }
    module.plan().network_namespace = Some("/proc/self/ns/net".into());
    let mut command = runner();
    command.uid(65534).gid(65534);
    assert!(module.start_with(&mut command).finish().failed_in("plan").contains("needs root"));
}
