//! Standard output and standard error of the module: lines for the log, and for executables protocol on the former.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use memchr::memmem;
use rustix::io::Errno;
use serde::Deserialize;
use updates_protocol::{LogSource, Message, parse_module_line};

use super::clip::note;
use super::lines::{Lines, Sink};
use super::module::{MODULE_RESULT, Module};
use crate::supervisor::Lost;

const READ: usize = 64 << 10; // what a pipe holds

/// One of the module's two output pipes.
#[derive(Debug)]
pub(super) struct Output {
    pipe: OwnedFd,
    lines: Lines,
    source: LogSource,
    /// Whether messages of the protocol are looked for.
    protocol: bool,
    ended: bool,
}

impl Output {
    pub(super) fn new(pipe: OwnedFd, source: LogSource, protocol: bool) -> Self {
        let lines = Lines::new(if protocol { MODULE_RESULT } else { 0 });
        Self { pipe, lines, source, protocol, ended: false }
    }

    /// Whether something may still come.
    pub(super) fn is_open(&self) -> bool {
        !self.ended
    }

    /// Whether requests may come this way, so that reading has to stop while too many wait.
    pub(super) fn carries_requests(&self) -> bool {
        self.protocol
    }

    /// Reads once, into `buffer`, and passes on what is complete. Returns false when there was nothing to read.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>, module: &mut Module) -> Result<bool, Lost> {
        buffer.clear();
        buffer.reserve(READ);
        let read = rustix::io::read(&self.pipe, rustix::buffer::spare_capacity(buffer));
        if let Err(Errno::AGAIN | Errno::INTR) = read {
            return Ok(false);
        }
        // By any other error nothing was read, which is treated as the end.
        let mut sink = Printer { module, source: self.source, protocol: self.protocol, lost: None };
        self.lines.feed(buffer, &mut sink);
        if buffer.is_empty() {
            self.ended = true;
            self.lines.finish(&mut sink);
        }
        sink.lost.map_or(Ok(!buffer.is_empty()), Err)
    }

    /// Passes on an unfinished last line, whoever may still hold the pipe.
    pub(super) fn finish(&mut self, module: &mut Module) -> Result<(), Lost> {
        let mut sink = Printer { module, source: self.source, protocol: self.protocol, lost: None };
        self.lines.finish(&mut sink);
        sink.lost.map_or(Ok(()), Err)
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

struct Printer<'m> {
    module: &'m mut Module,
    source: LogSource,
    protocol: bool,
    lost: Option<Lost>,
}

impl Sink for Printer<'_> {
    fn line(&mut self, kept: &[u8], length: usize) {
        if self.lost.is_some() {
            return;
        }
        let passed = match spoken(kept, length).filter(|_| self.protocol) {
            Some(Ok(message)) => self.module.hear(Some(message)),
            Some(Err(reason)) => {
                self.module.garble(reason);
                Ok(())
            }
            None => {
                let text = String::from_utf8_lossy(kept);
                self.module.clipped(length - kept.len());
                let text = if length > kept.len() { note(&text, length - kept.len()) } else { text.into_owned() };
                self.module.print(self.source, text)
            }
        };
        self.lost = passed.err();
    }

    fn block(&mut self, lines: &[u8]) -> bool {
        let may_speak = || lines.starts_with(b"{") || memmem::find(lines, b"\n{").is_some();
        !(self.protocol && may_speak()) && self.module.print_bulk(self.source, lines)
    }
}

#[derive(Deserialize)]
struct Tag {
    r#type: String,
}

// What an executable says on standard output is protocol when it is an object of a known type; wrong members of such
// an object are an error, because a result that was meant and not understood must not pass for none.
fn spoken(line: &[u8], length: usize) -> Option<Result<Message, String>> {
    if line.first() != Some(&b'{') {
        return None;
    }
    if length > line.len() {
        let result = line.starts_with(br#"{"type":"result""#) || line.starts_with(br#"{"type": "result""#);
        return result
            .then(|| Err(format!("a result of {length} bytes on standard output; it may have {MODULE_RESULT}")));
    }
    match parse_module_line(line) {
        Ok(message) => message.map(Ok),
        Err(error) => {
            // An object of any other type has been passed over above, so this one is of a known type.
            let Tag { r#type } = serde_json::from_slice(line).ok()?;
            Some(Err(format!("a message of type {} on standard output: {error}", r#type)))
        }
    }
}
