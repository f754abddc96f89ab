//! One call of a small program that answers a question: a verifier of signatures, a helper that knows a password.
//!
//! It gets a clean environment, a home of its own, no terminal, a deadline, and a bound on what is read of it. What it
//! wrote is kept in memory alone, since it may be a secret. It runs in a process group of its own, which ends with it.

use std::ffi::OsStr;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// The most that is read of each of its outputs, in bytes; more ends it.
const LONGEST: usize = 256 << 10;
/// Where programs are when the environment does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a program answered.
pub(super) struct Answer {
    /// Whether it ended with 0.
    pub success: bool,
    /// What it wrote on standard output.
    pub stdout: Vec<u8>,
    /// What it wrote on standard error.
    pub stderr: Vec<u8>,
}

/// Why there is no answer. Says nothing of what the program was told or wrote.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("there is no {0}")]
    Missing(String),
    #[error("cannot run {program}: {source}")]
    Run { program: String, source: io::Error },
    #[error("{program} did not end within {} seconds", after.as_secs())]
    TooLong { program: String, after: Duration },
    #[error("{0} wrote more than {LONGEST} bytes")]
    TooMuch(String),
}

/// Runs `program`, looked up in PATH unless it is a path, with `input` on its standard input and `home` as its HOME.
pub(super) fn call(
    program: &Path,
    arguments: &[&OsStr],
    input: &[u8],
    home: &Path,
    timeout: Duration,
) -> Result<Answer, CallError> {
    let name = || program.display().to_string();
    let failed = |source: io::Error| CallError::Run { program: name(), source };
    // A file takes any amount without a reader, so that nothing here can block.
    let mut stdin = tempfile::tempfile().map_err(failed)?;
    stdin.write_all(input).and_then(|()| stdin.rewind()).map_err(failed)?;
    let spawned = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| PATH.into()))
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env("HOME", home)
        .env("GIT_TERMINAL_PROMPT", "0")
        .current_dir(home)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let mut child = match spawned {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(CallError::Missing(name())),
        other => other.map_err(failed)?,
    };
    let heard = hear(&mut child, Instant::now() + timeout);
    // Our own group, whose leader has not been waited for: the number can't have become another's.
    kill_process_group(Pid::from_child(&child), Signal::KILL).ok();
    let status = child.wait().map_err(failed)?;
    match heard.map_err(failed)? {
        Heard::Ended([stdout, stderr]) => Ok(Answer { success: status.success(), stdout, stderr }),
        Heard::TooLong => Err(CallError::TooLong { program: name(), after: timeout }),
        Heard::TooMuch => Err(CallError::TooMuch(name())),
    }
}

enum Heard {
    Ended([Vec<u8>; 2]),
    TooLong,
    TooMuch,
}

fn hear(child: &mut Child, deadline: Instant) -> io::Result<Heard> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    for pipe in [out.as_fd(), err.as_fd()] {
        fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
    }
    let mut heard = [Vec::new(), Vec::new()];
    let mut open = [true, true];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut fds = vec![PollFd::new(&pidfd, PollFlags::IN)];
        // A pipe that is at its end would be ready for ever.
        fds.extend(open[0].then(|| PollFd::new(&out, PollFlags::IN)));
        fds.extend(open[1].then(|| PollFd::new(&err, PollFlags::IN)));
        match poll(&mut fds, Some(&timeout)) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let ended = !fds[0].revents().is_empty();
        drop(fds);
        // What it wrote before its end is in the pipe by then; a child that it left behind is not waited for.
        for (index, pipe) in [&mut out as &mut dyn Read, &mut err].into_iter().enumerate() {
            if open[index] {
                open[index] = drain(pipe, &mut heard[index])?;
            }
        }
        if heard.iter().any(|bytes| bytes.len() > LONGEST) {
            return Ok(Heard::TooMuch);
        }
        if ended {
            return Ok(Heard::Ended(heard));
        }
        if Instant::now() >= deadline {
            return Ok(Heard::TooLong);
        }
    }
}

// Reads what is there; false at the end of the pipe.
fn drain(pipe: &mut dyn Read, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0; 8192];
    while into.len() <= LONGEST {
        match pipe.read(&mut chunk) {
            Ok(0) => return Ok(false),
            Ok(count) => into.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, input: &[u8], seconds: u64) -> Result<Answer, CallError> {
        let arguments = ["-c".as_ref(), script.as_ref()];
        call(Path::new("/bin/sh"), &arguments, input, Path::new("/"), Duration::from_secs(seconds))
    }

    #[test]
    fn a_program_gets_its_input_and_nothing_of_the_environment() {
        let answer = shell("cat; env >&2; exit 3", b"word", 60).unwrap();
        assert!(!answer.success);
        assert_eq!(answer.stdout, b"word");
        let environment = String::from_utf8(answer.stderr).unwrap();
        assert!(!environment.contains("CARGO") && environment.contains("GIT_TERMINAL_PROMPT=0"), "{environment}");
    }

    #[test]
    fn a_flood_a_hang_and_a_child_left_behind_end() {
        assert!(matches!(shell("cat /dev/zero", b"", 60), Err(CallError::TooMuch(_))));
        assert!(matches!(shell("sleep 1000", b"", 1), Err(CallError::TooLong { .. })));
        assert_eq!(shell("sleep 1000 & echo done", b"", 60).unwrap().stdout, b"done\n");
        let missing = call(Path::new("no-such-program"), &[], b"", Path::new("/"), Duration::from_secs(1));
        assert!(matches!(missing, Err(CallError::Missing(_))));
    }
}
