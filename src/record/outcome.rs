//! How an attempt ended, and what is to be done about it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How one attempt of one module ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// It returned a value.
    Reported {
        /// The value as returned.
        value: Value,
    },
    /// It ended without returning a value.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// A signal ended it.
    Signalled {
        /// The signal's number.
        signal: i32,
        /// The signal's name, as `SIGSEGV`.
        name: String,
    },
    /// It ran past its deadline.
    TimedOut {
        /// The deadline in seconds.
        after_sec: u64,
    },
    /// What it said could not be understood.
    Garbled {
        /// What was wrong.
        reason: String,
    },
    /// It was stopped because the supervisor was asked to end.
    Cancelled,
    /// It could not be started.
    NotStarted {
        /// The step that failed.
        step: String,
        /// Why.
        reason: String,
    },
}

/// What an outcome leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Keep what it did.
    Keep,
    /// Start it afresh, once.
    Restart,
    /// Put everything back.
    RollBack,
    /// Nothing to put back: it never ran.
    Hold,
}
