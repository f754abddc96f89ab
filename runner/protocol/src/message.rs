//! The messages of protocol 1, one JSON object a line, `type` first.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Enforcement, Invocation, SetupFailure};

/// How grave a log message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// For the author.
    Debug,
    /// The course of things.
    #[serde(alias = "info", alias = "NOTICE")]
    Info,
    /// Something to look at; the run goes on.
    #[serde(alias = "WARN", alias = "warning")]
    Warning,
    /// Something failed.
    #[serde(alias = "CRITICAL", alias = "error")]
    Error,
}

impl Level {
    /// The word in log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warning => "WARNING",
            Level::Error => "ERROR",
        }
    }
}

/// Where a log message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// The module said it on its channel.
    Module,
    /// A line on its standard output.
    Stdout,
    /// A line on its standard error.
    Stderr,
    /// The supervisor said it about the module; nothing that a module says can carry this.
    Supervisor,
}

/// What a module says to its runner, on its channel or, an executable, on standard output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// A line for the log.
    Log {
        /// How grave.
        #[serde(default = "info")]
        level: Level,
        /// The text.
        message: String,
        /// Structured fields.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fields: Option<Map<String, Value>>,
    },
    /// How far the module is; may be lost, at most 10 a second are passed on.
    Progress {
        /// What is being done.
        step: String,
        /// How many are done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        current: Option<f64>,
        /// Of how many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<f64>,
        /// Of what.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unit: Option<String>,
    },
    /// Something that needs the supervisor's privilege.
    Request {
        /// Chosen by the module; the reply carries it.
        id: u64,
        /// What is asked for, for example `state.backup`.
        operation: String,
        /// Its arguments.
        #[serde(default)]
        arguments: Map<String, Value>,
    },
    /// The result of `main(args)`. The first one counts.
    Result {
        /// The value as returned.
        value: Value,
    },
}

fn info() -> Level {
    Level::Info
}

/// What a runner says to the supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RunnerMessage {
    /// The first line.
    Hello {
        /// The protocols that it speaks.
        protocol: Vec<u32>,
        /// Its version.
        runner: String,
    },
    /// The sandbox stands, or the step that failed; after a failure nothing follows.
    Sandbox {
        /// What was applied.
        enforcement: Enforcement,
        /// The step that failed, when one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<SetupFailure>,
    },
    /// A line of the module's log.
    Log {
        /// Counts from 1 in the order of arrival, together with `progress`.
        seq: u64,
        /// Milliseconds since the epoch.
        time: u64,
        /// How grave.
        level: Level,
        /// The text.
        message: String,
        /// Where it came from.
        source: LogSource,
        /// Structured fields.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fields: Option<Map<String, Value>>,
    },
    /// How far the module is.
    Progress {
        /// See `Log`.
        seq: u64,
        /// What is being done.
        step: String,
        /// How many are done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        current: Option<f64>,
        /// Of how many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<f64>,
        /// Of what.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unit: Option<String>,
    },
    /// Something that the module asks of the supervisor.
    Request {
        /// The reply carries it.
        id: u64,
        /// What is asked for.
        operation: String,
        /// Its arguments.
        arguments: Map<String, Value>,
    },
    /// Something that a traced module tried, see [`crate::SandboxPlan::trace`]. Equal ones are reported once.
    Access(TracedCall),
    /// The end: the last line. Everything that the module started is gone.
    Result {
        /// What the module returned; absent when it returned nothing.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
        value: Option<Value>,
        /// What it used.
        usage: Usage,
        /// How its first process ended.
        exit: Exit,
        /// What was not well-formed on the module's channel, when anything was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        garbled: Option<String>,
        /// Bytes of the log that were cut, past its limit or out of lines that were too long.
        #[serde(default)]
        log_bytes_dropped: u64,
        /// The folders of the sandbox's own, as the module sees them, that were full when its first process ended.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        full: Vec<String>,
    },
}

/// A system call of a traced module that concerns a file, the network, or that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TracedCall {
    /// The system call, for example `openat`; `syscall_512` for one without a name.
    pub call: String,
    /// The absolute path inside that it is about, links not resolved; at most 4,096 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What else it is about: `tcp 192.0.2.1:443`, `CAP_NET_RAW`, `AF_PACKET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Whether it would change what is at the path.
    #[serde(default)]
    pub write: bool,
    /// Why it was refused, as `EROFS`; absent when it went through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

