//! Takes out of reports what differs from run to run: ids, times, durations, temporary paths, process ids.

use std::path::Path;

use serde_json::{Map, Value, json};

/// Fields whose values are measured.
const MEASURED: [&str; 4] = ["usage", "enforcement", "log_bytes_dropped", "stale_days"];
const TIMES: [&str; 4] = ["started", "ended", "time", "timestamp"];

/// `value` with `[run]`, `[time]`, `[commit]`, `[root]` and `[pid]` in place of what changes; measurements left out.
pub fn normal(value: &Value, root: &Path) -> Value {
    match value {
        Value::Object(map) => {
            let mut kept = Map::new();
            for (key, value) in map.iter().filter(|(key, _)| !MEASURED.contains(&key.as_str())) {
                let value = match key.as_str() {
                    "run_id" => json!("[run]"),
                    "revision" if value.is_string() => json!("[commit]"),
                    key if TIMES.contains(&key) => json!("[time]"),
                    _ => normal(value, root),
                };
                kept.insert(key.clone(), value);
            }
            Value::Object(kept)
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| normal(item, root)).collect()),
        Value::String(text) => json!(normal_text(text, root)),
        other => other.clone(),
    }
}

/// A text without what changes, and without the marks below a traceback's lines, which differ from Python to Python.
pub fn normal_text(text: &str, root: &Path) -> String {
    let marks = |line: &str| line.contains('^') && line.chars().all(|c| " ~^\n".contains(c));
    let text: String = text.split_inclusive('\n').filter(|line| !marks(line)).collect();
    let mut text = text.replace(&*root.to_string_lossy(), "[root]");
    for word in ["updates-source-", "updates-test-"] {
        while let Some(at) = text.find(word) {
            let end = text[at..].find(|c: char| !c.is_alphanumeric() && c != '-').map_or(text.len(), |end| at + end);
            text.replace_range(at..end, "[temporary]");
        }
    }
    text
}

/// What a person needs to know of the module `name` in `record`: everything but measurements.
#[track_caller]
pub fn report(record: &Value, name: &str, root: &Path) -> Value {
    let modules = record["modules"].as_array().expect("a record lists its modules");
    let module = modules.iter().find(|module| module["module"] == name);
    normal(module.unwrap_or_else(|| panic!("{name} is not in {record:#}")), root)
}

/// Log lines as `LEVEL source: text`, of what `logs --json` prints; equal ones in a row are one with their number.
pub fn log(lines: &Value, root: &Path) -> Vec<String> {
    let lines = lines.as_array().expect("logs are a list");
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let lines: Vec<String> = lines
        .iter()
        .map(|line| {
            let message = normal_text(&text(line, "message"), root);
            format!("{} {}: {message}", text(line, "level"), text(line, "source"))
        })
        .collect();
    let repeated = lines.chunk_by(|one, next| one == next);
    repeated
        .map(|same| match same.len() {
            1 => same[0].clone(),
            times => format!("{times} times: {}", same[0]),
        })
        .collect()
}
