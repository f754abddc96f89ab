//! However a module ends, nothing of it stays, and how it ended is told.
#![allow(clippy::unwrap_used)] // clippy.toml allows it inside test functions, and helpers are as much of a test

mod common;

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;

use common::{Module, runner};
use serde_json::json;
use updates_protocol::{Exit, RunnerMessage};

/// A FIFO in the module's state directory, opened by the test: its end is the death of every writer.
fn witness(module: &Module) -> File {
    let path = module.state().join("witness");
    let name = CString::new(path.to_str().unwrap()).unwrap();
    nix::unistd::mkfifo(name.as_c_str(), nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).unwrap()
}

fn wait_for_end(mut witness: File) {
    let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty());
    nix::fcntl::fcntl(&witness, flags).unwrap();
    witness.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn exit_codes_and_signals_are_told() {
    for (script, exit) in [
        ("exit 0", Exit::Code(0)),
        ("exit 75", Exit::Code(75)),
        ("kill -9 $$", Exit::Signal(9)),
        ("kill -SEGV $$", Exit::Signal(11)),
        ("kill -TERM $$", Exit::Signal(15)),
        ("kill -HUP $$", Exit::Signal(1)),
        ("kill -PIPE $$", Exit::Signal(13)),
    ] {
        let run = Module::shell(script).run();
        assert_eq!(run.exit, Some(exit), "{script}");
        assert_eq!(run.code, Some(0));
    }
}

#[test]
fn daemons_end_with_the_module_even_when_they_hold_its_pipes() {
    let module = Module::shell(
        r#"exec 9>"$STATE_DIRECTORY/witness"
        (setsid sh -c '(trap "" TERM HUP INT; while :; do sleep 1000; done) & echo started') &
        wait; python3 -c 'import ctypes, os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(1, 0)
        os.write(1, b"daemon\n")
        time.sleep(1000)
else: os.wait()'
        exit 4"#,
    );
    let witness = witness(&module);
    let run = module.run();
    assert_eq!(run.exit, Some(Exit::Code(4)));
    assert!(run.stdout().contains(&"started"));
    wait_for_end(witness);
}

