//! `doctor`: what this machine lacks for `updates` to work every night, and how to mend it.

use updates::process::CancelToken;
use updates::record::ExitStatus;

use super::Session;
use super::error::CliError;

/// `updates doctor`
pub fn doctor(_session: &Session<'_>, _cancel: CancelToken) -> Result<ExitStatus, CliError> {
    Err(CliError::NotFound("this release of updates has no doctor yet".to_owned()))
}
