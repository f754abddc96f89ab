//! `updates sandbox`: what modules may do, in words.

mod grant;

use updates::process::CancelToken;
use updates::record::ExitStatus;

use super::Session;
use super::args::SandboxCommand;
use super::error::CliError;

/// Runs one of the commands.
pub fn sandbox(session: &Session<'_>, cancel: CancelToken, command: &SandboxCommand) -> Result<ExitStatus, CliError> {
    match command {
        SandboxCommand::Grant { module, yes } => grant::grant(session, cancel, module, *yes),
    }
}
