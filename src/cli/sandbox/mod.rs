//! `updates sandbox`: what a module may do, and what it needs.

mod learn;

use updates::process::CancelToken;
use updates::record::ExitStatus;

use super::Session;
use super::args::SandboxCommand;
use super::error::CliError;

/// `updates sandbox`
pub fn sandbox(session: &Session<'_>, cancel: CancelToken, command: &SandboxCommand) -> Result<ExitStatus, CliError> {
    match command {
        SandboxCommand::Learn(arguments) => learn::learn(session, cancel, arguments),
    }
}
