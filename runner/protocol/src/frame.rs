//! Lines out of a byte stream, with a bound: what is longer is dropped up to its end and said to be so, never stored.

use std::io::{self, Read, Write};

use serde::Serialize;

/// The longest line that is no `result`, in bytes without its newline.
pub const MAX_LINE: usize = 64 << 10;
/// The longest `result` line, in bytes.
pub const MAX_RESULT: usize = (1 << 20) + 1024;
/// The longest `start` line, in bytes: a manifest of 1 MiB, written out with escapes, and the plan around it.
pub const MAX_START: usize = 8 << 20;

/// What was found in the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A whole line without its newline; the last one may lack it in the stream.
    Line(&'a [u8]),
    /// A line that was longer than the limit, with its length in bytes so far.
    TooLong(usize),
}

/// Collects bytes and hands them out as lines.
#[derive(Debug)]
pub struct FrameReader {
    buffer: Vec<u8>,
    start: usize,
    scanned: usize,
    limit: usize,
    skipping: usize,
    ended: bool,
}

impl FrameReader {
    /// A reader of lines of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, scanned: 0, limit, skipping: 0, ended: false }
    }

    /// Reads once from `source`. Returns false at the end of the stream.
    pub fn fill(&mut self, source: &mut impl Read) -> io::Result<bool> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        let length = self.buffer.len();
        self.buffer.resize(length + (16 << 10), 0);
        let read = source.read(&mut self.buffer[length..]);
        self.buffer.truncate(length + *read.as_ref().unwrap_or(&0));
        let count = read?;
        self.ended |= count == 0;
        Ok(count > 0)
    }

    /// The next line that is complete, or at the end of the stream the rest.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        let newline = self.buffer[self.scanned..].iter().position(|&b| b == b'\n').map(|at| self.scanned + at);
        let (end, next) = match newline {
            Some(at) => (at, at + 1),
            None if self.ended && (self.start < self.buffer.len() || self.skipping > 0) => {
                (self.buffer.len(), self.buffer.len())
            }
            None => {
                self.scanned = self.buffer.len();
                // Nothing of a line that is already too long is kept: a flood must not become memory.
                if self.scanned - self.start > self.limit || self.skipping > 0 {
                    self.skipping += self.scanned - self.start;
                    self.buffer.clear();
                    (self.start, self.scanned) = (0, 0);
                }
                return None;
            }
        };
        let line = self.start..end;
        (self.start, self.scanned) = (next, next);
        let skipped = std::mem::take(&mut self.skipping);
        if skipped > 0 || line.len() > self.limit {
            return Some(Frame::TooLong(skipped + line.len()));
        }
        Some(Frame::Line(&self.buffer[line]))
    }
}

/// Writes `message` as one line, in one call to `write_all`.
pub fn write_frame(sink: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    sink.write_all(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(limit: usize, mut bytes: &[u8]) -> Vec<Result<Vec<u8>, usize>> {
        let mut reader = FrameReader::new(limit);
        let mut found = Vec::new();
        loop {
            let more = reader.fill(&mut bytes).unwrap();
            while let Some(frame) = reader.next_frame() {
                found.push(match frame {
                    Frame::Line(line) => Ok(line.to_vec()),
                    Frame::TooLong(length) => Err(length),
                });
            }
            if !more {
                return found;
            }
        }
    }

    #[test]
    fn lines_come_out_whole_and_the_last_needs_no_newline() {
        assert_eq!(frames(9, b"a\n\nbc\nd"), [Ok(b"a".to_vec()), Ok(vec![]), Ok(b"bc".to_vec()), Ok(b"d".to_vec())]);
        assert_eq!(frames(9, b""), []);
    }

    #[test]
    fn a_flood_without_newline_is_counted_and_not_kept() {
        let mut flood = vec![b'x'; 1_000_000];
        flood.extend_from_slice(b"\nafter\n");
        assert_eq!(frames(100, &flood), [Err(1_000_000), Ok(b"after".to_vec())]);
        assert_eq!(frames(100, &vec![b'x'; 300]), [Err(300)]);
        let mut reader = FrameReader::new(100);
        let mut source: &[u8] = &flood;
        while reader.fill(&mut source).unwrap() {
            while reader.next_frame().is_some() {}
            assert!(reader.buffer.capacity() < 100_000);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_stream_is_cut_at_its_newlines(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000)) {
            let mut expected: Vec<Vec<u8>> = bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            if expected.last().is_some_and(Vec::is_empty) {
                expected.pop();
            }
            let found: Vec<Vec<u8>> = frames(4096, &bytes).into_iter().map(Result::unwrap).collect();
            proptest::prop_assert_eq!(found, expected);
        }
    }
}
