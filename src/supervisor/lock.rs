//! One run at a time: a lock whose holder is named, and whose value is an argument of whatever changes the machine.
//!
//! Who has it also has the turn: no runner of an earlier supervisor lives any more, and none that is late will start.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::{FdFlags, fcntl_setfd};
use updates_protocol::Turn;

use crate::fs::{IoContext, PathError};

/// How long the runners of a supervisor that was killed may take to end; they do at once, but for an overloaded machine.
const LEFT_BEHIND: Duration = Duration::from_secs(30);
/// flock(2) has no timeout of its own.
const PAUSE: Duration = Duration::from_millis(20);

/// Proof that no other run is under way below this root. Dropped, or the process gone, it is free again: the kernel
/// drops an flock(2) with its holder, so that no stale lock can be left.
#[derive(Debug)]
#[must_use]
pub struct RunLock {
    file: File,
    turn: Turn,
}

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run holds it.
    #[error("another run holds {}{holder}; --wait waits for it", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// ` (process 1234)`, where it is known.
        holder: String,
    },
    /// What a killed run left behind does not end.
    #[error(
        "a module of a run that was killed is still being ended, which should take no time; `fuser -v {}` shows its runner",
        path.display()
    )]
    LeftBehind {
        /// The file that the runner holds.
        path: PathBuf,
    },
    /// The file can't be made.
    #[error(transparent)]
    Io(#[from] PathError),
}

impl RunLock {
    /// Takes the lock at `path`, waiting up to `wait` for another run to end.
    ///
    /// `stop` is asked while waiting; true gives up.
    pub fn take(path: &Path, wait: Duration, stop: impl Fn() -> bool) -> Result<Self, LockError> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).at("create", parent)?;
        }
        Self::of(open(path)?, path, wait, stop)
    }

    /// The lock that this process was given when it was executed, as the descriptor that [`RunLock::hand_on`] named. One
    /// that is something else by now is left alone, and the lock is taken.
    pub fn inherit(descriptor: RawFd, path: &Path, wait: Duration, stop: impl Fn() -> bool) -> Result<Self, LockError> {
        let same = |left: &fs::Metadata, right: &fs::Metadata| (left.dev(), left.ino()) == (right.dev(), right.ino());
        if let Some(file) = super::inherited::take(descriptor)
            && let (Ok(given), Ok(named)) = (file.metadata(), fs::metadata(path))
            && same(&given, &named)
        {
            return Self::of(file, path, wait, stop);
        }
        Self::take(path, wait, stop)
    }

    /// Lets whatever this process executes hold the lock on; the number is for [`RunLock::inherit`].
    pub fn hand_on(&self) -> std::io::Result<RawFd> {
        fcntl_setfd(&self.file, FdFlags::empty())?;
        Ok(self.file.as_raw_fd())
    }

    /// Takes [`RunLock::hand_on`] back: what is executed from now on does not hold it.
    pub fn keep(&self) -> std::io::Result<()> {
        Ok(fcntl_setfd(&self.file, FdFlags::CLOEXEC)?)
    }

    // An flock(2) belongs to the open file: for one that was inherited, it is there already.
    fn of(mut file: File, path: &Path, wait: Duration, stop: impl Fn() -> bool) -> Result<Self, LockError> {
        if !exclusive(&file, path, wait, &stop)? {
            return Err(LockError::Held { path: path.to_owned(), holder: holder(&mut file) });
        }
        // For people alone; that it is not durable does no harm.
        file.set_len(0).at("write", path)?;
        write!(file, "{}", std::process::id()).at("write", path)?;
        Ok(Self { file, turn: take_turn(&path.with_file_name("turn"), &stop)? })
    }

    /// What a runner has to hold.
    pub fn turn(&self) -> &Turn {
        &self.turn
    }
}

// The lock is free the moment a supervisor dies; its runner needs another moment to see that, and to end the module.
fn take_turn(path: &Path, stop: &impl Fn() -> bool) -> Result<Turn, LockError> {
    let mut file = open(path)?;
    if !exclusive(&file, path, Duration::ZERO, stop)? {
        tracing::info!("waiting for what a killed run left behind to end");
        if !exclusive(&file, path, LEFT_BEHIND, stop)? {
            return Err(LockError::LeftBehind { path: path.to_owned() });
        }
    }
    // Never the same twice, for a runner that is late must not take it for its own.
    let mut random = [0; 8];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(std::io::Error::from)
        .at("draw a name for", path)?;
    let name = format!("{} {:016x}", std::process::id(), u64::from_ne_bytes(random));
    file.set_len(0).at("write", path)?;
    file.write_all(name.as_bytes()).at("write", path)?;
    Ok(Turn { file: path.to_owned(), name })
}

fn open(path: &Path) -> Result<File, PathError> {
    File::options().create(true).truncate(false).read(true).write(true).mode(0o600).open(path).at("open", path)
}

/// Whether the lock was had before `wait` was over or `stop` said true.
fn exclusive(file: &File, path: &Path, wait: Duration, stop: &impl Fn() -> bool) -> Result<bool, PathError> {
    let until = Instant::now() + wait;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).at("lock", path),
        }
        if Instant::now() >= until || stop() {
            return Ok(false);
        }
        std::thread::sleep(PAUSE);
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(20).read_to_string(&mut text));
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!(" (process {pid})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_refused_and_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/lock");
        let held = RunLock::take(&path, Duration::ZERO, || false).unwrap();
        let error = RunLock::take(&path, Duration::ZERO, || false).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(held);
        drop(RunLock::take(&path, Duration::ZERO, || false).unwrap());
    }

    #[test]
    fn nobody_has_the_lock_while_a_runner_of_an_earlier_supervisor_lives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/lock");
        let first = RunLock::take(&path, Duration::ZERO, || false).unwrap();
        let runner = File::open(&first.turn().file).unwrap();
        flock(&runner, FlockOperation::NonBlockingLockShared).unwrap();
        drop(first);
        let error = RunLock::take(&path, Duration::ZERO, || true).unwrap_err();
        assert!(matches!(error, LockError::LeftBehind { .. }), "{error}");
        drop(runner);
        drop(RunLock::take(&path, Duration::ZERO, || false).unwrap());
    }

    #[test]
    fn each_turn_has_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let turn = || RunLock::take(&path, Duration::ZERO, || false).unwrap().turn().clone();
        let (first, second) = (turn(), turn());
        assert_ne!(first.name, second.name);
        assert_eq!(fs::read_to_string(&second.file).unwrap(), second.name);
        assert!(second.name.len() <= Turn::MAX_NAME);
    }
}
