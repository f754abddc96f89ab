//! The trail that requests leave in the log: one line for each, with the module's words bounded and secrets taken out.
//!
//! A module may ask without end, and must not be able to hide one request behind a thousand others: each operation has a
//! number of lines of its own, granted and not, and what comes after is counted and said at the end.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use updates_protocol::Level;

use super::{Denial, OPERATIONS};
use crate::record::RequestCount;

/// Lines for one operation with one kind of answer, in one attempt.
const LINES: u64 = 200;
/// The longest text of arguments, in bytes.
const LONGEST_ARGUMENTS: usize = 600;
/// The longest reason, in bytes.
const LONGEST_REASON: usize = 1000;
/// The longest string inside of arguments, in characters, and the most elements of one list or object.
const LONGEST_STRING: usize = 120;
const MOST_ELEMENTS: usize = 16;
/// Lists and objects inside of each other, beyond which nothing is shown.
const DEEPEST: usize = 6;

/// A key that holds one of these, in any case, has a secret for its value.
const SECRETS: [&str; 8] = ["password", "passwd", "passphrase", "secret", "token", "credential", "private", "pwd"];
/// A key that is one of these, or ends in one, has one too.
const SECRET_ENDS: [&str; 3] = ["key", "auth", "pass"];

/// Counts what was asked for in one attempt.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Trail {
    counts: BTreeMap<(&'static str, &'static str), u64>,
}

impl Trail {
    /// What is asked for, as the log shows it. To be made before the arguments are used up.
    pub(in crate::supervisor) fn asked(operation: &str, arguments: &Map<String, Value>) -> String {
        let operation = cut(operation, 80);
        if arguments.is_empty() {
            return operation;
        }
        format!("{operation} {}", cut(&object(arguments, 0).to_string(), LONGEST_ARGUMENTS))
    }

    /// Takes an answer in, and returns the line for the log where one is due.
    pub(in crate::supervisor) fn answered(
        &mut self,
        operation: &str,
        asked: &str,
        answer: &Result<Value, Denial>,
    ) -> Option<(Level, String)> {
        let known = OPERATIONS.into_iter().find(|known| *known == operation).unwrap_or("unknown");
        let word = answer.as_ref().err().map_or("granted", Denial::word);
        let count = self.counts.entry((known, word)).or_default();
        *count += 1;
        if *count > LINES {
            return None;
        }
        Some(match answer {
            Ok(_) => (Level::Info, format!("request {asked} granted")),
            Err(denial) => {
                (Level::Warning, format!("request {asked} {word}: {}", cut(&denial.to_string(), LONGEST_REASON)))
            }
        })
    }

    /// The lines about requests that had none of their own.
    pub(in crate::supervisor) fn rest(&self) -> Vec<(Level, String)> {
        let over = self.counts.iter().filter(|(_, count)| **count > LINES);
        over.map(|((operation, word), count)| {
            let level = if *word == "granted" { Level::Info } else { Level::Warning };
            (level, format!("requests {operation} {word} {} more times, not listed one by one", count - LINES))
        })
        .collect()
    }

    /// How often each was asked for, for the record.
    pub(in crate::supervisor) fn counts(&self) -> Vec<RequestCount> {
        let mut counts: Vec<RequestCount> = Vec::new();
        for ((operation, word), count) in &self.counts {
            if counts.last().is_none_or(|last| last.operation != *operation) {
                counts.push(RequestCount { operation: (*operation).to_owned(), ..RequestCount::default() });
            }
            if let Some(last) = counts.last_mut() {
                let field = match *word {
                    "granted" => &mut last.granted,
                    "refused" => &mut last.refused,
                    _ => &mut last.failed,
                };
                *field += count;
            }
        }
        counts
    }
}

