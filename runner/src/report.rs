//! The report of the set-up: a pipe that the module's process loses by exec, so that its end means "the module runs".
//!
//! Init and the module's process each write to it before anything of the module is executed, one JSON object a line.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};
use updates_protocol::{Enforcement, SetupFailure};

/// In characters; a pipe may hold no more than 4 KiB.
const MAX_REASON: usize = 1000;

#[derive(Serialize, Deserialize)]
enum Line {
    Confined(Enforcement),
    Failed(SetupFailure),
}

/// What the set-up came to.
#[derive(Debug)]
pub enum Setup {
    /// It is still going on.
    Pending,
    /// The module's first instruction follows.
    Executed(Enforcement),
    /// A step failed.
    Failed(SetupFailure),
    /// Everybody who could have reported is dead.
    Silent,
}

/// The end that is read.
#[derive(Debug)]
pub struct ReportReader {
    pipe: File,
    bytes: Vec<u8>,
}

/// The end that is written.
#[derive(Debug)]
pub struct ReportWriter(File);

/// A new report.
pub fn report() -> io::Result<(ReportReader, ReportWriter)> {
    // Neither end blocks: the runner waits for other things as well, and as it wakes up at the end of the report alone, a
    // report that did not fit would wait for ever.
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    Ok((ReportReader { pipe: reader.into(), bytes: Vec::new() }, ReportWriter(writer.into())))
}

impl ReportReader {
    /// Takes in what there is.
    pub fn read(&mut self) -> io::Result<Setup> {
        match self.pipe.read_to_end(&mut self.bytes) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Setup::Pending),
            Err(error) => return Err(error),
        }
        let mut setup = Setup::Silent;
        for line in self.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            setup = match serde_json::from_slice(line)? {
                Line::Confined(enforcement) => Setup::Executed(enforcement),
                Line::Failed(failure) => return Ok(Setup::Failed(failure)),
            };
        }
        Ok(setup)
    }
}

impl ReportWriter {
    /// Everything is applied; exec is next. One write(2) and no more.
    pub fn confined(&self, report: &Prepared) -> io::Result<()> {
        (&self.0).write_all(&report.0)
    }

    /// A step failed.
    pub fn failed(&self, mut failure: SetupFailure) -> io::Result<()> {
        failure.reason = failure.reason.chars().take(MAX_REASON).collect();
        self.write(&Line::Failed(failure))
    }

    fn write(&self, line: &Line) -> io::Result<()> {
        (&self.0).write_all(&line.to_bytes()?)
    }
}

/// A report that needs nothing more but to be written.
#[derive(Debug)]
pub struct Prepared(Vec<u8>);

impl Prepared {
    /// What was applied.
    pub fn confined(enforcement: Enforcement) -> io::Result<Self> {
        Line::Confined(enforcement).to_bytes().map(Self)
    }
}

impl Line {
    fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

impl AsFd for ReportReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
