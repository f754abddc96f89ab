//! Cuts text so that it fits a line of the protocol once it is written as JSON.

use serde_json::{Map, Value};
use updates_protocol::MAX_LINE;

/// The bytes that a log message may take as JSON; the rest of the line is for its other members.
const MESSAGE: usize = MAX_LINE - (4 << 10);
/// The bytes that its fields may take.
const FIELDS: usize = 24 << 10;

/// `text`, or its beginning and a note when it is longer than `budget` bytes as a JSON string.
pub(super) fn clip(text: String, budget: usize) -> String {
    // No byte takes more than six as JSON, so most text needs no look.
    if text.len() * 6 <= budget {
        return text;
    }
    let mut used = 0;
    for (at, character) in text.char_indices() {
        used += match character {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => 6,
            other => other.len_utf8(),
        };
        if used > budget {
            return note(&text[..at], text.len() - at);
        }
    }
    text
}

/// `text` with the note that `missing` bytes of it were left out.
pub(super) fn note(text: &str, missing: usize) -> String {
    format!("{text} [… {missing} bytes cut]")
}

/// Message and fields of a log line, both bounded.
pub(super) fn clip_log(message: String, fields: Option<Map<String, Value>>) -> (String, Option<Map<String, Value>>) {
    let Some(fields) = fields else { return (clip(message, MESSAGE), None) };
    match serde_json::to_vec(&fields).map_or(usize::MAX, |json| json.len()) {
        size if size <= FIELDS => (clip(message, MESSAGE - size), Some(fields)),
        size => (note(&clip(message, MESSAGE / 2), size) + " of fields", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_its_length_as_json_and_never_inside_a_character() {
        assert_eq!(clip("short".to_owned(), 100), "short");
        assert_eq!(clip("\u{1}".repeat(100), 12), "\u{1}\u{1} [… 98 bytes cut]");
        assert_eq!(clip("é".repeat(10), 5), "éé [… 16 bytes cut]");
        assert_eq!(clip("a\"".repeat(3), 4), "a\"a [… 3 bytes cut]");
    }

    #[test]
    fn any_log_line_fits_the_wire() {
        let fields = Map::from_iter([("k".to_owned(), Value::String("\u{1}".repeat(4000)))]);
        for text in ["\u{1}".repeat(100_000), "\"".repeat(100_000), "x".repeat(100_000)] {
            let (message, fields) = clip_log(text, Some(fields.clone()));
            let size = serde_json::to_vec(&message).unwrap().len() + serde_json::to_vec(&fields).unwrap().len();
            assert!(size < MAX_LINE - 512, "{size}");
        }
    }
}
