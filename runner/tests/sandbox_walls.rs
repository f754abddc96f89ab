//! Landlock and the system call filter: what they refuse, and what happens on a kernel that has neither.
//!
//! A kernel without them is this one behind a filter that hides them.
#![allow(clippy::unwrap_used)] // clippy.toml allows it inside test functions, and helpers are as much of a test

mod common;

use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::Command;

use common::{ALLOW, Module, fail_with, filter, runner, runner_without};
use nix::libc;
use updates_protocol::{Entry, Exit, LandlockAccess, LandlockPath, LandlockRules, Mount, SystemCallFilter};

fn path(path: impl AsRef<Path>, access: LandlockAccess) -> LandlockPath {
    LandlockPath { path: path.as_ref().to_owned(), access }
}

/// Prints what each command did or why it failed; everything may be read, and these paths written.
fn confined(commands: &str, paths: Vec<LandlockPath>) -> Module {
    let mut module = Module::shell(&format!("exec 2>&1\n{commands}"));
    let everything = [path("/", LandlockAccess::Read), path("/dev", LandlockAccess::WriteInPlace)];
    let rules = LandlockRules { paths: everything.into_iter().chain(paths).collect(), ..LandlockRules::default() };
    module.plan().landlock = Some(rules);
    module
}

fn filtered(mut module: Module, program: String) -> Module {
    let settings = [("lock_personality".to_owned(), "seccomp: held".to_owned())].into();
    module.plan().system_call_filter = Some(SystemCallFilter { program, summary: "a few".to_owned(), settings });
    module
}

#[test]
fn landlock_refuses_what_no_rule_allows() {
    let mut module = confined(
        r#"echo new >"$STATE_DIRECTORY/file" && mkdir "$STATE_DIRECTORY/made" && echo written
           echo x >/tmp/file; echo x >/dev/null && cat /etc/hostname >/dev/null && echo read; cat /var/lib/dpkg/status"#,
        vec![],
    );
    let state = module.state();
    let rules = module.plan().landlock.as_mut().unwrap();
    rules.paths.push(path(state, LandlockAccess::Write));
    rules.paths.push(path("/no/such/path", LandlockAccess::Read));
    let run = module.run().succeeded();
    assert_eq!(run.stdout()[0], "written");
    assert!(run.stdout()[1].contains("Permission denied"), "{:?}", run.stdout());
    assert_eq!(run.stdout()[2], "read");
    assert!(run.enforced("landlock").unwrap().contains("3 rules, 1 for paths that are not there"), "{run:?}");

    let mut module = confined("cat /etc/passwd; echo ran", vec![]);
    let code = module.folder.path().join("code");
    let rules = module.plan().landlock.as_mut().unwrap();
    rules.paths = ["/usr", "/bin", "/lib", "/lib64", "/proc"].map(|each| path(each, LandlockAccess::Read)).to_vec();
    rules.paths.push(path(code, LandlockAccess::Read));
    let run = module.run();
    assert!(run.stdout()[0].contains("/etc/passwd: Permission denied"), "{run:?}");
    assert_eq!(run.stdout()[1], "ran");
}

#[test]
fn the_kinds_of_access_differ_as_documented() {
    for (access, expected) in [
        (LandlockAccess::Read, ["", "", "", ""]),
        (LandlockAccess::WriteInPlace, ["there", "", "", ""]),
        (LandlockAccess::Write, ["there", "new", "fifo", ""]),
        (LandlockAccess::Full, ["there", "new", "fifo", "device"]),
    ] {
        let mut module = confined(
            r#"cd "$STATE_DIRECTORY"; for each in ": >there" ": >new" "mkfifo fifo" "mknod device c 1 3"; do
                 if ( eval "$each" ) 2>/dev/null; then echo "${each##*[ >]}"; else echo; fi; done"#,
            vec![],
        );
        std::fs::write(module.state().join("there"), "").unwrap();
        let state = module.state();
        module.plan().capability_bounding_set.push("CAP_MKNOD".to_owned());
        module.plan().landlock.as_mut().unwrap().paths.push(path(state, access));
        let expected = expected.map(|name| if name == "device" { "3" } else { name });
        assert_eq!(module.run().succeeded().stdout(), expected, "{access:?}");
    }
}

