//! `config show` and `config check`: the settings in force, and every mistake in what an administrator can write.

use serde_json::{Value, json};
use updates::config::load;
use updates::profile::Profiles;
use updates::record::ExitStatus;
use updates::source::SourceUrl;
use updates::supervisor::source_problems;

use super::args::ConfigCommand;
use super::error::CliError;
use super::inspect::read_catalog;
use super::style::Tone;
use super::table::table;
use super::{Session, installation};

/// `updates config …`
pub fn config(session: &Session<'_>, command: &ConfigCommand) -> Result<ExitStatus, CliError> {
    match command {
        ConfigCommand::Show => show(session),
        ConfigCommand::Check => check(session),
    }
}

fn show(session: &Session<'_>) -> Result<ExitStatus, CliError> {
    let loaded = load(&session.layout, session.global.config.as_deref())?;
    let config = &loaded.config;
    let settings = [
        ("source.url", json!(config.source.url)),
        ("source.branch", json!(config.source.branch)),
        ("source.ssh_key", json!(config.source.ssh_key)),
        ("source.known_hosts", json!(config.source.known_hosts)),
        ("source.credentials", json!(config.source.credentials)),
        ("source.credential_helper", json!(config.source.credential_helper)),
        ("source.timeout_sec", json!(config.source.timeout_sec)),
        ("source.verify", json!(config.source.verify)),
        ("source.allowed_signers", json!(config.source.allowed_signers)),
        ("source.keyring", json!(config.source.keyring)),
        ("source.allow_non_fast_forward", json!(config.source.allow_non_fast_forward)),
        ("source.stale_after", json!(config.source.stale_after)),
        ("run.jobs", json!(config.jobs)),
        ("run.python", json!(config.python)),
        ("run.systemctl", json!(config.systemctl)),
        ("run.window", json!(config.window)),
        ("self_update.enabled", json!(config.self_update.enabled)),
        ("self_update.tries", json!(config.self_update.tries)),
    ];
    let origin = |key: &str| loaded.origin.get(key).map_or("default".to_owned(), |file| file.display().to_string());
    let json: serde_json::Map<String, Value> =
        settings.iter().map(|(key, value)| ((*key).to_owned(), json!({"value": value, "from": origin(key)}))).collect();
    session.print(&json, || {
        let rows: Vec<_> = settings
            .iter()
            .map(|(key, value)| {
                let value = if value.is_null() { "-".to_owned() } else { value.to_string() };
                vec![(*key).to_owned(), value, format!("({})", origin(key))]
            })
            .collect();
        table(&rows)
    })?;
    Ok(ExitStatus::Success)
}

/// What is wrong, what is odd, and how many modules were looked at.
pub(super) fn findings(session: &Session<'_>) -> Result<(Vec<String>, Vec<String>, usize), CliError> {
    let mut problems: Vec<String> = Vec::new();
    let mut warnings: Vec<String> = Vec::new();
    match load(&session.layout, session.global.config.as_deref()) {
        Ok(loaded) => {
            let url = loaded.config.source.url.as_deref().map(SourceUrl::new);
            problems.extend(url.and_then(Result::err).map(|error| format!("source.url: {error}")));
            problems.extend(source_problems(&loaded.config.source));
        }
        Err(error) => problems.push(error.to_string()),
    }
    let profiles = Profiles::load(&session.layout.local_profiles(), &installation::find()?.profiles);
    problems.extend(profiles.problems().iter().map(ToString::to_string));
    for name in profiles.names() {
        if let Err(error) = profiles.get(name) {
            problems.push(error.to_string());
        }
    }
    let (installed, broken) = read_catalog(session)?;
    problems.extend(broken.iter().map(|broken| broken.problem.clone()));
    for module in &installed {
        let file = session.layout.module(&module.manifest.name).join("index.json");
        warnings.extend(module.warnings.iter().map(|warning| format!("{}: {warning}", file.display())));
        if let Err(error) = profiles.resolve(&module.manifest) {
            problems.push(format!("{}: {error}", file.display()));
        }
    }
    Ok((problems, warnings, installed.len()))
}

fn check(session: &Session<'_>) -> Result<ExitStatus, CliError> {
    let (problems, warnings, installed) = findings(session)?;
    let good = problems.is_empty();
    session.print(&json!({"ok": good, "problems": problems, "warnings": warnings}), || {
        let painter = session.painter();
        let mut text = String::new();
        for problem in &problems {
            text.push_str(&format!("{} {problem}\n", painter.paint(Tone::Bad, "error:")));
        }
        for warning in &warnings {
            text.push_str(&format!("{} {warning}\n", painter.paint(Tone::Warn, "warning:")));
        }
        if good {
            text.push_str(&format!("The settings and {} installed modules are well-formed.\n", installed));
        }
        text
    })?;
    Ok(if good { ExitStatus::Success } else { ExitStatus::Usage })
}
