//! SIGINT, SIGTERM and SIGHUP, turned into the token that the run looks at and that wakes every running module.

use std::io;
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use updates_protocol::CancelReason;

use crate::process::CancelToken;

/// Blocks the signals in this thread and every one started later, and lets one thread wait for them. Must be called
/// before any other thread is started. Children are not affected: the standard library unblocks signals for them.
pub fn cancel_on_signals() -> io::Result<CancelToken> {
    let token = CancelToken::new()?;
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    let waiting = token.clone();
    thread::Builder::new().name("signals".to_owned()).stack_size(128 << 10).spawn(move || {
        while let Ok(signal) = signals.wait() {
            let reason = if signal == Signal::SIGINT { CancelReason::User } else { CancelReason::Shutdown };
            if let Err(error) = waiting.cancel(reason) {
                tracing::error!(%error, "a signal could not be passed on");
            }
        }
    })?;
    Ok(token)
}