// `"value":null` is a module that returned None, which is not the same as no value at all.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What the supervisor says to a runner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SupervisorMessage {
    /// The only first message.
    Start {
        /// Always 1.
        protocol: u32,
        /// All that the attempt needs.
        invocation: Box<Invocation>,
    },
    /// The answer to a request.
    Reply(Reply),
    /// SIGTERM to the module's whole tree now, SIGKILL after the grace.
    Cancel {
        /// Why.
        reason: CancelReason,
        /// Milliseconds between the two signals.
        grace_ms: u64,
    },
}

/// The answer to a request: one of `ok` and `error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The request's id.
    pub id: u64,
    /// The result, when it was granted; it may be null.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub ok: Option<Value>,
    /// Why not, and what to declare, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Why a module is stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// `runtime_max_sec` is over.
    Deadline,
    /// A person pressed Ctrl-C.
    User,
    /// The supervisor was asked to end.
    Shutdown,
}

/// What a module used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// From the first instruction to the last, in milliseconds.
    pub wall_ms: u64,
    /// Processor time in user mode, in milliseconds, of the whole tree.
    pub user_ms: u64,
    /// Processor time in the kernel, in milliseconds, of the whole tree.
    pub system_ms: u64,
    /// Largest resident set of one process, in KiB.
    pub max_rss_kib: u64,
}

impl Usage {
    /// The wall time.
    pub fn wall(&self) -> Duration {
        Duration::from_millis(self.wall_ms)
    }
}

/// How the module's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// exit(2) with this code.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
}

const MODULE_TYPES: [&str; 4] = ["log", "progress", "request", "result"];
const RUNNER_TYPES: [&str; 7] = ["hello", "sandbox", "log", "progress", "request", "access", "result"];

/// A line that a module wrote. `Ok(None)` is an object of an unknown `type`, which is passed over.
pub fn parse_module_line(line: &[u8]) -> Result<Option<Message>, serde_json::Error> {
    parse(line, &MODULE_TYPES)
}

/// A line that a runner wrote. `Ok(None)` is an object of an unknown `type`, which is passed over.
pub fn parse_runner_line(line: &[u8]) -> Result<Option<RunnerMessage>, serde_json::Error> {
    parse(line, &RUNNER_TYPES)
}

fn parse<T: serde::de::DeserializeOwned>(line: &[u8], known: &[&str]) -> Result<Option<T>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Tag {
        r#type: String,
    }
    match serde_json::from_slice(line) {
        Ok(message) => Ok(Some(message)),
        Err(error) => match serde_json::from_slice::<Tag>(line) {
            Ok(tag) if !known.contains(&tag.r#type.as_str()) => Ok(None),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_none_differs_from_no_value() {
        let end = |value: &str| {
            let line = format!(
                "{{\"type\":\"result\"{value},\"usage\":{{\"wall_ms\":1,\"user_ms\":0,\"system_ms\":0,\"max_rss_kib\":0}},\"exit\":{{\"code\":0}}}}"
            );
            match parse_runner_line(line.as_bytes()).unwrap().unwrap() {
                RunnerMessage::Result { value, .. } => value,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(end(",\"value\":null"), Some(Value::Null));
        assert_eq!(end(""), None);
    }

    #[test]
    fn a_reply_of_null_is_a_reply() {
        let line = r#"{"type":"reply","id":1,"ok":null}"#;
        let reply: SupervisorMessage = serde_json::from_str(line).unwrap();
        assert_eq!(reply, SupervisorMessage::Reply(Reply { id: 1, ok: Some(Value::Null), error: None }));
        assert_eq!(serde_json::to_string(&reply).unwrap(), line);
    }

    #[test]
    fn unknown_types_are_passed_over_and_unknown_fields_ignored() {
        assert_eq!(parse_module_line(br#"{"type":"telemetry","x":1}"#).unwrap(), None);
        let log = parse_module_line(br#"{"type":"log","message":"m","colour":"red"}"#).unwrap();
        assert_eq!(log, Some(Message::Log { level: Level::Info, message: "m".to_owned(), fields: None }));
    }

    #[test]
    fn lines_that_are_no_message_are_errors() {
        for bad in ["", "{", "[1]", "null", r#"{"type":"log"}"#, r#"{"type":"result","value":NaN}"#, r#"{"a":1}"#] {
            assert!(parse_module_line(bad.as_bytes()).is_err(), "{bad}");
        }
        let deep = format!("{{\"type\":\"result\",\"value\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
        assert!(parse_module_line(deep.as_bytes()).is_err());
    }
}
