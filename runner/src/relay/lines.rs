//! Cuts a module's output into lines. Of a line that is too long the beginning is kept and the rest is counted.

use memchr::{memchr, memrchr};

/// How much of a line is kept for the log.
pub(super) const LOG_LINE: usize = 32 << 10;

/// Receives what was found.
pub(super) trait Sink {
    /// A line without its newline: what was kept of it, and how long it was.
    fn line(&mut self, kept: &[u8], length: usize);
    /// Offers several whole lines at once. False asks for them one by one.
    fn block(&mut self, lines: &[u8]) -> bool;
}

/// One stream's unfinished line.
#[derive(Debug)]
pub(super) struct Lines {
    partial: Vec<u8>,
    length: usize,
    /// How much is kept of a line that begins like a JSON object; all others are for the log.
    object_limit: usize,
}

impl Lines {
    pub(super) fn new(object_limit: usize) -> Self {
        Self { partial: Vec::new(), length: 0, object_limit: object_limit.max(LOG_LINE) }
    }

    /// Takes in `bytes`, which follow what came before.
    pub(super) fn feed(&mut self, mut bytes: &[u8], sink: &mut impl Sink) {
        if self.length > 0 {
            let Some(end) = memchr(b'\n', bytes) else { return self.keep(bytes) };
            self.keep(&bytes[..end]);
            self.finish(sink);
            bytes = &bytes[end + 1..];
        }
        let whole = memrchr(b'\n', bytes).map_or(0, |end| end + 1);
        let (block, rest) = bytes.split_at(whole);
        if !block.is_empty() && !sink.block(block) {
            let mut lines = block;
            while let Some(end) = memchr(b'\n', lines) {
                let line = &lines[..end];
                sink.line(&line[..end.min(self.limit(line))], end);
                lines = &lines[end + 1..];
            }
        }
        self.keep(rest);
    }

    /// The stream has ended: a last line may lack its newline.
    pub(super) fn finish(&mut self, sink: &mut impl Sink) {
        if self.length > 0 {
            sink.line(&self.partial, self.length);
        }
        self.partial.clear();
        self.length = 0;
    }

    fn keep(&mut self, bytes: &[u8]) {
        let first = if self.partial.is_empty() { bytes } else { &self.partial };
        let room = self.limit(first).saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.length += bytes.len();
    }

    fn limit(&self, line: &[u8]) -> usize {
        if line.first() == Some(&b'{') { self.object_limit } else { LOG_LINE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Found(Vec<(usize, usize)>, Vec<u8>);

    impl Sink for Found {
        fn line(&mut self, kept: &[u8], length: usize) {
            self.0.push((kept.len(), length));
            self.1.extend_from_slice(kept);
            self.1.push(b'\n');
        }

        fn block(&mut self, _: &[u8]) -> bool {
            false
        }
    }

    #[test]
    fn lines_are_found_wherever_the_stream_is_cut() {
        let text = b"one\n\n{\"two\":2}\nthree\n\nlast";
        for size in 1..text.len() {
            let (mut lines, mut found) = (Lines::new(0), Found::default());
            text.chunks(size).for_each(|chunk| lines.feed(chunk, &mut found));
            lines.finish(&mut found);
            assert_eq!(found.1, b"one\n\n{\"two\":2}\nthree\n\nlast\n", "{size}");
        }
    }

    #[test]
    fn of_a_flood_without_newline_only_the_beginning_is_kept() {
        let (mut lines, mut found) = (Lines::new(100_000), Found::default());
        for _ in 0..1000 {
            lines.feed(&[b'x'; 1000], &mut found);
            assert!(lines.partial.len() <= LOG_LINE);
        }
        lines.feed(b"\n{", &mut found);
        lines.feed(&[b'y'; 200_000], &mut found);
        lines.finish(&mut found);
        assert_eq!(found.0, [(LOG_LINE, 1_000_000), (100_000, 200_001)]);
    }
}