// What says nothing is left out, so that what counts is not cut off.
fn object(map: &Map<String, Value>, depth: usize) -> Value {
    let telling = map.iter().filter(|(_, value)| !is_empty(value));
    Value::Object(telling.take(MOST_ELEMENTS).map(|(key, value)| shown(key, value, depth)).collect())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn shown(key: &str, value: &Value, depth: usize) -> (String, Value) {
    let lower = key.to_lowercase();
    let secret = SECRETS.iter().any(|word| lower.contains(word)) || SECRET_ENDS.iter().any(|end| lower.ends_with(end));
    let value = match value.as_u64().filter(|_| key == "mode") {
        _ if secret => Value::from("[hidden]"),
        // As everybody writes them.
        Some(mode) => Value::from(format!("{mode:#05o}")),
        None => bounded(value, depth),
    };
    (cut(key, 60), value)
}

fn bounded(value: &Value, depth: usize) -> Value {
    match value {
        Value::String(text) => Value::from(cut(&without_assignments(&without_login(text)), LONGEST_STRING)),
        Value::Array(_) | Value::Object(_) if depth >= DEEPEST => Value::from("[…]"),
        Value::Array(items) => {
            let mut kept: Vec<Value> = items.iter().take(MOST_ELEMENTS).map(|item| bounded(item, depth + 1)).collect();
            if items.len() > MOST_ELEMENTS {
                kept.push(Value::from(format!("… {} more", items.len() - MOST_ELEMENTS)));
            }
            Value::Array(kept)
        }
        Value::Object(map) => object(map, depth + 1),
        other => other.clone(),
    }
}

/// A URL without the user and password in it: `postgres://[hidden]@host/app`.
fn without_login(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#', ' ']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://[hidden]{}", &rest[at..]),
        None => text.to_owned(),
    }
}

/// A text without what follows `password=` and its like, as connection strings have it: `host=db password=[hidden]`.
fn without_assignments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for word in text.split_inclusive([' ', '&', ';', ',', '\n']) {
        match word.split_once('=') {
            Some((key, _)) if SECRETS.iter().any(|secret| key.to_lowercase().contains(secret)) => {
                kept.push_str(key);
                kept.push_str("=[hidden]");
                kept.extend(word.chars().last().filter(|last| !last.is_alphanumeric()));
            }
            _ => kept.push_str(word),
        }
    }
    kept
}

/// At most `limit` bytes, and a mark where something is missing.
fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = (0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(arguments: Value) -> String {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        Trail::asked("state.backup", &arguments)
    }

    #[test]
    fn secrets_are_taken_out_wherever_they_stand() {
        let text = asked(json!({
            "databases": [{"type": "postgresql", "database": "app", "Password": "hunter2"}],
            "PGPASSWORD": "hunter2",
            "deep": {"options": [{"api_key": ["hunter2"]}]},
            "url": "postgres://app:hunter2@db.example/app",
            "odd": "postgres://app:hunter2/@x@db",
            "text": "host=db Password=hunter2 user=app",
            "ssh_key": "hunter2",
        }));
        assert!(!text.replace("app:hunter2/", "").contains("hunter2"), "{text}");
        assert!(
            text.contains("postgres://[hidden]@db.example/app") && text.contains("Password=[hidden] user=app"),
            "{text}"
        );
    }

    #[test]
    fn a_long_or_deep_request_is_one_short_line() {
        let deep = (0..100).fold(json!("x"), |inner, _| json!([inner]));
        let many: Vec<_> = (0..1000).map(|n| format!("/srv/{n}/{}", "y".repeat(500))).collect();
        let text = asked(json!({"files": many, "deep": deep, "text": "line\nline", "wide": "ä".repeat(5000)}));
        assert!(text.len() < 700 && !text.contains('\n'), "{} bytes: {text}", text.len());
    }

    #[test]
    fn a_thousand_requests_hide_no_other() {
        let mut trail = Trail::default();
        let granted = Ok(Value::Null);
        let lines = (0..5000).filter(|_| trail.answered("state.info", "state.info", &granted).is_some()).count();
        assert_eq!(lines, 200);
        let refused = Err(Denial::from("no"));
        let (level, line) = trail.answered("service.stop", "service.stop {}", &refused).unwrap();
        assert_eq!((level, line.as_str()), (Level::Warning, "request service.stop {} refused: no"));
        assert_eq!(trail.rest().len(), 1);
        assert!(trail.rest()[0].1.contains("4800 more"), "{:?}", trail.rest());
        let counts = trail.counts();
        assert_eq!((counts[0].refused, counts[1].granted), (1, 5000));
    }

    #[test]
    fn names_that_a_module_makes_up_share_one_number_of_lines() {
        let mut trail = Trail::default();
        let refused = Err(Denial::from("no"));
        let lines = (0..5000).filter(|n| trail.answered(&n.to_string(), "x", &refused).is_some()).count();
        assert_eq!(lines, 200);
    }
}
