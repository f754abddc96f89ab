//! `self` and `self-test`: versions of this program, and whether one works here.

use updates::process::CancelToken;
use updates::record::ExitStatus;

use super::Session;
use super::args::SelfCommand;
use super::error::CliError;

/// `updates self`
pub fn program(_session: &Session<'_>, _cancel: CancelToken, _command: &SelfCommand) -> Result<ExitStatus, CliError> {
    Err(missing())
}

/// `updates self-test`
pub fn self_test(_session: &Session<'_>, _cancel: CancelToken) -> Result<ExitStatus, CliError> {
    Err(missing())
}

fn missing() -> CliError {
    CliError::NotFound("this release of updates does not update itself yet".to_owned())
}