#[test]
fn tcp_ports_and_scopes_hold() {
    let name = format!("updates-walls-{}", std::process::id());
    let _outside = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let attempts = format!(
        r#"#!/usr/bin/python3
import errno, socket
def attempt(family, what):
    try: what(socket.socket(family)); print("OPEN")
    except OSError as error: print(errno.errorcode[error.errno])
attempt(socket.AF_INET, lambda s: s.bind(("127.0.0.1", 0)))
attempt(socket.AF_INET, lambda s: s.connect(("127.0.0.1", 1)))
attempt(socket.AF_INET, lambda s: s.connect(("127.0.0.1", 2)))
attempt(socket.AF_UNIX, lambda s: s.connect("\0{name}"))
"#
    );
    let mut module = Module::executable(&attempts);
    let everything = vec![path("/", LandlockAccess::Read), path("/dev", LandlockAccess::WriteInPlace)];
    let mut rules = LandlockRules { paths: everything, ..LandlockRules::default() };
    module.plan().landlock = Some(rules.clone());
    assert_eq!(module.run().succeeded().stdout(), ["OPEN", "ECONNREFUSED", "ECONNREFUSED", "OPEN"]);

    rules.bind_tcp = Some(vec![]);
    rules.connect_tcp = Some(vec![2]);
    rules.scope_abstract_unix_socket = true;
    rules.scope_signal = true;
    module.plan().landlock = Some(rules);
    let run = module.run().succeeded();
    assert_eq!(run.stdout(), ["EACCES", "EACCES", "ECONNREFUSED", "EPERM"]);
    let by = run.enforced("landlock").unwrap();
    for part in ["bind_tcp: 0 ports", "connect_tcp: 1 ports", "scope_abstract_unix_socket: on", "scope_signal: on"] {
        assert!(by.contains(part), "{by}");
    }
}

#[test]
fn init_is_not_bound_by_landlock() {
    let mut module = confined("trap 'echo asked; exit 3' TERM; echo ready; sleep 600 & wait", vec![]);
    module.plan().landlock.as_mut().unwrap().scope_signal = true;
    let mut live = module.start();
    live.wait_for("ready");
    live.cancel(60_000);
    live.wait_for("asked");
    assert_eq!(live.finish().exit, Some(Exit::Code(3)));
}

#[test]
fn a_landlock_rule_to_write_follows_no_link_that_the_module_made() {
    let mut module = confined("echo ran", vec![]);
    let link = module.state().join("link");
    symlink("/etc", &link).unwrap();
    module.plan().landlock.as_mut().unwrap().paths.push(path(&link, LandlockAccess::Write));
    let run = module.run();
    assert!(run.failed_in("landlock").contains("symbolic link"), "{run:?}");
    assert!(run.log.is_empty());

    // One of the machine is another matter: it lies where the module can't write.
    let mut module = confined(": >/tmp/x && echo wrote", vec![path("/run/link", LandlockAccess::Write)]);
    module.plan().mounts.push(Mount::Symlink { content: "../tmp".into(), target: "/run/link".into() });
    assert_eq!(module.run().succeeded().stdout(), ["wrote"]);
}

#[test]
fn without_landlock_the_module_does_not_run_unless_the_profile_says_so() {
    for errno in [libc::ENOSYS, libc::EOPNOTSUPP] {
        let mut hidden = runner_without(libc::SYS_landlock_create_ruleset, errno);
        let mut module = confined("echo ran", vec![]);
        module.plan().landlock.as_mut().unwrap().scope_signal = true;
        let run = module.start_with(&mut hidden).finish();
        let reason = run.failed_in("landlock");
        assert!(reason.contains("Linux 5.13") && reason.contains("best_effort"), "{reason}");
        assert!(run.log.is_empty());

        module.plan().best_effort.insert("landlock".to_owned());
        let run = module.start_with(&mut hidden).finish().succeeded();
        assert_eq!(run.stdout(), ["ran"]);
        assert!(run.missing("landlock").unwrap().contains("version 1"), "{run:?}");
        assert_eq!(run.enforced("landlock"), None);
    }
}