#[test]
fn a_module_that_closes_its_pipes_is_still_waited_for() {
    let module = Module::shell(r#"exec 1>&- 2>&- 3>&- 9>"$STATE_DIRECTORY/witness"; sleep 0.01; exit 9"#);
    let witness = witness(&module);
    assert_eq!(module.run().exit, Some(Exit::Code(9)));
    wait_for_end(witness);
}

#[test]
fn orphans_are_reaped_and_counted() {
    let module = Module::executable(
        r#"#!/usr/bin/python3
import os
reading, writing = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        filled = b"x" * (1 << 28)
        print("orphan", os.getppid(), flush=True)
    os._exit(0)
os.close(writing)
os.wait()
os.read(reading, 1)
while any(open(f"/proc/{pid}/stat").read().split()[2] == "Z" for pid in os.listdir("/proc") if pid.isdigit()): pass
"#,
    );
    let run = module.run().succeeded();
    assert_eq!(run.stdout(), ["orphan 1"]);
    assert!(run.usage.max_rss_kib > 200_000, "{:?}", run.usage);
}

#[test]
fn cancel_asks_the_whole_tree_first() {
    let module = Module::shell(
        r#"sh -c 'trap "echo child; exit" TERM; echo ready >&2; while :; do sleep 0.01; done' &
        trap 'echo asked; wait; exit 5' TERM; wait; wait"#,
    );
    let mut live = module.start();
    live.wait_for("ready");
    live.cancel(600_000);
    let run = live.finish();
    assert_eq!(run.exit, Some(Exit::Code(5)));
    assert!(run.stdout().contains(&"asked") && run.stdout().contains(&"child"));
}

#[test]
fn who_ignores_sigterm_or_is_stopped_is_killed_after_the_grace() {
    let ignoring = r#"trap '' TERM; exec 9>"$STATE_DIRECTORY/witness"; setsid sleep 1000 & echo ready; wait"#;
    let stopped = r#"exec 9>"$STATE_DIRECTORY/witness"; trap '' TERM; echo ready; kill -STOP $$; sleep 1000"#;
    for script in [ignoring, stopped] {
        let module = Module::shell(script);
        let witness = witness(&module);
        let mut live = module.start();
        live.wait_for("ready");
        live.cancel(20);
        let run = live.finish();
        assert_eq!(run.exit, Some(Exit::Signal(9)), "{script}");
        wait_for_end(witness);
    }
}

#[test]
fn a_stopped_module_still_hears_sigterm() {
    let module = Module::shell("trap 'exit 6' TERM; echo ready; kill -STOP $$; sleep 1000");
    let mut live = module.start();
    live.wait_for("ready");
    live.cancel(600_000);
    assert_eq!(live.finish().exit, Some(Exit::Code(6)));
}

#[test]
fn a_second_cancel_can_shorten_the_grace() {
    let module = Module::shell("trap '' TERM; echo ready; while :; do sleep 1; done");
    let mut live = module.start();
    live.wait_for("ready");
    live.cancel(600_000);
    live.cancel(0);
    assert_eq!(live.finish().exit, Some(Exit::Signal(9)));
}

#[test]
fn a_result_before_the_cancel_is_kept() {
    let module = Module::shell(r#"echo '{"type":"result","value":true}'; echo ready; sleep 1000"#);
    let mut live = module.start();
    live.wait_for("ready");
    live.cancel(600_000);
    let run = live.finish();
    assert_eq!((run.value, run.exit), (Some(json!(true)), Some(Exit::Signal(15))));
}

#[test]
fn the_tree_dies_with_the_supervisor_and_with_the_runner() {
    let script = r#"trap '' TERM HUP; exec 9>"$STATE_DIRECTORY/witness"; setsid sleep 1000 & echo ready; wait"#;
    for kill_runner in [false, true] {
        let module = Module::shell(script);
        let witness = witness(&module);
        let mut live = module.start();
        live.wait_for("ready");
        if kill_runner {
            live.child.kill().unwrap();
        } else {
            live.input = None;
        }
        wait_for_end(witness);
        assert_ne!(live.child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn the_tree_dies_when_nobody_reads_any_more() {
    let module = Module::shell(r#"exec 9>"$STATE_DIRECTORY/witness"; yes"#);
    let witness = witness(&module);
    let mut child = runner().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let start = json!({"type": "start", "protocol": 1, "invocation": module.invocation});
    input.write_all(format!("{start}\n").as_bytes()).unwrap();
    let mut first = [0; 4096];
    let read = child.stdout.as_mut().unwrap().read(&mut first).unwrap();
    assert!(read > 0);
    drop(child.stdout.take());
    assert_ne!(child.wait().unwrap().code(), Some(0));
    wait_for_end(witness);
}

#[test]
fn signals_to_the_runner_are_the_supervisors_business() {
    let module = Module::shell("echo ready; read -r line <&3; exit 7");
    let mut live = module.start();
    live.wait_for("ready");
    let pid = nix::unistd::Pid::from_raw(live.child.id() as i32);
    for signal in [nix::libc::SIGINT, nix::libc::SIGTERM, nix::libc::SIGHUP] {
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::try_from(signal).unwrap()).unwrap();
    }
    live.cancel(600_000);
    assert_eq!(live.finish().exit, Some(Exit::Signal(15)));
}

#[test]
fn a_module_can_neither_stop_nor_kill_its_init() {
    let run = Module::shell("kill -KILL 1; kill -STOP 1; kill -TERM 1; echo alive").run().succeeded();
    assert_eq!(run.stdout(), ["alive"]);
}

#[test]
fn kill_minus_one_reaches_the_sandbox_only() {
    let script =
        "mkfifo /tmp/up; sh -c 'echo up >/tmp/up; sleep 1000' & read -r up </tmp/up; kill -TERM -1; wait; echo alone";
    let run = Module::shell(script).run().succeeded();
    assert_eq!(run.stdout(), ["alone"]);
}

#[test]
fn a_fork_bomb_is_bounded_by_the_cgroup_and_gone_at_the_end() {
    let group = format!("/sys/fs/cgroup/pids/updates-runner-test-{}", std::process::id());
    if std::fs::create_dir(&group).is_err() {
        eprintln!("skipped: no pids cgroup can be made here");
        return;
    }
    std::fs::write(format!("{group}/pids.max"), "40").unwrap();
    let mut module = Module::shell("echo ready; bomb() { bomb | bomb & }; bomb; sleep 1000");
    module.plan().cgroup_procs = vec![format!("{group}/cgroup.procs").into()];
    let mut live = module.start();
    live.wait_for("ready");
    // The bomb has burst once a fork was refused.
    loop {
        match live.next() {
            Some(RunnerMessage::Log { message, .. }) if message.to_lowercase().contains("fork") => break,
            Some(_) => {}
            None => panic!("ended"),
        }
    }
    live.cancel(0);
    let run = live.finish();
    assert_eq!(run.exit.map(|exit| matches!(exit, Exit::Signal(9 | 15))), Some(true));
    std::fs::remove_dir(group).unwrap();
}
