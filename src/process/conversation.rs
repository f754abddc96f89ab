//! One attempt of one module, from spawn to outcome: what goes in, what comes out.

use std::time::Duration;

use serde_json::{Map, Value};
use updates_protocol::{Enforcement, Invocation, Usage};

use super::dialogue::Dialogue;
use super::runner::Runner;
use super::{CancelToken, Event, RunnerCommand};
use crate::record::Outcome;

/// The times that bound an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// From the moment the sandbox stands to SIGTERM.
    pub runtime_max: Duration,
    /// From SIGTERM to SIGKILL.
    pub timeout_stop: Duration,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// How it ended.
    pub outcome: Outcome,
    /// What it used, as far as the runner lived to say so.
    pub usage: Usage,
    /// What the runner applied; empty when the sandbox never stood.
    pub enforcement: Enforcement,
    /// Log bytes that were dropped past the limits, here or by the runner.
    pub log_bytes_dropped: u64,
    /// Oddities in what the runner said that did not matter to the outcome.
    pub protocol_notes: Vec<String>,
    /// Folders of the sandbox's own, as the module sees them, that it had filled when it ended.
    pub full: Vec<String>,
}

/// What answers a module's requests: operation, arguments and the time that the module has left in, a value or a sentence
/// for a person out.
pub type Requests<'a> = dyn FnMut(&str, Map<String, Value>, Duration) -> Result<Value, String> + 'a;

/// Runs one attempt to its end and returns how it ended. Blocks the calling thread; the runner dies with it.
///
/// `events` is called in the order of what happens. While `requests` works, the deadline's clock goes on, but is only
/// looked at afterwards.
pub fn converse(
    command: &RunnerCommand,
    invocation: Invocation,
    deadline: Deadline,
    cancel: &CancelToken,
    events: &mut dyn FnMut(Event),
    requests: &mut Requests<'_>,
) -> Conversation {
    match Runner::spawn(command) {
        Ok(runner) => Dialogue::new(runner, deadline, cancel, events, requests).run(invocation),
        Err(error) => Conversation {
            outcome: Outcome::NotStarted {
                step: "spawn".to_owned(),
                reason: format!("cannot start {}: {error}", command.program.display()),
            },
            usage: Usage::default(),
            enforcement: Enforcement::default(),
            log_bytes_dropped: 0,
            protocol_notes: Vec::new(),
            full: Vec::new(),
        },
    }
}
