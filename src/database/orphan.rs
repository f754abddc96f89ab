//! A client ends with the thread that waits for it: left behind by a killed supervisor, it would go on loading a dump
//! beside the restore that begins again.
#![allow(unsafe_code)] // `pre_exec`: only the child itself can ask for the signal.

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

/// Has the kernel kill the child when this thread ends; prctl(2), `PR_SET_PDEATHSIG`. A change of user takes it back, and
/// the standard library makes that change before.
pub(super) fn end_with_this_thread(command: &mut Command) {
    let parent: Pid = getpid();
    let ask = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have ended before the signal was asked for.
        if getppid() == Some(parent) { Ok(()) } else { Err(std::io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: between fork and exec, where other threads may have held any lock, `ask` makes two system calls and
    // allocates nothing: both error values are plain numbers.
    unsafe { command.pre_exec(ask) };
}
