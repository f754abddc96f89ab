//! `doctor`: what this machine lacks for `updates` to work every night, and how to mend it.

use serde_json::json;
use updates::config::{Config, load};
use updates::process::CancelToken;
use updates::record::ExitStatus;
use updates::supervisor::{Finding, Health, Supervisor};

use super::config::findings;
use super::error::CliError;
use super::run::require_root;
use super::style::{Painter, Tone, printable};
use super::{Session, installation};

/// `updates doctor`
pub fn doctor(session: &Session<'_>, cancel: CancelToken) -> Result<ExitStatus, CliError> {
    require_root(session)?;
    let mut found = settings(session);
    let loaded = load(&session.layout, session.global.config.as_deref());
    // What is wrong with them is said above; everything else is looked at all the same.
    let config = loaded.map(|loaded| loaded.config).unwrap_or_else(|_| {
        let text = "what follows was looked at with the default settings, since yours can't be read";
        found.push(Finding::warning("settings", text, "mend them, and call the doctor again"));
        Config::default()
    });
    match installation::find() {
        Ok(installation) => {
            let supervisor =
                Supervisor { layout: session.layout.clone(), config, installation, cancel: cancel.clone() };
            found.extend(supervisor.examine());
        }
        Err(error) => found.push(Finding::problem("program", error.to_string(), "install it again, whole")),
    }
    let worst = found.iter().map(|finding| finding.health).max().unwrap_or(Health::Ok);
    session.print(&json!({"health": worst, "findings": found}), || words(&found, &session.painter()))?;
    Ok(match worst {
        _ if cancel.reason().is_some() => ExitStatus::Interrupted,
        Health::Problem => ExitStatus::ProblemsFound,
        Health::Ok | Health::Warning => ExitStatus::Success,
    })
}

fn settings(session: &Session<'_>) -> Vec<Finding> {
    const CHECK: &str = "settings";
    let (problems, warnings, installed) = match findings(session) {
        Ok(findings) => findings,
        Err(error) => return vec![Finding::problem(CHECK, error.to_string(), "mend what it names")],
    };
    let mut found = Vec::new();
    if problems.is_empty() {
        found.push(Finding::ok(CHECK, format!("the settings and {installed} installed modules are well-formed")));
    }
    let mend = "mend the file; `updates config check` looks again";
    found.extend(problems.into_iter().map(|problem| Finding::problem(CHECK, problem, mend)));
    found.extend(warnings.into_iter().map(|warning| Finding::warning(CHECK, warning, mend)));
    found
}

fn words(found: &[Finding], painter: &Painter) -> String {
    let width = found.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in found {
        let (word, tone) = match finding.health {
            Health::Ok => ("ok", Tone::Good),
            Health::Warning => ("warning", Tone::Warn),
            Health::Problem => ("PROBLEM", Tone::Bad),
        };
        let word = painter.paint(tone, &format!("{word:<7}"));
        // Some of what is found is a place in a file, shown over several lines.
        let what = printable(&finding.found).replace('\n', &format!("\n{:<7}  {:<width$}  ", "", ""));
        text.push_str(&format!("{word}  {:<width$}  {what}\n", finding.check));
        if let Some(mend) = &finding.mend {
            text.push_str(&format!("{:<7}  {:<width$}  -> {}\n", "", "", printable(mend)));
        }
    }
    let count = |health: Health| found.iter().filter(|finding| finding.health == health).count();
    let (warnings, problems) = (count(Health::Warning), count(Health::Problem));
    text.push_str(&match (problems, warnings) {
        (0, 0) => "\nAll is well.\n".to_owned(),
        (0, _) => format!("\nRuns work; {warnings} to look at.\n"),
        _ => format!("\n{problems} to mend, {warnings} to look at.\n"),
    });
    text
}
