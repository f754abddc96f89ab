//! The module's log on its way to the supervisor, and its bound: past 10 MiB only the end is kept, and the cut is said.
//!
//! Everything up to the bound leaves at once. What comes later goes into rings, one for each source, so that a flood on
//! one can't push out the error message on another; they leave when the module has ended. Messages are numbered as they
//! leave, so that the numbers on the wire have no gaps.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use memchr::{memchr_iter, memrchr_iter};
use serde_json::{Map, Value};
use updates_protocol::{Level, LogSource, RunnerMessage};

use super::clip::{clip, clip_log};
use super::progress::Step;
use crate::supervisor::{Lost, Supervisor};

/// How much leaves at once, in bytes of text and an overhead for each line.
const HEAD: usize = 10 << 20;
const OVERHEAD: usize = 64;
/// How much of the rest is kept of each source, in bytes and in lines.
const TAIL: usize = 256 << 10;
const TAIL_LINES: u64 = 4096;

/// One message, or with `lines` above 1 so many lines of output that were not looked at.
#[derive(Debug)]
struct Piece {
    /// Among all that were kept, in the order of arrival.
    order: u64,
    time: u64,
    level: Level,
    source: LogSource,
    text: String,
    fields: Option<Map<String, Value>>,
    lines: u64,
}

/// The end of what one source said.
#[derive(Debug, Default)]
struct Ring {
    pieces: VecDeque<Piece>,
    bytes: usize,
    lines: u64,
}

#[derive(Debug, Default)]
struct Tail {
    rings: [Ring; 3],
    pushed: u64,
    cut_bytes: usize,
    cut_lines: u64,
}

/// The log of one module.
#[derive(Debug, Default)]
pub(super) struct Journal {
    seq: u64,
    sent: usize,
    tail: Option<Tail>,
    dropped: u64,
}

impl Journal {
    /// Counts bytes of a line that were cut before it came here.
    pub(super) fn clipped(&mut self, bytes: usize) {
        self.dropped = self.dropped.saturating_add(bytes as u64);
    }

    /// Passes a message on, or keeps it for the end.
    pub(super) fn log(
        &mut self,
        supervisor: &mut Supervisor,
        level: Level,
        source: LogSource,
        text: String,
        fields: Option<Map<String, Value>>,
    ) -> Result<(), Lost> {
        self.sent = self.sent.saturating_add(text.len() + OVERHEAD);
        let piece = Piece { order: 0, time: now(), level, source, text, fields, lines: 1 };
        if self.tail.is_none() && self.sent > HEAD {
            let text = format!("the log has passed {} MiB: of what follows only the end is kept", HEAD >> 20);
            self.send(supervisor, Piece::own(Level::Warning, text))?;
            self.tail = Some(Tail::default());
        }
        match &mut self.tail {
            Some(tail) => {
                tail.push(piece);
                Ok(())
            }
            None => self.send(supervisor, piece),
        }
    }

    /// Takes whole lines of output at once when single lines would be cut anyway.
    pub(super) fn bulk(&mut self, source: LogSource, lines: &[u8]) -> bool {
        let Some(tail) = &mut self.tail else { return false };
        let count = memchr_iter(b'\n', lines).count() as u64;
        // A single line is kept as `log` keeps it, without its newline.
        let lines = if count == 1 { lines.strip_suffix(b"\n").unwrap_or(lines) } else { lines };
        let text = String::from_utf8_lossy(lines).into_owned();
        tail.push(Piece { order: 0, time: now(), level: Level::Info, source, text, fields: None, lines: count });
        true
    }

    /// Passes progress on.
    pub(super) fn progress(&mut self, supervisor: &mut Supervisor, step: Step) -> Result<(), Lost> {
        self.seq += 1;
        supervisor.send(&RunnerMessage::Progress {
            seq: self.seq,
            step: clip(step.step, 4 << 10),
            current: step.current,
            total: step.total,
            unit: step.unit.map(|unit| clip(unit, 256)),
        })
    }

    /// Passes on what was kept for the end. Returns how many bytes are missing.
    pub(super) fn finish(&mut self, supervisor: &mut Supervisor) -> Result<u64, Lost> {
        let Some(tail) = self.tail.take() else { return Ok(self.dropped) };
        if tail.cut_lines > 0 {
            let text = format!("{} lines of the log, {} bytes, were cut here", tail.cut_lines, tail.cut_bytes);
            self.send(supervisor, Piece::own(Level::Warning, text))?;
        }
        let mut pieces: Vec<Piece> = tail.rings.into_iter().flat_map(|ring| ring.pieces).collect();
        pieces.sort_unstable_by_key(|piece| piece.order);
        for piece in pieces {
            if piece.lines == 1 {
                self.send(supervisor, piece)?;
                continue;
            }
            for line in piece.text.lines() {
                let Piece { order, time, level, source, .. } = piece;
                let text = line.to_owned();
                self.send(supervisor, Piece { order, time, level, source, text, fields: None, lines: 1 })?;
            }
        }
        Ok(self.dropped.saturating_add(tail.cut_bytes as u64))
    }

