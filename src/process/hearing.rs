//! What each message of a runner means to the conversation, and which order of them is accepted.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value};
use updates_protocol::{
    Frame, Level, LogSource, MAX_RESULT, PROTOCOL, Reply, RunnerMessage, SupervisorMessage, parse_runner_line,
};

use super::dialogue::Dialogue;
use super::facts::ResultMessage;
use super::stage::Stage;
use super::{Event, LogEntry};

/// Progress messages that are passed on in one second.
const PROGRESS_A_SECOND: u32 = 10;

impl Dialogue<'_> {
    /// Acts on every whole line that is there.
    pub(super) fn hear_all(&mut self) {
        loop {
            let message = match self.frames.next_frame() {
                None => return,
                Some(Frame::Line(line)) => {
                    parse_runner_line(line).map_err(|error| format!("said what is no message of its protocol: {error}"))
                }
                Some(Frame::TooLong(length)) => Err(format!("sent a line of {length} bytes")),
            };
            match message {
                _ if self.facts.violation.is_some() => {}
                Ok(Some(_)) | Ok(None) if self.facts.is_over() => self.heard.after_result += 1,
                Ok(Some(message)) => self.hear(message),
                Ok(None) => self.heard.unknown += 1,
                // The last line of a runner that died while writing it: its death is what counts.
                Err(_) if self.runner.stdout.is_none() => {}
                Err(what) => self.violate(what),
            }
        }
    }

    fn hear(&mut self, message: RunnerMessage) {
        let stands = self.facts.enforcement.is_some();
        match message {
            RunnerMessage::Hello { protocol, .. } => {
                if !protocol.contains(&PROTOCOL) {
                    let known = protocol.iter().take(8).map(u32::to_string).collect::<Vec<_>>().join(", ");
                    self.violate(format!(
                        "speaks protocol {known}, this supervisor {PROTOCOL}; install both from the same release"
                    ));
                }
                self.facts.greeted = true;
            }
            _ if !self.facts.greeted => self.violate("did not begin with hello".to_owned()),
            RunnerMessage::Sandbox { .. } if stands => self.violate("entered the sandbox twice".to_owned()),
            RunnerMessage::Sandbox { enforcement, failure } => {
                self.applied = enforcement;
                if failure.is_some() {
                    self.facts.failure = failure;
                    self.end_soon();
                } else {
                    self.facts.enforcement = Some(self.applied.clone());
                    self.start_clock();
                    (self.events)(Event::Started { enforcement: self.applied.clone() });
                }
            }
            RunnerMessage::Log { time, level, message, source, fields, seq: _ } => {
                if let Some(entry) = self.log.admit(LogEntry { time, level, source, message, fields }) {
                    (self.events)(Event::Log(entry));
                }
            }
            _ if !stands => self.violate("spoke for the module before the sandbox stood".to_owned()),
            RunnerMessage::Progress { step, current, total, unit, seq: _ } => {
                if self.progress_is_due() {
                    (self.events)(Event::Progress { step, current, total, unit });
                }
            }
            RunnerMessage::Access(call) => (self.events)(Event::Access(call)),
            RunnerMessage::Request { id, operation, arguments } => {
                let (ok, error) = match self.answer(&operation, arguments) {
                    Ok(value) => (Some(value), None),
                    Err(refusal) => (None, Some(refusal)),
                };
                self.send(&SupervisorMessage::Reply(Reply { id, ok, error }));
            }
            RunnerMessage::Result { value, usage, exit, garbled, log_bytes_dropped, full } => {
                self.heard.full = full;
                self.heard.log_bytes_dropped = log_bytes_dropped;
                self.facts.result = Some(ResultMessage { value, usage, exit, garbled });
                self.end_soon();
            }
        }
    }

    fn answer(&mut self, operation: &str, arguments: Map<String, Value>) -> Result<Value, String> {
        // Many requests may wait in one buffer; none of them may carry the module past its end.
        let left = match self.stage {
            Stage::Running { until, .. } => until.saturating_duration_since(Instant::now()),
            _ => Duration::ZERO,
        };
        if left.is_zero() || self.cancel.reason().is_some() {
            return Err(self.refuse_too_late(operation));
        }
        let value = (self.requests)(operation, arguments, left)?;
        match value.to_string().len() {
            length if length > MAX_RESULT => {
                Err(format!("the answer to {operation} has {length} bytes; {MAX_RESULT} can be sent"))
            }
            _ => Ok(value),
        }
    }

    /// Whoever answers never hears of these, so they are logged here, within the module's own bound.
    fn refuse_too_late(&mut self, operation: &str) -> String {
        let operation: String = operation.chars().take(80).collect();
        let refusal = format!("{operation} is refused: the module is being stopped");
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let (level, source) = (Level::Warning, LogSource::Supervisor);
        let entry = LogEntry { time, level, source, message: format!("request {refusal}"), fields: None };
        if let Some(entry) = self.log.admit(entry) {
            (self.events)(Event::Log(entry));
        }
        refusal
    }

    fn progress_is_due(&mut self) -> bool {
        let now = Instant::now();
        if self.heard.progress_second.is_none_or(|second| now - second >= Duration::from_secs(1)) {
            self.heard.progress_second = Some(now);
            self.heard.progress_in_second = 0;
        }
        self.heard.progress_in_second += 1;
        self.heard.progress_in_second <= PROGRESS_A_SECOND
    }
}
