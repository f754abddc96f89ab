//! `updates-runner`: enters a sandbox, hosts one update module in it, and relays between module and supervisor.
//!
//! Started by the supervisor with nothing but standard input and output, once for each attempt of a module. It trusts
//! the supervisor and nobody trusts the module. One thread, so that it may fork at any time.
//!
//! Needs Linux 5.12 for mount_setattr(2).
//!
//! A release is linked statically and to fixed addresses, because the dynamic loader would take longer than the whole
//! sandbox; nothing here needs the name service or any other part that the C library loads at run time. Procedural
//! macros forbid setting that for the whole workspace, so it is asked for by name:
//! `cargo rustc -p updates-runner --release --bin updates-runner -- -C target-feature=+crt-static -C
//! relocation-model=static`

#![cfg_attr(not(test), no_main)]

mod control;
#[cfg(not(test))]
mod entry;
mod handshake;
mod host;
mod init;
mod kernel;
mod launch;
mod relay;
mod report;
mod sandbox;
mod supervisor;
mod trace;
mod turn;

use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use updates_protocol::{Enforcement, Invocation, RunnerMessage, SetupFailure};

use crate::host::Command;
use crate::launch::{Side, launch};
use crate::relay::{Conversation, Ending, Hosted};
use crate::sandbox::{OrFail, Sandbox};
use crate::supervisor::{Lost, Supervisor};
use crate::turn::Held;

// Exit codes, after sysexits.h. The supervisor goes by the messages; these are for a person who watches.
const INTERNAL: u8 = 70; // EX_SOFTWARE
const NOT_STARTED: u8 = 71; // EX_OSERR
const SUPERVISOR_LOST: u8 = 76; // EX_PROTOCOL

/// All of the runner; the result is its exit code.
#[cfg_attr(test, allow(dead_code))] // the tests of a binary have an entry point of their own
fn run() -> u8 {
    attend().unwrap_or_else(|lost| {
        eprintln!("updates-runner: {lost}");
        if matches!(lost, Lost::Gone) { SUPERVISOR_LOST } else { INTERNAL }
    })
}

fn attend() -> Result<u8, Lost> {
    let settled = settle();
    let mut supervisor = Supervisor::new();
    let invocation = handshake::greet(&mut supervisor)?;
    let reserved = match settled {
        Ok(reserved) => reserved,
        Err(failure) => return refuse(&mut supervisor, failure),
    };
    let side = invocation.and_then(|invocation| start(*invocation));
    // Kept to the end, by which everything of the module is gone.
    let (conversation, _kept) = match side {
        Ok((Side::Outside(launched), hosted, turn)) => {
            (Conversation::new(supervisor, launched, &hosted)?, (reserved, turn))
        }
        Ok((Side::Inside(code), ..)) => return Ok(code),
        Err(failure) => return refuse(&mut supervisor, failure),
    };
    match conversation.run()? {
        Ending::Finished => Ok(0),
        Ending::NotStarted => Ok(NOT_STARTED),
    }
}

fn start(invocation: Invocation) -> Result<(Side, Hosted, Option<Held>), SetupFailure> {
    let turn = invocation.turn.as_ref().map(turn::hold).transpose()?;
    let command = Command::prepare(&invocation)?;
    let sandbox = Sandbox::prepare(invocation.sandbox)?;
    let hosted = Hosted { entry: invocation.entry, module: invocation.module };
    Ok((launch(sandbox, command)?, hosted, turn))
}

// Leaves behind what the runner may have inherited. The result holds descriptor 3 for good: the module's channel is
// put there, and nothing of the runner's own must ever be in that place.
fn settle() -> Result<OwnedFd, SetupFailure> {
    kernel::close_inherited().or_fail("launch", || "closing inherited descriptors".to_owned())?;
    let reserved = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .or_fail("launch", || "/dev/null".to_owned())?;
    if reserved.as_raw_fd() != 3 {
        let reason = "started without standard input, output or error".to_owned();
        return Err(SetupFailure { step: "launch".to_owned(), reason });
    }
    // Ctrl-C and a hang-up of the terminal are for the supervisor, who decides what becomes of the modules.
    match rustix::process::setpgid(None, None) {
        Ok(()) | Err(Errno::PERM) => {} // EPERM: already the leader of a session
        Err(error) => return Err(error).or_fail("launch", || "setpgid".to_owned()),
    }
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
        kernel::ignore_signal(signal).or_fail("launch", || format!("ignoring signal {signal}"))?;
    }
    Ok(reserved)
}

fn refuse(supervisor: &mut Supervisor, failure: SetupFailure) -> Result<u8, Lost> {
    supervisor.send(&RunnerMessage::Sandbox { enforcement: Enforcement::default(), failure: Some(failure) })?;
    supervisor.flush()?;
    Ok(NOT_STARTED)
}
