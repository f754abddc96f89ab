//! What can go wrong on the command line, and the exit code of each.

use std::io;
use std::path::PathBuf;

use updates::catalog::{DocumentError, SettingsError};
use updates::config::ConfigError;
use updates::fs::PathError;
use updates::history::HistoryError;
use updates::record::ExitStatus;
use updates::state::StateError;
use updates::supervisor::{BackupError, LearnError, ProgramError, RunError};

use super::installation::NotInstalled;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// `--root` can't be used.
    #[error("--root {}: {reason}", root.display())]
    Root {
        /// As given.
        root: PathBuf,
        /// Why.
        reason: String,
    },
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The program's parts are missing.
    #[error(transparent)]
    NotInstalled(#[from] NotInstalled),
    /// The run could not be begun or go on.
    #[error(transparent)]
    Run(#[from] RunError),
    /// There was nothing to learn.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// Something about backups could not be done.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// Something about the program's own versions could not be done.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A slot can't be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The installed modules can't be read.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A file of the catalog can't be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A local setting can't be written.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The database can't be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// The result can't be printed.
    #[error("cannot print the result: {0}")]
    Print(#[from] io::Error),
    /// Signals can't be waited for.
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] io::Error),
    /// There was nobody to ask.
    #[error("{0}")]
    NotAsked(String),
    /// Not root.
    #[error("{0}")]
    NotRoot(String),
}

impl CliError {
    /// The exit status that the error means.
    pub fn status(&self) -> ExitStatus {
        match self {
            CliError::Root { .. }
            | CliError::Config(_)
            | CliError::NotFound(_)
            | CliError::NotAsked(_)
            | CliError::NotRoot(_) => ExitStatus::Usage,
            CliError::Run(error) | CliError::Learn(LearnError::Run(error)) => error.status(),
            CliError::Backup(error) => error.status(),
            CliError::Program(error) => error.status(),
            CliError::Settings(SettingsError::UnknownModule { .. } | SettingsError::UnknownComponent { .. }) => {
                ExitStatus::Usage
            }
            _ => ExitStatus::InternalError,
        }
    }

    /// Whether the reader of our output went away, as `head` does.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, CliError::Print(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
