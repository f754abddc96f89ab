//! Refusals in words, for `--explain-denials`: grouped by rule, each with the line that would allow it.

use serde_json::Value;
use updates::record::{Denial, Denials};

use super::style::printable;

/// What was refused in one attempt, several lines.
pub fn denied(denials: &Denials) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&printable(&line));
        text.push('\n');
    };
    if denials.refused.is_empty() {
        line("The sandbox refused nothing that matters.".to_owned());
    }
    let mut group: Option<(&str, &str)> = None;
    for denial in &denials.refused {
        if group != Some((&denial.rule, &denial.why)) {
            group = Some((&denial.rule, &denial.why));
            line(format!("Refused by {}: {}", denial.rule, denial.why));
        }
        line(format!("  {} ({}: {})", subject(denial), denial.calls.join(", "), denial.error));
        match &denial.allow {
            Some(allow) => line(format!("    index.json: {}", stanza(allow))),
            None if denial.rule == "kernel" => {}
            None => line("    no line in index.json allows it".to_owned()),
        }
    }
    if denials.left_out > 0 {
        line(format!("{} refusals that mean nothing are left out: files that are nowhere, caches.", denials.left_out));
    }
    if denials.cut {
        line("There was more than could be followed; what came last is missing.".to_owned());
    }
    text
}

fn subject(denial: &Denial) -> &str {
    denial.path.as_deref().or(denial.about.as_deref()).unwrap_or("the call itself")
}

// As it is pasted: the members of the object without its braces.
fn stanza(allow: &Value) -> String {
    let Value::Object(members) = allow else { return allow.to_string() };
    let members: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
    members.join(", ")
}
