//! `versions`, `checkout`, `hold`, `unhold` and `release`: what they are asked, and what they print.

use updates::process::CancelToken;
use updates::record::ExitStatus;
use updates_protocol::ModuleName;

use super::Session;
use super::args::{CheckoutArgs, HoldArgs, ReleaseArgs, UnholdArgs};
use super::error::CliError;

/// `updates versions`
pub fn versions(_session: &Session<'_>, _cancel: CancelToken, _module: &ModuleName) -> Result<ExitStatus, CliError> {
    Err(missing())
}

/// `updates checkout`
pub fn checkout(
    _session: &Session<'_>,
    _cancel: CancelToken,
    _arguments: &CheckoutArgs,
) -> Result<ExitStatus, CliError> {
    Err(missing())
}

/// `updates hold`
pub fn hold(_session: &Session<'_>, _cancel: CancelToken, _arguments: &HoldArgs) -> Result<ExitStatus, CliError> {
    Err(missing())
}

/// `updates unhold`
pub fn unhold(_session: &Session<'_>, _cancel: CancelToken, _arguments: &UnholdArgs) -> Result<ExitStatus, CliError> {
    Err(missing())
}

/// `updates release`
pub fn release(_session: &Session<'_>, _cancel: CancelToken, _arguments: &ReleaseArgs) -> Result<ExitStatus, CliError> {
    Err(missing())
}

fn missing() -> CliError {
    CliError::NotFound("this release of updates has no versions of modules yet".to_owned())
}
