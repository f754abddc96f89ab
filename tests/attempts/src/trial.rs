//! Makes one attempt in a child of its own, so that an attempt that is killed is an answer like any other, and that
//! whatever an attempt did to its process is gone with it.
#![allow(unsafe_code)] // fork and wait

use std::io::{Read, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use crate::outcome::{Outcome, Verdict};
use crate::raw;

/// No attempt takes this long, in milliseconds; one that does has found a way to hang.
const PATIENCE: u16 = 30_000;

/// The outcome of `attempt`, made in a child.
pub fn trial(attempt: impl FnOnce() -> Outcome) -> Outcome {
    let mut ends = [0; 2];
    // SAFETY: the array has room for the two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } < 0 {
        return Outcome::not_applicable("no pipe");
    }
    // SAFETY: both were just made and belong to nobody else.
    let (read, write) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    // SAFETY: this process has one thread, so that the child may do whatever the parent could.
    match unsafe { libc::fork() } {
        0 => {
            drop(read);
            let outcome = attempt();
            let line = format!("{}\t{}", outcome.verdict, outcome.detail.replace('\n', " "));
            let written = std::fs::File::from(write).write_all(line.as_bytes());
            raw::leave(i32::from(written.is_err()))
        }
        child if child > 0 => {
            drop(write);
            listen(read, child)
        }
        _ => Outcome::not_applicable("no child"),
    }
}

fn listen(read: OwnedFd, child: libc::pid_t) -> Outcome {
    let mut waiting = [PollFd::new(read.as_fd(), PollFlags::POLLIN)];
    let answered = poll(&mut waiting, PollTimeout::from(PATIENCE)).is_ok_and(|ready| ready > 0);
    let mut line = String::new();
    if answered {
        // What can't be read is an answer that is missing, and treated as one below.
        std::fs::File::from(read).read_to_string(&mut line).ok();
    } else {
        // SAFETY: `child` was not waited for yet, so that the number is still its own.
        unsafe { libc::kill(child, libc::SIGKILL) };
    }
    let mut status = 0;
    // SAFETY: `status` lives through the call.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    if !answered {
        return Outcome::open("hung: it never came to an end");
    }
    match line.split_once('\t') {
        Some((verdict, detail)) => Outcome { verdict: named(verdict), detail: detail.to_owned() },
        None if libc::WIFSIGNALED(status) => {
            let number = libc::WTERMSIG(status);
            Outcome::refused(
                Signal::try_from(number).map_or(format!("signal {number}"), |signal| format!("killed by {signal}")),
            )
        }
        None => Outcome::not_applicable("no answer"),
    }
}

fn named(verdict: &str) -> Verdict {
    match verdict {
        "open" => Verdict::Open,
        "refused" => Verdict::Refused,
        "absent" => Verdict::Absent,
        _ => Verdict::NotApplicable,
    }
}
