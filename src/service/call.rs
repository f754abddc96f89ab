//! One call of systemctl: in a process group of its own, with a bound on its time and on what is read of its answer.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::ServiceError;

/// The most that is read of an answer, in bytes.
const LONGEST_ANSWER: u64 = 4 << 20;
/// The most that is told of its complaints, in bytes; the newest, since the reason comes last.
const LONGEST_COMPLAINT: u64 = 2 << 10;

/// What ends a call that does not end by itself.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// How long it may take.
    pub timeout: Duration,
    /// Becomes readable when nobody wants the answer any more.
    pub interrupt: Option<BorrowedFd<'a>>,
}

/// How a wait ended.
enum Waited {
    Ended,
    Interrupted,
    TooLong,
}

/// Runs `program` and returns what it wrote on standard output.
pub(super) fn call(program: &Path, arguments: &[&str], bounds: Bounds<'_>) -> Result<String, ServiceError> {
    let failed = |source| ServiceError::Run { program: program.to_owned(), source };
    // Files take any amount without a reader, so that waiting is all there is to do here.
    let (mut output, mut errors) = (tempfile::tempfile().map_err(failed)?, tempfile::tempfile().map_err(failed)?);
    let spawned = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .env("SYSTEMD_COLORS", "0")
        .env("SYSTEMD_PAGER", "")
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(failed)?)
        .stderr(errors.try_clone().map_err(failed)?)
        // Whatever it starts ends with it, and Ctrl-C on the terminal is for the supervisor alone.
        .process_group(0)
        .spawn();
    let mut child = match spawned {
        Err(error) if error.kind() == io::ErrorKind::NotFound && program == Path::new("systemctl") => {
            return Err(ServiceError::NotRunning { why: "there is no systemctl".to_owned() });
        }
        other => other.map_err(failed)?,
    };
    let waited = wait(&child, bounds);
    if !matches!(waited, Ok(Waited::Ended)) {
        // Our own group, whose leader has not been waited for: the number can't have become another's.
        kill_process_group(Pid::from_child(&child), Signal::KILL).ok();
    }
    let status = child.wait().map_err(failed)?;
    match waited.map_err(failed)? {
        Waited::Interrupted => return Err(ServiceError::Interrupted { program: program.to_owned() }),
        Waited::TooLong => return Err(ServiceError::Timeout { program: program.to_owned(), after: bounds.timeout }),
        Waited::Ended if status.success() => return head(&mut output).map_err(failed),
        Waited::Ended => {}
    }
    let message = tail(&mut errors).map_err(failed)?;
    if message.contains("not been booted with systemd") || message.contains("Failed to connect to bus") {
        let why = message.lines().next().unwrap_or_default().trim_end_matches('.').to_owned();
        return Err(ServiceError::NotRunning { why });
    }
    Err(ServiceError::Failed { program: program.to_owned(), status, message })
}

fn wait(child: &Child, bounds: Bounds<'_>) -> io::Result<Waited> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let begun = Instant::now();
    loop {
        let left = bounds.timeout.saturating_sub(begun.elapsed());
        // Waits are bounded by a deadline of days at most, which always fits.
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut fds = vec![PollFd::new(&pidfd, PollFlags::IN)];
        fds.extend(bounds.interrupt.map(|interrupt| PollFd::from_borrowed_fd(interrupt, PollFlags::IN)));
        match poll(&mut fds, Some(&timeout)) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        if !fds[0].revents().is_empty() {
            return Ok(Waited::Ended);
        }
        if fds.get(1).is_some_and(|interrupt| !interrupt.revents().is_empty()) {
            return Ok(Waited::Interrupted);
        }
        if begun.elapsed() >= bounds.timeout {
            return Ok(Waited::TooLong);
        }
    }
}

fn head(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    read(file, LONGEST_ANSWER)
}

fn tail(file: &mut File) -> io::Result<String> {
    let length = file.metadata()?.len();
    file.seek(io::SeekFrom::Start(length.saturating_sub(LONGEST_COMPLAINT)))?;
    Ok(read(file, LONGEST_COMPLAINT)?.trim().to_owned())
}

fn read(file: &File, limit: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
