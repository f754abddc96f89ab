//! From an outcome to a verdict: pure, and the only place that knows what a module's result means.

use serde_json::Value;

use crate::record::{Outcome, Verdict};

/// What is to be done, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What is to be done.
    pub verdict: Verdict,
    /// What went wrong, in one sentence; absent when nothing did.
    pub message: Option<String>,
    /// Whether the module says that it changed something.
    pub updated: bool,
}

/// How the module was hosted: an executable may end without a report, `main(args)` may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// The SDK's host, which always reports.
    Python,
    /// Any other program.
    Executable,
}

/// Exit code by which an executable asks to be started afresh; EX_TEMPFAIL of sysexits.h(3head).
const RESTART_CODE: i32 = 75;

/// Judges the outcome of attempt `attempt` (from 1).
pub fn judge(outcome: &Outcome, host: Host, attempt: u32) -> Judgement {
    match outcome {
        Outcome::Reported { value } => judge_value(value, attempt),
        Outcome::Exited { code: 0 } if host == Host::Executable => keep(false),
        Outcome::Exited { code: RESTART_CODE } if host == Host::Executable => restart(attempt, "exited with 75"),
        Outcome::Exited { code } if host == Host::Python => {
            roll_back(format!("the process ended with exit code {code} before main returned"))
        }
        Outcome::Exited { code } => roll_back(format!("ended with exit code {code}")),
        Outcome::Signalled { name, .. } => roll_back(format!("was killed by {name}")),
        Outcome::TimedOut { after_sec } => roll_back(format!(
            "was still running after {after_sec} s and was stopped; a longer deadline is set by sandbox.runtime_max_sec"
        )),
        Outcome::Garbled { reason } => roll_back(format!("its report could not be understood: {reason}")),
        Outcome::Cancelled => roll_back("was stopped because the run was interrupted".to_owned()),
        Outcome::NotStarted { step, reason } => Judgement {
            verdict: Verdict::Hold,
            message: Some(format!("could not be started: {step}: {reason}")),
            updated: false,
        },
    }
}

fn judge_value(value: &Value, attempt: u32) -> Judgement {
    match value {
        Value::Bool(false) => restart(attempt, "returned false"),
        Value::Null => roll_back("main returned None; return a dict with \"success\", or True".to_owned()),
        Value::Object(map) if map.get("success").is_some_and(is_false) => roll_back(match map.get("error") {
            Some(Value::String(error)) if !error.is_empty() => error.clone(),
            Some(error) if !error.is_null() => error.to_string(),
            _ => "returned success: false without an error".to_owned(),
        }),
        Value::Object(map) => keep(map.get("updated").is_some_and(|updated| !is_false(updated))),
        _ => keep(false),
    }
}

// What Python calls false, since modules write `"success": ok` with whatever `ok` holds.
fn is_false(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn keep(updated: bool) -> Judgement {
    Judgement { verdict: Verdict::Keep, message: None, updated }
}

fn restart(attempt: u32, what: &str) -> Judgement {
    if attempt == 1 {
        return Judgement { verdict: Verdict::Restart, message: None, updated: false };
    }
    roll_back(format!("{what} again after its restart"))
}

fn roll_back(message: String) -> Judgement {
    Judgement { verdict: Verdict::RollBack, message: Some(message), updated: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn verdict(value: Value, attempt: u32) -> Verdict {
        judge(&Outcome::Reported { value }, Host::Python, attempt).verdict
    }

    #[test]
    fn a_dict_with_success_or_any_other_value_is_kept() {
        for value in [json!({"success": true}), json!({}), json!({"success": 1}), json!(true), json!("done"), json!(0)]
        {
            assert_eq!(verdict(value.clone(), 1), Verdict::Keep, "{value}");
        }
    }

    #[test]
    fn false_restarts_once_and_then_rolls_back() {
        assert_eq!(verdict(json!(false), 1), Verdict::Restart);
        assert_eq!(verdict(json!(false), 2), Verdict::RollBack);
        let exit = Outcome::Exited { code: 75 };
        assert_eq!(judge(&exit, Host::Executable, 1).verdict, Verdict::Restart);
        assert_eq!(judge(&exit, Host::Executable, 2).verdict, Verdict::RollBack);
    }

    #[test]
    fn none_and_success_false_are_failures_that_say_why() {
        assert!(judge(&Outcome::Reported { value: json!(null) }, Host::Python, 1).message.unwrap().contains("None"));
        let failed =
            judge(&Outcome::Reported { value: json!({"success": false, "error": "no disk"}) }, Host::Python, 1);
        assert_eq!((failed.verdict, failed.message.as_deref()), (Verdict::RollBack, Some("no disk")));
        assert_eq!(verdict(json!({"success": null}), 2), Verdict::RollBack);
    }

    #[test]
    fn an_executable_needs_no_report_and_python_does() {
        let exit = Outcome::Exited { code: 0 };
        assert_eq!(judge(&exit, Host::Executable, 1).verdict, Verdict::Keep);
        assert_eq!(judge(&exit, Host::Python, 1).verdict, Verdict::RollBack);
        assert_eq!(judge(&Outcome::Exited { code: 3 }, Host::Executable, 1).verdict, Verdict::RollBack);
    }

    #[test]
    fn what_never_started_has_nothing_to_put_back() {
        let outcome = Outcome::NotStarted { step: "exec".to_owned(), reason: "not executable".to_owned() };
        assert_eq!(judge(&outcome, Host::Executable, 1).verdict, Verdict::Hold);
    }
}
