//! How far long work has come, for whoever shows it.
//!
//! Told from the thread that was asked to work, at most some twenty times a second and once at the end of a step.

use std::time::{Duration, Instant};

/// How far one step has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// Paths that are done.
    pub done: u64,
    /// Paths there are, as far as that is known.
    pub total: Option<u64>,
    /// Bytes of content that were read or written for it.
    pub bytes: u64,
}

/// What long work consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Looking at what is live.
    Walk,
    /// Copying into a slot.
    Copy,
    /// Reading a slot again.
    Verify,
    /// Putting back.
    Restore,
}

/// What is called with each [`Progress`].
pub(super) type Report<'a> = dyn FnMut(Progress) + 'a;

/// The shortest time between two reports of a step.
const PAUSE: Duration = Duration::from_millis(50);

/// Counts, and reports now and then.
pub(super) struct Meter<'a, 'b> {
    report: &'a mut Report<'b>,
    now: Progress,
    last: Option<Instant>,
}

impl<'a, 'b> Meter<'a, 'b> {
    /// Begins a step with nothing done.
    pub fn new(report: &'a mut Report<'b>, step: Step, total: Option<u64>) -> Self {
        Self { report, now: Progress { step, done: 0, total, bytes: 0 }, last: None }
    }

    /// Counts one path, of which `bytes` were moved.
    pub fn advance(&mut self, bytes: u64) {
        self.now.done += 1;
        self.now.bytes = self.now.bytes.saturating_add(bytes);
        // Asking the time costs less than a system call, and still more than a path that is only compared.
        let due = self.now.done.is_multiple_of(64) || bytes > 0;
        if due && self.last.is_none_or(|last| last.elapsed() >= PAUSE) {
            self.last = Some(Instant::now());
            (self.report)(self.now);
        }
    }

    /// Reports the end.
    pub fn finish(self) -> Progress {
        (self.report)(self.now);
        self.now
    }
}
