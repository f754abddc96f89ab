//! One run at a time: a lock whose holder is named, and whose value is an argument of whatever changes the machine.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::fs::{IoContext, PathError};

/// Proof that no other run is under way below this root. Dropped, or the process gone, it is free again: the kernel
/// drops an flock(2) with its holder, so that no stale lock can be left.
#[derive(Debug)]
#[must_use]
pub struct RunLock {
    _file: File,
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
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(path)
            .at("open", path)?;
        let until = Instant::now() + wait;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).at("lock", path).map_err(LockError::Io),
            }
            if Instant::now() >= until || stop() {
                return Err(LockError::Held { path: path.to_owned(), holder: holder(&mut file) });
            }
            // flock(2) has no timeout of its own.
            std::thread::sleep(Duration::from_millis(50));
        }
        // For people alone; that it is not durable does no harm.
        file.set_len(0).at("write", path)?;
        write!(file, "{}", std::process::id()).at("write", path)?;
        Ok(Self { _file: file })
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
}
