//! What a module does that does not want to end: `attempt stay WAY… MARKER`. Each way is one that lets daemons survive
//! on an ordinary machine; the test that runs it looks from outside whether anybody is left.
#![allow(unsafe_code)] // fork, and signals without a handler

use std::process::ExitCode;

use nix::libc;

use crate::raw::{leave, sys};

/// `words` are of `deathsig` (PR_SET_PDEATHSIG is taken back), `setsid`, `fork` (the first process ends at once),
/// `ignore` (every signal that can be ignored); the rest is left in the command line for the test to find.
pub fn stay(words: &[String]) -> ExitCode {
    let has = |word: &str| words.iter().any(|each| each == word);
    if has("ignore") {
        for signal in 1..64 {
            // SAFETY: no handler is installed; SIGKILL, SIGSTOP and what is no signal are refused by the kernel.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
    }
    if has("deathsig") {
        sys!(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, 0).ok();
    }
    if has("fork") {
        for _ in 0..2 {
            // SAFETY: this process has one thread, so that the child may do whatever the parent could.
            if unsafe { libc::fork() } > 0 {
                leave(0);
            }
            sys!(libc::SYS_setsid).ok();
        }
    } else if has("setsid") {
        sys!(libc::SYS_setsid).ok();
    }
    // Said to whoever waits for it.
    println!("staying");
    loop {
        sys!(libc::SYS_pause).ok();
    }
}
