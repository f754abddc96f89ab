//! What became known of an attempt, and the one outcome that follows from it.
//!
//! Pure: nothing here talks to a process, so that every combination can be tested.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::Signal;
use serde_json::Value;
use updates_protocol::{CancelReason, Enforcement, Exit, SetupFailure, Usage};

use super::stage::SETUP;
use crate::record::Outcome;

/// Everything that decides the outcome of one attempt.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Whether the runner said hello, which comes first.
    pub(super) greeted: bool,
    /// What the runner applied; set when the sandbox stands.
    pub(super) enforcement: Option<Enforcement>,
    /// The step of the setup that failed.
    pub(super) failure: Option<SetupFailure>,
    /// Whether the setup took too long.
    pub(super) setup_over: bool,
    /// Why the module was told to end before it had.
    pub(super) cancelled: Option<CancelReason>,
    /// What the runner itself said against the protocol.
    pub(super) violation: Option<String>,
    /// The runner's last word.
    pub(super) result: Option<ResultMessage>,
    /// How the runner ended, where it did without being killed from here.
    pub(super) runner_status: Option<ExitStatus>,
    /// The end of the runner's standard error.
    pub(super) stderr_tail: String,
}

/// The content of a `result`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ResultMessage {
    pub(super) value: Option<Value>,
    pub(super) usage: Usage,
    pub(super) exit: Exit,
    pub(super) garbled: Option<String>,
}

impl Facts {
    /// The outcome. `after_sec` is the deadline.
    pub(super) fn outcome(&self, after_sec: u64) -> Outcome {
        if let Some(SetupFailure { step, reason }) = &self.failure {
            return Outcome::NotStarted { step: step.clone(), reason: reason.clone() };
        }
        // A module that was told to end was cut off somewhere: what it still reported is not trusted to be the whole.
        match self.cancelled {
            Some(CancelReason::Deadline) => return Outcome::TimedOut { after_sec },
            Some(CancelReason::User | CancelReason::Shutdown) => return Outcome::Cancelled,
            None => {}
        }
        if let Some(reason) = &self.violation {
            return Outcome::Garbled { reason: self.with_stderr(format!("the runner {reason}")) };
        }
        match &self.result {
            Some(result) => result.outcome(),
            None => self.without_result(),
        }
    }

    /// Whether the runner has said its last word.
    pub(super) fn is_over(&self) -> bool {
        self.result.is_some() || self.failure.is_some()
    }

    fn without_result(&self) -> Outcome {
        if self.enforcement.is_some() {
            return Outcome::Garbled {
                reason: self.with_stderr(format!("the runner {} without a result", self.runner_end())),
            };
        }
        let reason = if self.setup_over {
            format!("the sandbox did not stand within {} seconds", SETUP.as_secs())
        } else {
            format!("the runner {} before the sandbox stood", self.runner_end())
        };
        // Nothing is held against a module that nobody has seen begin. It may have all the same, just before the runner
        // could say so: that is no matter, since what never started is put back to its checkpoint as well.
        Outcome::NotStarted { step: "runner".to_owned(), reason: self.with_stderr(reason) }
    }

    fn runner_end(&self) -> String {
        match self.runner_status {
            Some(status) => match (status.signal(), status.code()) {
                (Some(signal), _) => format!("was killed by {}", signal_name(signal)),
                (None, Some(code)) => format!("ended with exit code {code}"),
                (None, None) => format!("ended with {status}"),
            },
            None => "was ended".to_owned(),
        }
    }

    fn with_stderr(&self, reason: String) -> String {
        if self.stderr_tail.is_empty() { reason } else { format!("{reason}: {}", self.stderr_tail) }
    }
}

impl ResultMessage {
    // A crash counts for more than what was said before it, and a value next to nonsense is no report.
    fn outcome(&self) -> Outcome {
        match (self.exit, &self.garbled, &self.value) {
            (Exit::Signal(signal), _, _) => Outcome::Signalled { signal, name: signal_name(signal) },
            (_, Some(reason), _) => Outcome::Garbled { reason: reason.clone() },
            (_, None, Some(value)) => Outcome::Reported { value: value.clone() },
            (Exit::Code(code), None, None) => Outcome::Exited { code },
        }
    }
}

