//! The runner as a process: spawned with pipes that never block, watched through a pidfd, killed and reaped when dropped.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How long a killed runner may take to be gone; longer only when the kernel holds it in an uninterruptible wait.
pub(super) const DEATH: Duration = Duration::from_secs(DEATH_SECONDS as u64);
const DEATH_SECONDS: u32 = 5;
/// How much of the runner's standard error is kept, in bytes.
const STDERR: usize = 4 << 10;

/// How to start a runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerCommand {
    /// The program, by absolute path.
    pub program: PathBuf,
}

/// A running runner. Everything that it started is gone with it: its init dies by its parent-death signal.
///
/// That signal comes when the *thread* that spawned the runner ends (prctl(2), PR_SET_PDEATHSIG), so a runner must not
/// outlive the call that spawned it.
#[derive(Debug)]
pub(super) struct Runner {
    child: Child,
    pub(super) pidfd: OwnedFd,
    pub(super) stdin: ChildStdin,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
    stderr_tail: Vec<u8>,
    status: Option<ExitStatus>,
}

impl Runner {
    pub(super) fn spawn(command: &RunnerCommand) -> io::Result<Self> {
        let mut child = Command::new(&command.program)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C on the terminal is for the supervisor, which then ends its modules in order.
            .process_group(0)
            .spawn()?;
        match Self::pipes(&mut child) {
            Ok((pidfd, stdin, stdout, stderr)) => Ok(Self {
                child,
                pidfd,
                stdin,
                stdout: Some(stdout),
                stderr: Some(stderr),
                stderr_tail: Vec::new(),
                status: None,
            }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    fn pipes(child: &mut Child) -> io::Result<(OwnedFd, ChildStdin, ChildStdout, ChildStderr)> {
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("the pipes of the runner are missing"));
        };
        rustix::io::ioctl_fionbio(&stdin, true)?;
        rustix::io::ioctl_fionbio(&stdout, true)?;
        rustix::io::ioctl_fionbio(&stderr, true)?;
        Ok((pidfd_open(Pid::from_child(child), PidfdFlags::empty())?, stdin, stdout, stderr))
    }

    /// Sends SIGKILL. A runner that has ended already is no error.
    pub(super) fn kill(&self) {
        // ESRCH is the only way for this to fail: the signal is valid, and our own child needs no permission.
        pidfd_send_signal(&self.pidfd, Signal::KILL).ok();
    }

    /// Reads one piece of standard error; keeps the newest bytes.
    pub(super) fn read_stderr(&mut self) {
        let Some(stderr) = &mut self.stderr else { return };
        let mut piece = [0; STDERR];
        match stderr.read(&mut piece) {
            Ok(count) if count > 0 => {
                self.stderr_tail.extend_from_slice(&piece[..count]);
                let excess = self.stderr_tail.len().saturating_sub(STDERR);
                self.stderr_tail.drain(..excess);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            _ => self.stderr = None,
        }
    }

    /// The end of what it wrote on standard error, for a person.
    pub(super) fn stderr_tail(&self) -> String {
        String::from_utf8_lossy(&self.stderr_tail).trim().to_owned()
    }

    /// How it ended; `None` while it has not.
    pub(super) fn status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if self.status().is_some() {
            return;
        }
        self.kill();
        let timeout = Timespec { tv_sec: i64::from(DEATH_SECONDS), tv_nsec: 0 };
        // Whether it is gone after this wait or not: nothing more can be done about it here.
        poll(&mut [PollFd::from_borrowed_fd(self.pidfd.as_fd(), PollFlags::IN)], Some(&timeout)).ok();
        self.status();
    }
}