#[test]
fn the_filter_refuses_and_kills() {
    let rules = [(libc::SYS_sethostname, fail_with(libc::EPERM)), (libc::SYS_setpriority, 0x8000_0000)];
    let module =
        Module::shell("exec 2>&1; grep ^Seccomp: /proc/self/status; echo ran; nice -n 1 true; exec renice 1 $$");
    let run = filtered(module, filter(&rules, ALLOW)).run();
    assert_eq!(run.stdout()[..2], ["Seccomp:\t2", "ran"]);
    assert_eq!(run.exit, Some(Exit::Signal(libc::SIGSYS)), "{run:?}");
    assert_eq!(run.enforced("system_call_filter"), Some("a few"));
    assert_eq!(run.enforced("lock_personality"), Some("seccomp: held"));
}

#[test]
fn a_filter_may_leave_the_runner_nothing_but_its_last_steps() {
    let last = [libc::SYS_write, libc::SYS_execve, libc::SYS_exit_group].map(|number| (number, ALLOW));
    let program = filter(&last, fail_with(libc::EPERM));
    // The module was executed, and its loader can do nothing.
    let run = filtered(Module::shell(""), program.clone()).run();
    assert_eq!(run.failure, None);
    assert!(!matches!(run.exit, None | Some(Exit::Code(0))), "{run:?}");

    let mut module = filtered(Module::shell(""), program);
    module.invocation.entry = Entry::Executable { file: "/no/such/program".into() };
    assert!(module.run().failed_in("exec").contains("/no/such/program"));
}

#[test]
fn a_program_that_is_none_is_refused() {
    for (program, step) in [
        ("", "plan"),
        ("0600000000000000ff", "plan"),
        ("060000000000fg7f", "plan"),
        ("+6000000000000ff", "plan"),
        ("ffff0000ffffffff", "system_call_filter"),
        (&"20000000".repeat(2 * 4097), "plan"),
    ] {
        let run = filtered(Module::shell("echo ran"), program.to_owned()).run();
        run.failed_in(step);
        assert!(run.log.is_empty());
    }
}

#[test]
fn without_seccomp_the_module_does_not_run_unless_the_profile_says_so() {
    let mut hidden = runner_without(libc::SYS_seccomp, libc::ENOSYS);
    let mut module = filtered(Module::shell("echo ran"), filter(&[], ALLOW));
    let run = module.start_with(&mut hidden).finish();
    let reason = run.failed_in("system_call_filter");
    assert!(reason.contains("CONFIG_SECCOMP_FILTER") && reason.contains("best_effort"), "{reason}");

    module.plan().best_effort.insert("system_call_filter".to_owned());
    let run = module.start_with(&mut hidden).finish().succeeded();
    assert_eq!(run.stdout(), ["ran"]);
    assert!(run.missing("system_call_filter").unwrap().contains("CONFIG_SECCOMP_FILTER"));
    assert!(run.missing("lock_personality").is_some());
}

#[test]
fn a_machine_that_forbids_namespaces_is_named() {
    for (errno, message) in [(libc::EPERM, "the container around this process"), (libc::ENOSYS, "no clone3")] {
        let run = Module::shell("echo ran").start_with(&mut runner_without(libc::SYS_clone3, errno)).finish();
        assert!(run.failed_in("namespaces").contains(message), "{run:?}");
    }
    // Not one namespace more, and without the capability to do without a user namespace.
    let script =
        "echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all \"$0\"";
    let mut command = Command::new("unshare");
    command.args(["-U", "-r", "sh", "-c", script]).arg(runner().get_program());
    let run = Module::shell("echo ran").start_with(&mut command).finish();
    let reason = run.failed_in("namespaces");
    assert!(reason.contains("user.max_user_namespaces") && reason.contains("apparmor"), "{reason}");
}
