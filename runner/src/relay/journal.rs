//! The module's log on its way to the supervisor, and its bound: past 10 MiB only the end is kept, and the cut is said.
//!
//! Everything up to the bound leaves at once. What comes later goes into a ring of the last 256 KiB, which leaves when
//! the module has ended. Messages are numbered as they leave, so that the numbers on the wire have no gaps.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use memchr::memchr_iter;
use serde_json::{Map, Value};
use updates_protocol::{Level, LogSource, RunnerMessage};

use super::clip::{clip, clip_log};
use super::progress::Step;
use crate::supervisor::{Lost, Supervisor};

/// How much leaves at once, in bytes of text and an overhead for each line.
const HEAD: usize = 10 << 20;
const OVERHEAD: usize = 64;
/// How much of the rest is kept, in bytes and in lines.
const TAIL: usize = 256 << 10;
const TAIL_LINES: u64 = 4096;

/// One message, or with `lines` above 1 so many lines of output that were not looked at.
#[derive(Debug)]
struct Piece {
    time: u64,
    level: Level,
    source: LogSource,
    text: String,
    fields: Option<Map<String, Value>>,
    lines: u64,
}

#[derive(Debug, Default)]
struct Tail {
    pieces: VecDeque<Piece>,
    bytes: usize,
    lines: u64,
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
        let piece = Piece { time: now(), level, source, text, fields, lines: 1 };
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
        let text = String::from_utf8_lossy(lines).into_owned();
        tail.push(Piece { time: now(), level: Level::Info, source, text, fields: None, lines: count });
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
        let Some(mut tail) = self.tail.take() else { return Ok(self.dropped) };
        let skipped = tail.skip_lines();
        if tail.cut_lines > 0 {
            let text = format!("{} lines of the log, {} bytes, were cut here", tail.cut_lines, tail.cut_bytes);
            self.send(supervisor, Piece::own(Level::Warning, text))?;
        }
        for (index, piece) in tail.pieces.into_iter().enumerate() {
            if piece.lines == 1 {
                self.send(supervisor, piece)?;
                continue;
            }
            let first = if index == 0 { skipped } else { 0 };
            for line in piece.text.lines().skip(first) {
                let (time, level, source) = (piece.time, piece.level, piece.source);
                self.send(supervisor, Piece { time, level, source, text: line.to_owned(), fields: None, lines: 1 })?;
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
        Self { time: now(), level, source: LogSource::Module, text, fields: None, lines: 1 }
    }
}

impl Tail {
    fn push(&mut self, piece: Piece) {
        self.bytes += piece.text.len();
        self.lines += piece.lines;
        self.pieces.push_back(piece);
        while self
            .pieces
            .front()
            .is_some_and(|first| self.bytes - first.text.len() >= TAIL || self.lines - first.lines >= TAIL_LINES)
        {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(piece) = self.pieces.pop_front() {
            self.bytes -= piece.text.len();
            self.lines -= piece.lines;
            self.cut_bytes += piece.text.len();
            self.cut_lines += piece.lines;
        }
    }

    // Of the first piece, the lines that are above the bound; `push` keeps it to that piece.
    fn skip_lines(&mut self) -> usize {
        let skipped = self.lines.saturating_sub(TAIL_LINES);
        if let Some(first) = self.pieces.front().filter(|_| skipped > 0) {
            let bytes: usize = first.text.split_inclusive('\n').take(skipped as usize).map(str::len).sum();
            self.cut_bytes += bytes;
            self.cut_lines += skipped;
        }
        skipped as usize
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
