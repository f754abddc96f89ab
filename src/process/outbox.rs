//! What waits to be written to the runner: writing never blocks, and what a runner does not read is bounded.

use std::io::{self, Write};

use serde::Serialize;

/// The most that may wait, in bytes: the longest `start`, and a few of the longest replies.
const MOST: usize = 16 << 20;

/// Bytes on their way to a non-blocking pipe.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
    closed: bool,
}

impl Outbox {
    /// Adds `message` as one line. Returns false when so much waits already that the other side must have stopped
    /// reading.
    #[must_use]
    pub(super) fn push(&mut self, message: &impl Serialize) -> bool {
        if self.closed {
            return true;
        }
        self.bytes.drain(..self.written);
        self.written = 0;
        let before = self.bytes.len();
        if serde_json::to_writer(&mut self.bytes, message).is_err() {
            // Only a map with keys that are no strings could fail here; the protocol has none.
            self.bytes.truncate(before);
            return false;
        }
        self.bytes.push(b'\n');
        self.bytes.len() <= MOST
    }

    /// Whether something waits.
    pub(super) fn waits(&self) -> bool {
        !self.closed && self.written < self.bytes.len()
    }

    /// Writes as much as the pipe takes now. A pipe that nobody reads any more swallows the rest: how the runner ended
    /// is told by its exit.
    pub(super) fn flush(&mut self, sink: &mut impl Write) {
        while self.waits() {
            match sink.write(&self.bytes[self.written..]) {
                Ok(count) if count > 0 => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => {
                    self.closed = true;
                    self.bytes = Vec::new();
                    self.written = 0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_is_bounded() {
        let mut outbox = Outbox::default();
        let reply = "x".repeat(1 << 20);
        let accepted = (0..100).take_while(|_| outbox.push(&reply)).count();
        assert!(accepted < 17, "{accepted}");
    }

    #[test]
    fn a_slow_reader_gets_every_byte_in_order() {
        struct Slow(Vec<u8>, bool);
        impl Write for Slow {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                self.0.extend_from_slice(&bytes[..1]);
                Ok(1)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut outbox = Outbox::default();
        let mut slow = Slow(Vec::new(), false);
        assert!(outbox.push(&1));
        outbox.flush(&mut slow);
        assert!(outbox.push(&"two"));
        while outbox.waits() {
            outbox.flush(&mut slow);
        }
        assert_eq!(slow.0, b"1\n\"two\"\n");
    }
}
