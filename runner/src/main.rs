//! `updates-runner`: enters a sandbox, hosts one update module in it, and relays between module and supervisor.
//!
//! Started by the supervisor with nothing but standard input and output, once for each attempt of a module. It trusts
//! the supervisor and nobody trusts the module. One thread, so that it may fork at any time.
//!
//! A release is linked statically, which halves the time to its first instruction; procedural macros forbid setting
//! that for the whole workspace, so it is asked for by name:
//! `cargo rustc -p updates-runner --release --bin updates-runner -- -C target-feature=+crt-static`

mod control;
mod handshake;
mod host;
mod init;
mod kernel;
mod launch;
mod relay;
mod report;
mod sandbox;
mod supervisor;

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use nix::libc;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use updates_protocol::{Enforcement, Invocation, RunnerMessage, SetupFailure};

use crate::host::Command;
use crate::launch::{Side, launch};
use crate::relay::{Conversation, Ending, Hosted};
use crate::sandbox::{OrFail, Sandbox};
use crate::supervisor::{Lost, Supervisor};

// Exit codes, after sysexits.h. The supervisor goes by the messages; these are for a person who watches.
const INTERNAL: u8 = 70; // EX_SOFTWARE
const NOT_STARTED: u8 = 71; // EX_OSERR
const SUPERVISOR_LOST: u8 = 76; // EX_PROTOCOL

fn main() -> ExitCode {
    match attend() {
        Ok(code) => code,
        Err(lost) => {
            eprintln!("updates-runner: {lost}");
            ExitCode::from(if matches!(lost, Lost::Gone) { SUPERVISOR_LOST } else { INTERNAL })
        }
    }
}

fn attend() -> Result<ExitCode, Lost> {
    let settled = settle();
    let mut supervisor = Supervisor::new();
    let invocation = handshake::greet(&mut supervisor)?;
    let reserved = match settled {
        Ok(reserved) => reserved,
        Err(failure) => return refuse(&mut supervisor, failure),
    };
    let side = invocation.and_then(|invocation| start(*invocation));
    let (conversation, _reserved) = match side {
        Ok((Side::Outside(launched), hosted)) => (Conversation::new(supervisor, launched, &hosted)?, reserved),
        Ok((Side::Inside(code), _)) => return Ok(code),
        Err(failure) => return refuse(&mut supervisor, failure),
    };
    match conversation.run()? {
        Ending::Finished => Ok(ExitCode::SUCCESS),
        Ending::NotStarted => Ok(ExitCode::from(NOT_STARTED)),
    }
}

fn start(invocation: Invocation) -> Result<(Side, Hosted), SetupFailure> {
    let command = Command::prepare(&invocation)?;
    let sandbox = Sandbox::prepare(invocation.sandbox)?;
    Ok((launch(sandbox, command)?, Hosted { entry: invocation.entry, module: invocation.module }))
}

// Leaves behind what the runner may have inherited. The result holds descriptor 3 for good: the module's channel is
// put there, and nothing of the runner's own must ever be in that place.
fn settle() -> Result<OwnedFd, SetupFailure> {
    kernel::close_inherited().or_fail("launch", || "closing inherited descriptors".to_owned())?;
    let reserved = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .or_fail("launch", || "/dev/null".to_owned())?;
    // Ctrl-C and a hang-up of the terminal are for the supervisor, who decides what becomes of the modules.
    match rustix::process::setsid() {
        Ok(_) | Err(Errno::PERM) => {} // EPERM: already the leader of a group of its own
        Err(error) => return Err(error).or_fail("launch", || "setsid".to_owned()),
    }
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
        kernel::ignore_signal(signal).or_fail("launch", || format!("ignoring signal {signal}"))?;
    }
    Ok(reserved)
}

fn refuse(supervisor: &mut Supervisor, failure: SetupFailure) -> Result<ExitCode, Lost> {
    supervisor.send(&RunnerMessage::Sandbox { enforcement: Enforcement::default(), failure: Some(failure) })?;
    supervisor.flush()?;
    Ok(ExitCode::from(NOT_STARTED))
}
