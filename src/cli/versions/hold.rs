//! `updates hold` and `updates unhold`.

use serde_json::json;
use updates::process::CancelToken;
use updates::record::ExitStatus;
use updates::supervisor::{Until, VersionError};

use super::super::Session;
use super::super::args::{HoldArgs, UnholdArgs};
use super::super::error::CliError;
use super::super::run::supervisor;
use super::super::style::printable;

/// `updates hold`
pub fn hold(session: &Session<'_>, cancel: CancelToken, arguments: &HoldArgs) -> Result<ExitStatus, CliError> {
    let until: Option<Until> = arguments.until.as_deref().map(str::parse).transpose().map_err(VersionError::from)?;
    let supervisor = supervisor(session, cancel, None, None)?;
    let (module, reason) = (&arguments.module, arguments.reason.as_deref());
    let kept = supervisor.hold_module(module, until, reason, arguments.wait.duration())?;
    session.print(&json!({"module": module, "kept": kept}), || {
        let version = kept.version.as_ref().map(|version| format!(" at {version}")).unwrap_or_default();
        let kept = printable(&kept.to_string());
        format!("{module} stays{version}: {kept}; to let it go: updates unhold {module}\n")
    })?;
    Ok(ExitStatus::Success)
}

/// `updates unhold`
pub fn unhold(session: &Session<'_>, cancel: CancelToken, arguments: &UnholdArgs) -> Result<ExitStatus, CliError> {
    let supervisor = supervisor(session, cancel, None, None)?;
    let module = &arguments.module;
    let let_go = supervisor.unhold_module(module, arguments.wait.duration())?;
    session.print(&json!({"module": module, "kept": let_go.kept, "failed": let_go.failed}), || {
        let mut text = String::new();
        if let_go.kept.is_some() {
            text.push_str(&format!("{module} is updated again from the next run on\n"));
        }
        for held in &let_go.failed {
            text.push_str(&format!("{module} {} may be installed again, though it failed\n", held.version));
        }
        if text.is_empty() {
            text = format!("nothing of {module} was held\n");
        }
        text
    })?;
    Ok(ExitStatus::Success)
}