fn signal_name(signal: i32) -> String {
    match Signal::try_from(signal) {
        Ok(known) => known.as_str().to_owned(),
        // signal(7): the real-time signals begin at 32, of which the C library keeps two for itself.
        Err(_) if (34..=64).contains(&signal) => format!("SIGRTMIN+{}", signal - 34),
        Err(_) => format!("signal {signal}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> Facts {
        Facts { enforcement: Some(Enforcement::default()), ..Facts::default() }
    }

    fn result(value: Option<Value>, exit: Exit, garbled: Option<&str>) -> Facts {
        let usage = Usage::default();
        let result = ResultMessage { value, usage, exit, garbled: garbled.map(str::to_owned) };
        Facts { result: Some(result), ..standing() }
    }

    #[test]
    fn a_value_is_a_report_whatever_the_exit_code() {
        let facts = result(Some(Value::Bool(true)), Exit::Code(3), None);
        assert_eq!(facts.outcome(1), Outcome::Reported { value: Value::Bool(true) });
        assert_eq!(result(None, Exit::Code(75), None).outcome(1), Outcome::Exited { code: 75 });
    }

    #[test]
    fn a_crash_after_a_report_is_a_crash() {
        let facts = result(Some(Value::Bool(true)), Exit::Signal(11), Some("half a line"));
        assert_eq!(facts.outcome(1), Outcome::Signalled { signal: 11, name: "SIGSEGV".to_owned() });
        assert_eq!(
            result(None, Exit::Signal(35), None).outcome(1),
            Outcome::Signalled { signal: 35, name: "SIGRTMIN+1".to_owned() }
        );
    }

    #[test]
    fn a_value_next_to_nonsense_is_garbled() {
        let facts = result(Some(Value::Bool(true)), Exit::Code(0), Some("line 2 is no JSON"));
        assert_eq!(facts.outcome(1), Outcome::Garbled { reason: "line 2 is no JSON".to_owned() });
    }

    #[test]
    fn what_comes_after_the_deadline_changes_nothing() {
        let facts = Facts {
            cancelled: Some(CancelReason::Deadline),
            violation: Some("lied".to_owned()),
            ..result(Some(Value::Bool(true)), Exit::Code(0), None)
        };
        assert_eq!(facts.outcome(300), Outcome::TimedOut { after_sec: 300 });
        let facts = Facts { cancelled: Some(CancelReason::User), ..facts };
        assert_eq!(facts.outcome(300), Outcome::Cancelled);
    }

    #[test]
    fn a_sandbox_that_does_not_stand_in_time_is_not_held_against_the_module() {
        let facts = Facts { greeted: true, setup_over: true, ..Facts::default() };
        let reason = "the sandbox did not stand within 60 seconds".to_owned();
        assert_eq!(facts.outcome(1), Outcome::NotStarted { step: "runner".to_owned(), reason });
    }

    #[test]
    fn a_runner_that_dies_is_told_apart_by_whether_the_module_was_seen_to_start() {
        let killed = Some(ExitStatus::from_raw(9));
        let facts = Facts { runner_status: killed, stderr_tail: "oops".to_owned(), ..Facts::default() };
        assert_eq!(
            facts.outcome(1),
            Outcome::NotStarted {
                step: "runner".to_owned(),
                reason: "the runner was killed by SIGKILL before the sandbox stood: oops".to_owned()
            }
        );
        let greeted = Facts { greeted: true, ..facts };
        assert!(matches!(greeted.outcome(1), Outcome::NotStarted { .. }));
        let facts = Facts { runner_status: killed, ..standing() };
        assert_eq!(
            facts.outcome(1),
            Outcome::Garbled { reason: "the runner was killed by SIGKILL without a result".to_owned() }
        );
    }
}
