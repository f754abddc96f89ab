//! `updates release`: needs no root, and touches nothing of this machine but the working copy's tags.

use std::io::Write;

use serde_json::json;
use updates::config::{Loaded, load};
use updates::process::CancelToken;
use updates::record::ExitStatus;
use updates::supervisor::{ReleaseOptions, Supervisor};

use super::super::args::ReleaseArgs;
use super::super::error::CliError;
use super::super::style::printable;
use super::super::{Session, installation};

/// Tags a version, or says what is in the way.
pub fn release(session: &Session<'_>, cancel: CancelToken, arguments: &ReleaseArgs) -> Result<ExitStatus, CliError> {
    let Loaded { config, .. } = load(&session.layout, session.global.config.as_deref())?;
    let installation = installation::find()?;
    let supervisor = Supervisor { layout: session.layout.clone(), config, installation, cancel };
    let from = std::env::current_dir().map_err(|error| CliError::NotFound(format!("the current folder: {error}")))?;
    let options = ReleaseOptions { module: arguments.module.clone(), from, sign: arguments.sign };
    let quiet = session.global.quiet;
    let mut step = |text: &str| {
        if !quiet {
            // Whoever closed it does not want to know.
            writeln!(std::io::stderr().lock(), "{text}").ok();
        }
    };
    let released = supervisor.release(&options, &mut step)?;
    let json = json!({
        "module": released.module,
        "tag": released.tag,
        "commit": released.commit,
        "warnings": released.warnings,
        "tried": released.tried,
        "push": released.push,
    });
    session.print(&json, || {
        let mut text = String::new();
        for warning in &released.warnings {
            text.push_str(&format!("warning: index.json: {}\n", printable(warning)));
        }
        text.push_str(&format!("tried: {}\n", printable(&released.tried.join("; "))));
        let commit = &released.commit[..released.commit.len().min(12)];
        text.push_str(&format!(
            "tagged {} at {commit}; to publish it:\n    {}\n",
            released.tag,
            printable(&released.push)
        ));
        text
    })?;
    Ok(ExitStatus::Success)
}
