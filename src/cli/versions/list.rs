//! `updates versions`: the versions of a module, the newest first.

use updates::process::CancelToken;
use updates::record::ExitStatus;
use updates::supervisor::{ListedVersion, Versions};

use super::super::Session;
use super::super::args::{SourceArgs, VersionsArgs};
use super::super::error::CliError;
use super::super::run::supervisor;
use super::super::style::{Painter, Tone, printable};
use super::super::summary::first_line;
use super::super::table::table;

/// Prints them as the source had them at the last sync.
pub fn versions(session: &Session<'_>, cancel: CancelToken, arguments: &VersionsArgs) -> Result<ExitStatus, CliError> {
    let source = SourceArgs {
        source: arguments.source.clone(),
        branch: arguments.branch.clone(),
        no_sync: true,
        allow_non_fast_forward: false,
    };
    let supervisor = supervisor(session, cancel, Some(&source), None)?;
    let versions = supervisor.versions(&arguments.module)?;
    session.print(&versions, || words(&versions, &session.painter()))?;
    Ok(ExitStatus::Success)
}

fn words(versions: &Versions, painter: &Painter) -> String {
    let module = &versions.module;
    let mut text = String::new();
    if versions.versions.is_empty() {
        text.push_str(&format!("No version of {module} is known.\n"));
    } else {
        let mut rows = vec![["VERSION", "DATE", "TAG", ""].map(str::to_owned).to_vec()];
        rows.extend(versions.versions.iter().map(|version| row(version, painter)));
        text.push_str(&table(&rows));
    }
    if let Some(kept) = &versions.kept {
        let name = painter.paint(Tone::Warn, module.as_str());
        text.push_str(&format!(
            "{name} stays at its version: {}; to let it go: updates unhold {module}\n",
            printable(&kept.to_string())
        ));
    }
    for refused in &versions.refused {
        let tag = painter.paint(Tone::Warn, &printable(&refused.tag));
        text.push_str(&format!("{tag} {}\n", printable(&refused.problem)));
    }
    text
}

fn row(listed: &ListedVersion, painter: &Painter) -> Vec<String> {
    let mut marks = Vec::new();
    if listed.installed {
        marks.push(painter.paint(Tone::Good, "installed"));
    }
    if listed.unconfirmed {
        marks.push(painter.paint(Tone::Warn, "has not run well yet"));
    }
    if listed.last_safe {
        marks.push("last safe".to_owned());
    }
    if listed.branch {
        marks.push("on the branch".to_owned());
    }
    if let Some(reason) = &listed.held {
        marks.push(painter.paint(Tone::Bad, &format!("held: {}", first_line(reason, 100))));
    }
    vec![
        listed.version.to_string(),
        listed.date.map_or_else(|| "-".to_owned(), |date| date.to_string()),
        listed.tag.as_deref().map_or_else(|| "-".to_owned(), printable),
        marks.join(", "),
    ]
}
