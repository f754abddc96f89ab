//! One call of a database's client program: in a process group of its own, with a clean environment, a bound on its time
//! and on what is kept of its answer, and as another user of the system where the server goes by that.
//!
//! Programs are found in `PATH` and in the folders that packages keep their versions in. Nothing goes through a shell,
//! and nothing is written to disk but what the caller hands over as output.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::{Uid, User};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, OFlags, fcntl_getfl, fcntl_setfl, memfd_create};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::access::Bounds;
use super::orphan::end_with_this_thread;

/// The most that is read of an answer, in bytes.
const LONGEST_ANSWER: usize = 16 << 20;
/// The most that is told of its complaints, in bytes; the newest, since the reason comes last.
const LONGEST_COMPLAINT: usize = 2 << 10;

/// Why a client gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// It could not be started or listened to.
    #[error("{} can't be run: {source}", program.display())]
    Run {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It ended, and not well.
    #[error("{} failed ({status}): {message}", name(program))]
    Failed { program: PathBuf, status: ExitStatus, message: String },
    /// It did not end.
    #[error("{} did not end within {after:?}: {message}", name(program))]
    TooLong { program: PathBuf, after: Duration, message: String },
    /// It answers without end.
    #[error("{} answered more than {LONGEST_ANSWER} bytes", name(program))]
    TooMuch { program: PathBuf },
    /// Nobody wants the answer any more.
    #[error("interrupted")]
    Interrupted,
}

/// A client program that is about to be run.
#[derive(Debug)]
#[must_use]
pub(super) struct Client {
    program: PathBuf,
    command: Command,
}

impl Client {
    /// Prepares `program`, an absolute path, with no environment but the one given here. Without `user` it runs as this
    /// process does.
    pub fn new(program: PathBuf, user: Option<&User>) -> Self {
        let mut command = Command::new(&program);
        let home = match user {
            Some(user) => Some(user.dir.clone()),
            None => User::from_uid(Uid::effective()).ok().flatten().map(|user| user.dir),
        };
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .env("HOME", home.as_deref().unwrap_or(Path::new("/nonexistent")))
            .current_dir("/")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            // Whatever it starts ends with it, and Ctrl-C on the terminal is for the supervisor alone.
            .process_group(0);
        if let Some(user) = user {
            // The standard library gives up the supplementary groups with the first change of user.
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        end_with_this_thread(&mut command);
        Self { program, command }
    }

    /// Adds arguments. Anyone can read them: nothing secret belongs here.
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable. Only root and the user it runs as can read it, from `/proc/PID/environ`.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives it `file` to read on standard input, from where the file stands.
    pub fn input(mut self, file: File) -> Self {
        self.command.stdin(file);
        self
    }

    /// Runs it, and returns what it wrote on standard output.
    pub fn answer(mut self, bounds: Bounds<'_>) -> Result<Vec<u8>, ClientError> {
        self.command.stdout(Stdio::piped());
        self.run(bounds)
    }

    /// Runs it with standard output in `file`.
    pub fn write_to(mut self, file: File, bounds: Bounds<'_>) -> Result<(), ClientError> {
        self.command.stdout(file);
        self.run(bounds).map(drop)
    }

    fn run(mut self, bounds: Bounds<'_>) -> Result<Vec<u8>, ClientError> {
        let program = self.program;
        let failed = |source| ClientError::Run { program: program.clone(), source };
        let mut child = self.command.spawn().map_err(failed)?;
        let mut heard = Heard::default();
        let waited = wait(&mut child, &mut heard, bounds);
        if !matches!(waited, Ok(Waited::Ended)) {
            // Our own group, whose leader has not been waited for: the number can't have become another's.
            kill_process_group(Pid::from_child(&child), Signal::KILL).ok();
        }
        let status = child.wait().map_err(failed)?;
        let message = String::from_utf8_lossy(&heard.complaint).trim().to_owned();
        match waited.map_err(failed)? {
            Waited::Interrupted => Err(ClientError::Interrupted),
            Waited::TooLong => Err(ClientError::TooLong { program, after: bounds.timeout, message }),
            Waited::TooMuch => Err(ClientError::TooMuch { program }),
            Waited::Ended if status.success() => Ok(heard.answer),
            Waited::Ended => Err(ClientError::Failed { program, status, message }),
        }
    }
}

/// How a wait ended.
enum Waited {
    Ended,
    Interrupted,
    TooLong,
    TooMuch,
}

#[derive(Default)]
struct Heard {
    answer: Vec<u8>,
    complaint: Vec<u8>,
}

impl Heard {
    /// Takes what there is to read. `false` when more was answered than is kept.
    fn listen(&mut self, child: &mut Child) -> io::Result<bool> {
        if let Some(output) = &mut child.stdout
            && take(output, &mut self.answer, LONGEST_ANSWER)?
        {
            child.stdout = None;
        }
        if let Some(errors) = &mut child.stderr {
            let ended = take(errors, &mut self.complaint, usize::MAX)?;
            self.complaint.drain(..self.complaint.len().saturating_sub(LONGEST_COMPLAINT));
            if ended {
                child.stderr = None;
            }
        }
        Ok(self.answer.len() <= LONGEST_ANSWER)
    }
}

/// Reads what is there now, a bounded amount at a time. Whether the pipe has ended.
fn take(pipe: &mut impl Read, into: &mut Vec<u8>, limit: usize) -> io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    for _ in 0..64 {
        match pipe.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(count) => into.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if into.len() > limit {
            return Ok(false);
        }
    }
    Ok(false)
}

