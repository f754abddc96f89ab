//! Line 81: a kernel, or a container around the supervisor, that withholds a part of what the sandbox is made of. The
//! module does not run then, and the reason is said; the supervisor's own law is that a restriction holds or nothing runs.
#![allow(unsafe_code)] // a filter of system calls in front of the program, as a container would put it

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::libc;
use serde_json::Value;

use crate::support::{Module, Root};

#[test]
fn without_namespaces_no_module_runs() {
    assert_refused(&[libc::SYS_clone3, libc::SYS_unshare], libc::ENOSYS, &["namespace", "clone3"]);
}

#[test]
fn without_landlock_no_module_runs() {
    assert_refused(&[libc::SYS_landlock_create_ruleset], libc::EOPNOTSUPP, &["landlock", "Landlock"]);
}

#[test]
fn without_seccomp_no_module_runs() {
    assert_refused(&[libc::SYS_seccomp], libc::ENOSYS, &["seccomp", "system_call_filter", "system call"]);
}

/// Runs a module while each of `calls` fails with `error`: the record has one of `words` as the reason.
#[track_caller]
fn assert_refused(calls: &[i64], error: i32, words: &[&str]) {
    let root = Root::new();
    root.install(&Module::executable("app", "1", "#!/bin/sh\necho ran >\"$STATE_DIRECTORY/ran\"\n"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_updates"));
    command.arg("--root").arg(root.path()).args(["--json", "run", "--no-sync"]);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("TMPDIR", root.temporary());
    command.stdin(Stdio::null());
    let filter = filter(calls, error);
    // SAFETY: between fork and exec only system calls are made; the filter was built before and is moved in.
    unsafe { command.pre_exec(move || install(&filter)) };
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let record: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}\n{stderr}"));
    assert!(!root.exists("/var/lib/updates/state/app/ran"), "it ran: {record:#}");
    assert_eq!(output.status.code(), Some(20), "{record:#}\n{stderr}");
    let module = record["modules"][0].to_string();
    assert!(words.iter().any(|word| module.contains(word)), "none of {words:?} is named: {record:#}\n{stderr}");
}

/// A program of classic BPF: `error` for each of `calls`, everything else as it is. See seccomp(2).
fn filter(calls: &[i64], error: i32) -> Vec<libc::sock_filter> {
    let instruction = |code: u32, jump_true, jump_false, value| libc::sock_filter {
        code: code as u16,
        jt: jump_true,
        jf: jump_false,
        k: value,
    };
    let mut program = vec![instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)]; // the number
    for call in calls {
        program.push(instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, *call as u32));
        program.push(instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | error as u32));
    }
    program.push(instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
    program
}

fn install(filter: &[libc::sock_filter]) -> std::io::Result<()> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the program and what it points to live through the call, which only reads them.
    let done = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if done < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}
