//! The one question before something is changed: asked on a terminal alone, and ended by a signal as everything else.

use std::io::{BufRead, IsTerminal, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use updates::process::CancelToken;
use updates::supervisor::BackupError;

use super::super::Session;
use super::super::error::CliError;

/// What a person said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Yes,
    /// Leave it.
    No,
    /// Nobody could be asked.
    NoTerminal,
}

/// Asks `question`, unless `yes` was said on the command line. With `--json` nobody is asked.
pub fn ask(session: &Session<'_>, cancel: &CancelToken, yes: bool, question: &str) -> Result<Answer, CliError> {
    if yes {
        return Ok(Answer::Yes);
    }
    let stdin = std::io::stdin();
    if session.global.json || !stdin.is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(Answer::NoTerminal);
    }
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(format!("{question} [y/N] ").as_bytes())?;
    stderr.flush()?;
    // Signals are read by a thread of their own, so that reading here would go on after Ctrl-C.
    let mut ready = [PollFd::new(&stdin, PollFlags::IN), PollFd::from_borrowed_fd(cancel.as_fd(), PollFlags::IN)];
    while let Err(error) = poll(&mut ready, None) {
        if error != rustix::io::Errno::INTR {
            return Err(std::io::Error::from(error).into());
        }
    }
    if cancel.reason().is_some() {
        stderr.write_all(b"\n")?;
        return Err(BackupError::Interrupted.into());
    }
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") { Answer::Yes } else { Answer::No })
}