fn wait(child: &mut Child, heard: &mut Heard, bounds: Bounds<'_>) -> io::Result<Waited> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    for pipe in [child.stdout.as_ref().map(AsFd::as_fd), child.stderr.as_ref().map(AsFd::as_fd)].into_iter().flatten() {
        fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
    }
    let begun = Instant::now();
    loop {
        let left = bounds.timeout.saturating_sub(begun.elapsed());
        // Waits are bounded by a deadline of days at most, which always fits.
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut fds = vec![PollFd::new(&pidfd, PollFlags::IN)];
        let interrupt = bounds.interrupt.map(|interrupt| {
            fds.push(PollFd::from_borrowed_fd(interrupt, PollFlags::IN));
            fds.len() - 1
        });
        fds.extend(child.stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        fds.extend(child.stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        match poll(&mut fds, Some(&timeout)) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let ended = !fds[0].revents().is_empty();
        let interrupted = interrupt.is_some_and(|at| !fds[at].revents().is_empty());
        drop(fds);
        // After its end too: its last words are in the pipes still.
        if !heard.listen(child)? {
            return Ok(Waited::TooMuch);
        }
        if ended {
            return Ok(Waited::Ended);
        }
        if interrupted {
            return Ok(Waited::Interrupted);
        }
        if begun.elapsed() >= bounds.timeout {
            return Ok(Waited::TooLong);
        }
    }
}

/// A file in memory with this content, to be read from its beginning: the input of a client that is too long for an
/// argument, or nobody else's business.
pub(super) fn in_memory(content: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("updates", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

/// The system's user of that name, where this process may become it.
pub(super) fn system_user(name: &str) -> Option<User> {
    if !Uid::effective().is_root() {
        return None;
    }
    User::from_name(name).ok().flatten()
}

/// The absolute folders of `PATH`, in its order; the usual ones where there is none.
pub(super) fn path_folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    std::env::split_paths(&path).filter(|folder| folder.is_absolute()).collect()
}

/// The first of these programs that `PATH` has.
pub(super) fn find(names: &[&str]) -> Option<PathBuf> {
    let folders = path_folders();
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| is_program(path))
}

/// Whether a file can be run.
pub(super) fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

fn name(program: &Path) -> String {
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}
