//! Colours and times for people: one place decides whether colour is used, and how a moment is written.

use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;
pub use updates::record::local;

use super::args::Color;

/// Puts colour on words, or leaves them plain.
#[derive(Debug, Clone, Copy)]
pub struct Painter {
    color: bool,
}

/// The meaning that a colour carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// All is well.
    Good,
    /// Something to look at.
    Warn,
    /// Something failed.
    Bad,
    /// Of less interest.
    Dim,
    /// A heading or a name.
    Strong,
}

impl Painter {
    /// Decides for one stream: `--color` first, then NO_COLOR (no-color.org), then whether it is a terminal.
    pub fn new(choice: Color, stream: &impl IsTerminal) -> Self {
        let color = match choice {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                stream.is_terminal() && !no_color && !dumb
            }
        };
        Self { color }
    }

    /// The text in the colour of its meaning.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let style = match tone {
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Warn => AnsiColor::Yellow.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Dim => Style::new().dimmed(),
            Tone::Strong => Style::new().bold(),
        };
        format!("{style}{text}{style:#}")
    }
}

/// The time stamp of log lines, in local time: `2024-12-08 10:30:15`.
pub fn log_time(milliseconds: u64) -> String {
    let moment = i64::try_from(milliseconds).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    moment.unwrap_or_default().to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A duration between two RFC 3339 moments, such as `2.1 s` or `3 min 5 s`.
pub fn between(from: &str, to: &str) -> String {
    match (from.parse::<Timestamp>(), to.parse::<Timestamp>()) {
        (Ok(from), Ok(to)) => duration(to.duration_since(from).as_millis().unsigned_abs() as u64),
        _ => String::new(),
    }
}

/// Milliseconds for people.
pub fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        _ => format!("{} min {} s", milliseconds / 60_000, milliseconds / 1000 % 60),
    }
}

/// Text from a module or a repository without what could steer a terminal: control characters but newline and tab become
/// their escapes.
pub fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => clean.push(character),
            c if c.is_control() => clean.extend(c.escape_default()),
            c => clean.push(c),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_says_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\rc\n"), "a\\u{1b}[2Jb\\rc\n");
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(duration(12), "12 ms");
        assert_eq!(duration(2_140), "2.1 s");
        assert_eq!(duration(185_000), "3 min 5 s");
    }
}