    fn send(&mut self, supervisor: &mut Supervisor, piece: Piece) -> Result<(), Lost> {
        self.seq += 1;
        let (message, fields) = clip_log(piece.text, piece.fields);
        let Piece { time, level, source, .. } = piece;
        supervisor.send(&RunnerMessage::Log { seq: self.seq, time, level, message, source, fields })
    }
}

impl Piece {
    fn own(level: Level, text: String) -> Self {
        Self { order: 0, time: now(), level, source: LogSource::Module, text, fields: None, lines: 1 }
    }

    // Drops all but the last lines; how many bytes and lines that were.
    fn keep_last(&mut self, kept: u64) -> (usize, u64) {
        let dropped = self.lines.saturating_sub(kept);
        // Whole lines end in a newline each, so the one before the kept lines is where they begin.
        let before = memrchr_iter(b'\n', self.text.as_bytes()).nth(kept as usize);
        let bytes = before.map_or(0, |at| at + 1);
        self.text.drain(..bytes);
        self.lines -= dropped;
        (bytes, dropped)
    }
}

impl Tail {
    fn push(&mut self, mut piece: Piece) {
        self.pushed += 1;
        piece.order = self.pushed;
        let ring = &mut self.rings[match piece.source {
            // The supervisor says nothing through the runner.
            LogSource::Module | LogSource::Supervisor => 0,
            LogSource::Stdout => 1,
            LogSource::Stderr => 2,
        }];
        if piece.lines > TAIL_LINES {
            let (bytes, lines) = piece.keep_last(TAIL_LINES);
            self.cut_bytes += bytes;
            self.cut_lines += lines;
        }
        ring.bytes += piece.text.len();
        ring.lines += piece.lines;
        ring.pieces.push_back(piece);
        while ring.bytes > TAIL || ring.lines > TAIL_LINES {
            // The newest always stays: it is within the bounds, or a single line.
            if ring.pieces.len() == 1 {
                return;
            }
            let Some(first) = ring.pieces.pop_front() else { return };
            ring.bytes -= first.text.len();
            ring.lines -= first.lines;
            self.cut_bytes += first.text.len();
            self.cut_lines += first.lines;
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(source: LogSource, text: &str) -> Piece {
        let lines = text.matches('\n').count().max(1) as u64;
        Piece { order: 0, time: 0, level: Level::Info, source, text: text.to_owned(), fields: None, lines }
    }

    #[test]
    fn of_a_flood_the_end_is_kept_and_the_rest_counted() {
        let mut tail = Tail::default();
        tail.push(piece(LogSource::Stderr, "the error"));
        for _ in 0..1000 {
            tail.push(piece(LogSource::Stdout, &"y\n".repeat(10_000)));
        }
        let [_, stdout, stderr] = &tail.rings;
        assert_eq!((stderr.lines, stdout.lines), (1, TAIL_LINES));
        assert_eq!(tail.cut_lines, 10_000_000 - TAIL_LINES);
        assert_eq!(tail.cut_bytes as u64, 2 * tail.cut_lines);
        assert_eq!(stdout.pieces.iter().map(|piece| piece.text.len()).sum::<usize>(), stdout.bytes);
    }

    #[test]
    fn a_single_line_in_bulk_is_like_any_other() {
        let mut journal = Journal { tail: Some(Tail::default()), ..Journal::default() };
        assert!(journal.bulk(LogSource::Stdout, b"last\n") && journal.bulk(LogSource::Stdout, b"a\nb\n"));
        let texts: Vec<_> =
            journal.tail.iter().flat_map(|tail| &tail.rings[1].pieces).map(|piece| &piece.text).collect();
        assert_eq!(texts, ["last", "a\nb\n"]);
    }

    #[test]
    fn a_piece_above_the_bound_replaces_all_before_it() {
        let mut tail = Tail::default();
        tail.push(piece(LogSource::Module, "first"));
        tail.push(piece(LogSource::Module, &"x".repeat(TAIL + 1)));
        assert_eq!(tail.rings[0].pieces.len(), 1);
        assert_eq!((tail.cut_lines, tail.cut_bytes), (1, 5));
    }
}
