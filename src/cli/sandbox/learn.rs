//! `updates sandbox learn`: the stanza on standard output, ready to be pasted; what it does not cover after it.

use updates::process::CancelToken;
use updates::record::ExitStatus;
use updates::supervisor::{LearnOptions, Learned};

use crate::cli::Session;
use crate::cli::args::LearnArgs;
use crate::cli::error::CliError;
use crate::cli::run::{named, screen, supervisor};
use crate::cli::style::printable;

/// `updates sandbox learn`
pub fn learn(session: &Session<'_>, cancel: CancelToken, arguments: &LearnArgs) -> Result<ExitStatus, CliError> {
    let supervisor = supervisor(session, cancel, None, None)?;
    let options = LearnOptions {
        module: named(&arguments.module)?,
        arguments: arguments.arguments.clone(),
        private_network: arguments.private_network,
    };
    let learned = supervisor.learn(&options, &mut screen(session))?;
    session.print(&learned, || words(&learned))?;
    Ok(match learned {
        Learned { interrupted: true, .. } => ExitStatus::Interrupted,
        Learned { complete: true, .. } => ExitStatus::Success,
        Learned { .. } => ExitStatus::ModuleFailed,
    })
}

fn words(learned: &Learned) -> String {
    let mut text = serde_json::to_string_pretty(&learned.stanza).unwrap_or_default();
    text.push('\n');
    let mut line = |line: String| {
        text.push_str(&printable(&line));
        text.push('\n');
    };
    if let Some(problem) = &learned.problem {
        line(format!("\nIt did not run well, so it may need more: {problem}"));
    }
    if !learned.refused.is_empty() {
        line("\nTried, and not covered:".to_owned());
        for refused in &learned.refused {
            line(format!("  {} ({}): {}", refused.what, refused.call, refused.why));
        }
    }
    if !learned.notes.is_empty() {
        line("\nNotes:".to_owned());
        for note in &learned.notes {
            line(format!("  {note}"));
        }
    }
    text
}
