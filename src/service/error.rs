//! Why systemd could not be asked, or did not do what it was asked for.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a unit's state is not known, or was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// systemd does not run here.
    #[error("systemd does not run on this machine ({why}), so services can be neither looked at nor controlled")]
    NotRunning {
        /// How that was found out.
        why: String,
    },
    /// systemctl can't be started, or its answer not be read.
    #[error("cannot run {}: {source}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It took too long and was killed. What systemd was asked for may still happen.
    #[error("{} did not answer within {} seconds", program.display(), after.as_secs())]
    Timeout {
        /// The program.
        program: PathBuf,
        /// How long it had.
        after: Duration,
    },
    /// Whoever asked was told to stop; it was killed. What systemd was asked for may still happen.
    #[error("{} was not waited for, because the run was interrupted", program.display())]
    Interrupted {
        /// The program.
        program: PathBuf,
    },
    /// It failed.
    #[error("{} failed ({status}): {message}", program.display())]
    Failed {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote on standard error.
        message: String,
    },
    /// Its answer is not one state for each unit.
    #[error("{} answered for {found} of {asked} units", program.display())]
    Answer {
        /// The program.
        program: PathBuf,
        /// How many units were asked for.
        asked: usize,
        /// How many whole answers there were.
        found: usize,
    },
}
