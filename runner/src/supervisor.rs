//! The line to the supervisor: the runner's standard input and output.
//!
//! Writing blocks, because the supervisor always reads; what is written is collected and leaves in large pieces. The
//! end of the line is the death of the supervisor, and the end of everything here.

use std::io::{self, Read};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use updates_protocol::{Frame, FrameReader, MAX_START, RunnerMessage, SupervisorMessage, write_frame};

const FLUSH_AT: usize = 256 << 10;

/// Why the runner can't go on: there is nobody whom it could tell.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The supervisor closed its end.
    #[error("the supervisor is gone")]
    Gone,
    /// The supervisor's line can't be read or written.
    #[error("the line to the supervisor: {0}")]
    Line(#[from] io::Error),
    /// The supervisor wrote something that is no message.
    #[error("the supervisor wrote a line that is no message: {0}")]
    Malformed(#[source] serde_json::Error),
    /// The supervisor wrote a line that is too long.
    #[error("the supervisor wrote a line of {0} bytes, more than the {MAX_START} that are allowed")]
    TooLong(usize),
}

/// The supervisor, as the runner sees it.
#[derive(Debug)]
pub struct Supervisor {
    reader: FrameReader,
    written: Vec<u8>,
}

impl Supervisor {
    /// The supervisor at the other end of standard input and output.
    pub fn new() -> Self {
        Self { reader: FrameReader::new(MAX_START), written: Vec::new() }
    }

    /// Collects a message; it leaves at the next `flush`, or now when there is much.
    pub fn send(&mut self, message: &RunnerMessage) -> Result<(), Lost> {
        write_frame(&mut self.written, message)?;
        if self.written.len() >= FLUSH_AT { self.flush() } else { Ok(()) }
    }

    /// Writes everything that was sent.
    pub fn flush(&mut self) -> Result<(), Lost> {
        let mut rest = &self.written[..];
        while !rest.is_empty() {
            match rustix::io::write(rustix::stdio::stdout(), rest) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                // The supervisor may have made its end, and with some files that is ours as well, non-blocking.
                Err(Errno::AGAIN) => wait_for(PollFlags::OUT)?,
                Err(Errno::PIPE) => return Err(Lost::Gone),
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        self.written.clear();
        Ok(())
    }

    /// Whether there is something to read at once.
    pub fn has_spoken(&self) -> bool {
        let stdin = rustix::stdio::stdin();
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&now)), Ok(1..))
    }

    /// Reads once. To be called when there is something to read, or to wait for it.
    pub fn read(&mut self) -> Result<(), Lost> {
        match self.reader.fill(&mut Input) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Lost::Gone),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The next line that was read, handed to `parse`.
    pub fn next_line<T>(
        &mut self,
        parse: impl FnOnce(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<Option<T>, Lost> {
        match self.reader.next_frame() {
            None => Ok(None),
            Some(Frame::Line(line)) => parse(line).map(Some).map_err(Lost::Malformed),
            Some(Frame::TooLong(length)) => Err(Lost::TooLong(length)),
        }
    }

    /// The next message that was read. The inner `None` is a message of a type that this runner does not know.
    pub fn next_message(&mut self) -> Result<Option<Option<SupervisorMessage>>, Lost> {
        self.next_line(|line| match serde_json::from_slice(line) {
            Ok(message) => Ok(Some(message)),
            Err(error) => match serde_json::from_slice::<Tag>(line) {
                Ok(Tag { r#type }) if !["start", "reply", "cancel"].contains(&r#type.as_str()) => Ok(None),
                _ => Err(error),
            },
        })
    }
}

#[derive(serde::Deserialize)]
struct Tag {
    r#type: String,
}

// Unbuffered, unlike std's: what std had read ahead would be invisible to poll(2).
struct Input;

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(rustix::stdio::stdin(), buffer)?)
    }
}

fn wait_for(flags: PollFlags) -> Result<(), Lost> {
    let stdout = rustix::stdio::stdout();
    match poll(&mut [PollFd::new(&stdout, flags)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(io::Error::from(error).into()),
    }
}
