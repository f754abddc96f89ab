//! The wish to stop, set by any thread and seen at once by every conversation that waits.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use rustix::event::{EventfdFlags, eventfd};
use updates_protocol::CancelReason;

/// Shared by the supervisor and all of its conversations. Once set it stays set.
#[derive(Debug, Clone)]
pub struct CancelToken {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    reason: OnceLock<CancelReason>,
    // An eventfd that nobody reads: from the first write on it is readable for every poll there is.
    wake: OwnedFd,
}

impl CancelToken {
    /// A token that is not set. Fails when the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { shared: Arc::new(Shared { reason: OnceLock::new(), wake }) })
    }

    /// Asks everything that holds this token to stop. The first reason counts.
    pub fn cancel(&self, reason: CancelReason) -> io::Result<()> {
        if self.shared.reason.set(reason).is_ok() {
            rustix::io::write(&self.shared.wake, &1u64.to_ne_bytes())?;
        }
        Ok(())
    }

    /// Why to stop, when somebody asked to.
    pub fn reason(&self) -> Option<CancelReason> {
        self.shared.reason.get().copied()
    }
}

impl AsFd for CancelToken {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_counts() {
        let token = CancelToken::new().unwrap();
        assert_eq!(token.reason(), None);
        token.clone().cancel(CancelReason::User).unwrap();
        token.cancel(CancelReason::Shutdown).unwrap();
        assert_eq!(token.reason(), Some(CancelReason::User));
    }
}
