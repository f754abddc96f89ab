//! The way of what was traced from init to the runner: a pipe, one JSON object a line, each different call once.
//!
//! Init writes and waits when the pipe is full. The runner reads as long as it lives, and when it dies init dies with
//! it, so neither waits for ever. Nothing of the module ever holds an end of it.

use std::collections::HashSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use updates_protocol::{Frame, FrameReader, MAX_LINE, TracedCall};

/// How many different calls are told of.
const MOST: usize = 20_000;

/// The end that is read. Reading does not block.
#[derive(Debug)]
pub struct TraceReader {
    pipe: File,
    frames: FrameReader,
    open: bool,
}

/// The end that is written.
#[derive(Debug)]
pub struct TraceWriter {
    pipe: File,
    /// Hashes of what was told of, since the paths themselves could be 80 MiB.
    told: HashSet<u64>,
}

/// A new pipe for what is traced.
pub fn trace() -> io::Result<(TraceReader, TraceWriter)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&reader, OFlags::NONBLOCK)?;
    let reader = TraceReader { pipe: reader.into(), frames: FrameReader::new(MAX_LINE), open: true };
    Ok((reader, TraceWriter { pipe: writer.into(), told: HashSet::new() }))
}

impl TraceReader {
    /// Reads once and hands each call to `hear`; whether there may be more.
    pub fn read<E: From<io::Error>>(&mut self, mut hear: impl FnMut(TracedCall) -> Result<(), E>) -> Result<bool, E> {
        match self.frames.fill(&mut self.pipe) {
            Ok(more) => self.open = more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error.into()),
        }
        while let Some(frame) = self.frames.next_frame() {
            // Half a line is what an init that was killed leaves behind.
            if let Frame::Line(line) = frame
                && let Ok(call) = serde_json::from_slice(line)
            {
                hear(call)?;
            }
        }
        Ok(self.open)
    }

    /// Whether more may come.
    pub fn is_open(&self) -> bool {
        self.open
    }
}

impl TraceWriter {
    /// Tells of a call, unless an equal one was told of.
    pub(super) fn tell(&mut self, call: &TracedCall) {
        if self.told.len() > MOST {
            return;
        }
        let mut hasher = DefaultHasher::new();
        call.hash(&mut hasher);
        if !self.told.insert(hasher.finish()) {
            return;
        }
        if self.told.len() > MOST {
            let about = Some(format!("more than {MOST} different calls: the rest is not told of"));
            self.write(&TracedCall { call: "trace".to_owned(), path: None, about, write: false, error: None });
        } else {
            self.write(call);
        }
    }

    // Without a reader there is no runner, and init is about to be killed.
    fn write(&mut self, call: &TracedCall) {
        let Ok(mut line) = serde_json::to_vec(call) else { return };
        line.push(b'\n');
        self.pipe.write_all(&line).ok();
    }
}

impl AsFd for TraceReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
