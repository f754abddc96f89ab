//! What a module said, passed on to the supervisor as it comes or kept for the result.

use std::time::Instant;

use serde_json::Value;
use updates_protocol::{Exit, Level, LogSource, MAX_LINE, MAX_RESULT, Message, Reply, RunnerMessage, Usage};

use super::clip::clip;
use super::journal::Journal;
use super::progress::{Progress, Step};
use super::replies::{Replies, Request};
use crate::supervisor::{Lost, Supervisor};

/// The longest result line of a module in bytes; what the runner adds to it fits in the rest of [`MAX_RESULT`].
pub(super) const MODULE_RESULT: usize = 1 << 20;

/// One module, heard through its channel and its output.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) supervisor: Supervisor,
    pub(super) replies: Replies,
    journal: Journal,
    progress: Progress,
    /// What the operation `invocation` is answered with.
    invocation: Value,
    result: Option<Value>,
    garbled: Option<String>,
    later_results: u64,
    unknown: u64,
}

impl Module {
    pub(super) fn new(supervisor: Supervisor, invocation: Value) -> Self {
        Self {
            supervisor,
            invocation,
            replies: Replies::default(),
            journal: Journal::default(),
            progress: Progress::default(),
            result: None,
            garbled: None,
            later_results: 0,
            unknown: 0,
        }
    }

    /// A message, or an object of a type that is not known.
    pub(super) fn hear(&mut self, message: Option<Message>) -> Result<(), Lost> {
        match message {
            Some(Message::Log { level, message, fields }) => {
                self.journal.log(&mut self.supervisor, level, LogSource::Module, message, fields)?;
            }
            Some(Message::Progress { step, current, total, unit }) => {
                self.progress.note(Step { step, current, total, unit });
            }
            Some(Message::Request { id, operation, arguments }) => {
                self.replies.ask(Request { id, operation, arguments });
            }
            Some(Message::Result { value }) if self.result.is_none() => self.result = Some(value),
            Some(Message::Result { .. }) => self.later_results += 1,
            None => self.unknown += 1,
        }
        Ok(())
    }

    /// Something that should have been a message and is none. The first reason counts.
    pub(super) fn garble(&mut self, reason: String) {
        self.garbled.get_or_insert_with(|| clip(reason, 300));
    }

    /// A line of output.
    pub(super) fn print(&mut self, source: LogSource, text: String) -> Result<(), Lost> {
        self.journal.log(&mut self.supervisor, Level::Info, source, text, None)
    }

    /// Counts what was cut out of a line of output.
    pub(super) fn clipped(&mut self, bytes: usize) {
        self.journal.clipped(bytes);
    }

    /// Whole lines of output that are cut anyway; see [`Journal::bulk`].
    pub(super) fn print_bulk(&mut self, source: LogSource, lines: &[u8]) -> bool {
        self.journal.bulk(source, lines)
    }

    /// Passes on requests as far as their bounds allow.
    pub(super) fn ask(&mut self) -> Result<(), Lost> {
        while let Some(Request { id, operation, arguments }) = self.replies.next() {
            if operation == "invocation" {
                self.replies.reply(Reply { id, ok: Some(self.invocation.clone()), error: None })?;
                continue;
            }
            let request = RunnerMessage::Request { id, operation, arguments };
            if serde_json::to_vec(&request).map_or(usize::MAX, |line| line.len()) > MAX_LINE {
                let error = format!("the request is longer than {} KiB", MAX_LINE >> 10);
                self.replies.reply(Reply { id, ok: None, error: Some(error) })?;
                continue;
            }
            self.supervisor.send(&request)?;
            self.replies.forwarded(id);
        }
        Ok(())
    }

    /// Passes on progress that is due.
    pub(super) fn pass_progress(&mut self, now: Instant) -> Result<(), Lost> {
        match self.progress.take(now) {
            Some(step) => self.journal.progress(&mut self.supervisor, step),
            None => Ok(()),
        }
    }

    /// When progress is due, if any waits.
    pub(super) fn progress_due(&self) -> Option<Instant> {
        self.progress.due()
    }

    /// The last lines: what was kept, what was passed over, and the result.
    pub(super) fn conclude(mut self, usage: Usage, exit: Exit, full: &[&str]) -> Result<(), Lost> {
        if let Some(step) = self.progress.take_last() {
            self.journal.progress(&mut self.supervisor, step)?;
        }
        if self.later_results + self.unknown > 0 {
            let text = format!(
                "passed over: {} results after the first, {} messages of unknown type",
                self.later_results, self.unknown
            );
            self.journal.log(&mut self.supervisor, Level::Debug, LogSource::Module, text, None)?;
        }
        let log_bytes_dropped = self.journal.finish(&mut self.supervisor)?;
        // Numbers can take more room than the module gave them: 1e300 is written out.
        if serde_json::to_vec(&self.result).map_or(usize::MAX, |json| json.len()) > MAX_RESULT - 1024 {
            self.result = None;
            self.garble(format!("the result is longer than {MODULE_RESULT} bytes once it is written out"));
        }
        let (value, garbled) = (self.result, self.garbled);
        let full = full.iter().map(ToString::to_string).collect();
        self.supervisor.send(&RunnerMessage::Result { value, usage, exit, garbled, log_bytes_dropped, full })?;
        self.supervisor.flush()
    }
}
