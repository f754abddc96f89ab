//! What a conversation tells while it goes on, in the order in which it happened.

use std::time::Duration;

use serde_json::{Map, Value};
use updates_protocol::{CancelReason, Enforcement, Level, LogSource, TracedCall};

/// Something that happened in a running attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The sandbox stands; the module's first instruction comes next.
    Started {
        /// What the runner applied.
        enforcement: Enforcement,
    },
    /// Half of the deadline is over.
    Slow {
        /// Time since the sandbox stood.
        elapsed: Duration,
    },
    /// A line of the module's log.
    Log(LogEntry),
    /// How far the module is; at most 10 a second, the rest is dropped.
    Progress {
        /// What is being done.
        step: String,
        /// How many are done.
        current: Option<f64>,
        /// Of how many.
        total: Option<f64>,
        /// Of what.
        unit: Option<String>,
    },
    /// Something that a traced module tried.
    Access(TracedCall),
    /// The module was told to end.
    Terminating {
        /// Why.
        reason: CancelReason,
    },
}

/// A line of a module's log. The text is the module's: it may hold control characters.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    /// Milliseconds since the epoch, by the runner's clock.
    pub time: u64,
    /// How grave.
    pub level: Level,
    /// Where it came from.
    pub source: LogSource,
    /// The text.
    pub message: String,
    /// Structured fields.
    pub fields: Option<Map<String, Value>>,
}
