//! `updates sandbox grant`: shows what a module asks for beyond what it was granted, and asks whether it may.

use std::io::{BufRead, IsTerminal, Write};

use serde_json::json;
use updates::process::CancelToken;
use updates::record::ExitStatus;
use updates::supervisor::Ask;
use updates_protocol::{ModuleName, SchemaVersion};

use super::super::Session;
use super::super::args::SourceArgs;
use super::super::error::CliError;
use super::super::run::supervisor;
use super::super::style::printable;

/// Asks on a terminal; without one only `yes` agrees.
pub fn grant(
    session: &Session<'_>,
    cancel: CancelToken,
    module: &ModuleName,
    version: Option<&SchemaVersion>,
    source: &SourceArgs,
    yes: bool,
) -> Result<ExitStatus, CliError> {
    let supervisor = supervisor(session, cancel, Some(source), None)?;
    let asks = supervisor.asks(module, version)?;
    let shown: Vec<_> =
        asks.iter().map(|ask| json!({"version": ask.version, "installed": ask.installed, "asks": ask.more})).collect();
    if asks.is_empty() {
        session.print(&json!({"module": module, "asks": shown, "granted": false}), || {
            let elsewhere = match &source.source {
                None => "; a version that waits in a source of the command line is found with --source",
                Some(_) => "",
            };
            format!("{module} asks for nothing that it was not granted{elsewhere}\n")
        })?;
        return Ok(ExitStatus::Success);
    }
    if !session.global.json {
        session.print(&(), || words(module, &asks))?;
    }
    let answer = if yes || session.global.json { yes.then_some(true) } else { ask()? };
    let agreed = answer == Some(true);
    if agreed {
        supervisor.agree(module, asks)?;
    }
    session.print(&json!({"module": module, "asks": shown, "granted": agreed}), || match agreed {
        true => "granted; it holds from the next run on\n".to_owned(),
        false => format!("nothing was granted; to agree without being asked: updates sandbox grant {module} --yes\n"),
    })?;
    // Who was asked and said no got what they wanted; who could not be asked has to say it otherwise.
    Ok(if answer.is_some() { ExitStatus::Success } else { ExitStatus::Usage })
}

fn words(module: &ModuleName, asks: &[Ask]) -> String {
    let mut text = String::new();
    for ask in asks {
        let place = if ask.installed { "as it is installed" } else { "in the source" };
        text.push_str(&format!("{module} {}, {place}, asks for more than it was granted:\n", printable(&ask.version)));
        for more in &ask.more {
            text.push_str(&format!("    {}\n", printable(more)));
        }
    }
    text
}

/// The answer of a person; none without a terminal.
fn ask() -> Result<Option<bool>, CliError> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(None);
    }
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(b"Allow it? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")))
}
