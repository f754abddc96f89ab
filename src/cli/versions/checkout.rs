//! `updates checkout`: a version takes the place of the installed one, and what that means is said.

use serde_json::json;
use updates::catalog::KeptBy;
use updates::process::CancelToken;
use updates::record::ExitStatus;
use updates::supervisor::{CheckedOut, CheckoutOptions};
use updates_protocol::ModuleName;

use super::super::Session;
use super::super::args::CheckoutArgs;
use super::super::error::CliError;
use super::super::run::{screen, supervisor};
use super::super::style::printable;

/// Installs it, or says why not.
pub fn checkout(session: &Session<'_>, cancel: CancelToken, arguments: &CheckoutArgs) -> Result<ExitStatus, CliError> {
    let supervisor = supervisor(session, cancel, Some(&arguments.source), None)?;
    let options = CheckoutOptions {
        module: arguments.module.clone(),
        version: arguments.version.clone(),
        no_sync: arguments.source.no_sync,
        wait: arguments.wait.duration(),
    };
    let done = supervisor.checkout(&options, &mut screen(session))?;
    let CheckedOut { from, to, tag, changed, kept, notes } = &done;
    let json = json!({
        "module": options.module,
        "from": from,
        "to": to,
        "tag": tag,
        "changed": changed,
        "kept": kept,
        "notes": notes,
    });
    session.print(&json, || words(&options.module, &done))?;
    Ok(ExitStatus::Success)
}

fn words(module: &ModuleName, done: &CheckedOut) -> String {
    let CheckedOut { from, to, tag, changed, kept, notes } = done;
    let from = from.as_ref().map(|from| format!("{from} -> ")).unwrap_or_default();
    let tag = tag.as_deref().map(|tag| format!(" ({})", printable(tag))).unwrap_or_default();
    let mut text = match changed {
        false => format!("{module} {to} is installed already; nothing was changed\n"),
        true => format!("{module} {from}{to}{tag} is installed; when it fails in its next run, it goes back\n"),
    };
    for note in notes {
        text.push_str(&format!("    {}\n", printable(note)));
    }
    match kept {
        Some(kept) if kept.by == KeptBy::Checkout => {
            text.push_str(&format!("It stays at {to}; to let it be updated again: updates unhold {module}\n"));
        }
        Some(kept) => {
            let kept = printable(&kept.to_string());
            text.push_str(&format!("It stays at its version: {kept}; to let it go: updates unhold {module}\n"));
        }
        None if !changed => text.push_str(&format!("To keep it from being updated: updates hold {module}\n")),
        None => {}
    }
    text
}
