//! The bound on what one attempt may log: the head passes at once, the tail is kept for the end, the middle is dropped
//! and said to be so.
//!
//! The runner cuts a module's log in the same way; this bound is a little wider and holds even when the runner lies.

use std::collections::VecDeque;

use updates_protocol::{Level, LogSource};

use super::LogEntry;

/// Bytes that pass at once.
const HEAD: u64 = 10 << 20;
/// Bytes of the newest lines beyond the head that are kept.
const TAIL: u64 = 1 << 20;
/// What a line counts beside its text, so that a flood of empty lines is bounded as well.
const LINE: u64 = 32;

/// Counts the log of one attempt.
#[derive(Debug)]
pub(super) struct LogBudget {
    head_left: u64,
    tail: VecDeque<LogEntry>,
    tail_size: u64,
    dropped: u64,
}

impl LogBudget {
    pub(super) fn new() -> Self {
        Self { head_left: HEAD, tail: VecDeque::new(), tail_size: 0, dropped: 0 }
    }

    /// Takes a line in; gives it back when it may pass at once.
    pub(super) fn admit(&mut self, entry: LogEntry) -> Option<LogEntry> {
        let size = size(&entry);
        // A line that does not fit closes the head for good: what comes after must not overtake it.
        if self.tail.is_empty() && self.dropped == 0 && size <= self.head_left {
            self.head_left -= size;
            return Some(entry);
        }
        self.tail.push_back(entry);
        self.tail_size += size;
        while self.tail_size > TAIL
            && let Some(oldest) = self.tail.pop_front()
        {
            let size = self::size(&oldest);
            self.tail_size -= size;
            self.dropped += size;
        }
        None
    }

    /// The rest: a line about the cut when there was one, and the tail. Returns the bytes that were dropped as well.
    pub(super) fn finish(self) -> (Vec<LogEntry>, u64) {
        let mut rest = Vec::with_capacity(self.tail.len() + 1);
        if self.dropped > 0 {
            rest.push(LogEntry {
                time: self.tail.front().map_or(0, |entry| entry.time),
                level: Level::Warning,
                source: LogSource::Module,
                message: format!(
                    "log cut here: {} bytes were dropped past the limit of {} MiB",
                    self.dropped,
                    HEAD >> 20
                ),
                fields: None,
            });
        }
        rest.extend(self.tail);
        (rest, self.dropped)
    }
}

fn size(entry: &LogEntry) -> u64 {
    let fields = entry.fields.as_ref().map_or(0, |fields| serde_json::to_string(fields).map_or(0, |text| text.len()));
    (entry.message.len() + fields) as u64 + LINE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: String) -> LogEntry {
        LogEntry { time: 1, level: Level::Info, source: LogSource::Stdout, message, fields: None }
    }

    #[test]
    fn a_log_below_the_limit_passes_whole_and_at_once() {
        let mut budget = LogBudget::new();
        for _ in 0..1000 {
            assert!(budget.admit(line("x".repeat(1000))).is_some());
        }
        assert_eq!(budget.finish(), (vec![], 0));
    }

    #[test]
    fn a_flood_keeps_its_head_and_its_tail_and_says_what_is_missing() {
        let mut budget = LogBudget::new();
        let passed = (0..2000).filter(|n| budget.admit(line(format!("{n:010000}"))).is_some()).count();
        let (rest, dropped) = budget.finish();
        assert!(passed >= 1000 && rest.len() > 90, "{passed} passed, {} in the tail", rest.len());
        assert!(rest[0].message.starts_with("log cut here:"), "{}", rest[0].message);
        assert!(rest.last().unwrap().message.ends_with("1999"));
        assert_eq!(dropped, (2000 - passed - (rest.len() - 1)) as u64 * 10_032);
    }

    #[test]
    fn a_flood_of_empty_lines_is_bounded_as_well() {
        let mut budget = LogBudget::new();
        let passed = (0..1_000_000).filter(|_| budget.admit(line(String::new())).is_some()).count();
        assert!(passed < 400_000 && budget.tail.len() < 40_000);
    }
}
