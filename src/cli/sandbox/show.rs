//! `updates sandbox show`: what one module may read, write, call, reach and use up, each with where the rule came from.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use updates::catalog::Installed;
use updates::profile::{Origin, Profile, assess, exposure};
use updates::record::ExitStatus;
use updates::supervisor::{Holding, holding};
use updates_protocol::ModuleName;

use super::explain::{Explanation, Local, Source, Statement, explain};
use super::score::tone;
use super::{CliError, Session, installed, profiles};
use crate::cli::style::{Painter, Tone, printable};
use crate::cli::table::table;

/// `updates sandbox show`
pub fn show(session: &Session<'_>, name: &ModuleName) -> Result<ExitStatus, CliError> {
    let Some(mut module) = installed(session, std::slice::from_ref(name))?.pop() else {
        return Err(CliError::NotFound(format!("no module {name} is installed; see: updates list")));
    };
    let profiles = profiles(session)?;
    let holding = holding(&session.layout, &profiles, &module);
    let Holding { manifest, profile, ungranted } = holding.map_err(|error| CliError::NotFound(error.to_string()))?;
    module.manifest = manifest;
    let local = local(session, name);
    let explanation = explain(&module, &profile, local.as_ref());
    let json = json!({
        "module": module.name,
        "profile": profile.name,
        "description": profile.description,
        "exposure": exposure(&assess(&profile)),
        "read": statements(&explanation.read),
        "write": statements(&explanation.write),
        "call": statements(&explanation.call),
        "reach": statements(&explanation.reach),
        "use": statements(&explanation.use_up),
        "best_effort": profile.best_effort.iter().map(|each| each.as_str()).collect::<Vec<_>>(),
        "ungranted": ungranted,
    });
    session.print(&json, || {
        let painter = session.painter();
        let mut text = head(&module, &profile, &painter);
        text.push_str(&body(&explanation, &painter, session.global.verbose > 0));
        if text.contains('…') {
            text.push_str("\nWhat … stands for: -v\n");
        }
        for asked in &ungranted {
            text.push_str(&format!("{} {}\n", painter.paint(Tone::Warn, "asked for, not granted:"), printable(asked)));
        }
        if !ungranted.is_empty() {
            text.push_str(&format!("to allow it: updates sandbox grant {}\n", module.name));
        }
        text
    })?;
    Ok(ExitStatus::Success)
}

// A patch that can't be read is told of by whoever loads the module.
fn local(session: &Session<'_>, name: &ModuleName) -> Option<Local> {
    let file = session.layout.local_patch(name);
    let patch = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
    Some(Local { file, patch })
}

fn head(module: &Installed, profile: &Profile, painter: &Painter) -> String {
    let exposure = exposure(&assess(profile));
    let number = painter.paint(tone(exposure), &exposure.to_string());
    format!(
        "{} under {}: {}\nExposure {number}, {}.\n",
        module.name,
        profile.name,
        printable(&profile.description),
        exposure.word()
    )
}

fn body(explanation: &Explanation, painter: &Painter, all: bool) -> String {
    let mut text = String::new();
    for (title, statements) in [
        ("Reads", &explanation.read),
        ("Writes", &explanation.write),
        ("Runs", &explanation.call),
        ("Reaches", &explanation.reach),
        ("Uses at most", &explanation.use_up),
        ("Runs without, where this machine can't enforce it", &explanation.lack),
    ] {
        if statements.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{title}\n"));
        let rows: Vec<_> = folded(statements, all)
            .into_iter()
            .map(|(what, origin)| vec![format!("  {}", printable(&what)), painter.paint(Tone::Dim, &words(origin))])
            .collect();
        text.push_str(&table(&rows));
    }
    text
}

/// Hidden paths of one origin are many and of one kind: they share a line, which is cut unless `all` is asked for.
fn folded(statements: &[Statement], all: bool) -> Vec<(String, &Source)> {
    let mut rows: Vec<(String, &Source)> = Vec::new();
    let mut hidden: BTreeMap<String, usize> = BTreeMap::new();
    for statement in statements {
        if statement.key == "inaccessible_paths" {
            let at = hidden.entry(words(&statement.origin)).or_insert_with(|| {
                rows.push(("not".to_owned(), &statement.origin));
                rows.len() - 1
            });
            let (text, _) = &mut rows[*at];
            // Three say what they are about.
            match text.matches(" /").count() {
                shown if all || shown < 3 => {
                    text.push_str(statement.text.strip_prefix("not").unwrap_or(&statement.text))
                }
                3 if !text.ends_with('…') => text.push_str(" …"),
                _ => {}
            }
        } else {
            let text = if !all && statement.text.chars().count() > 90 {
                statement.text.chars().take(88).chain(" …".chars()).collect()
            } else {
                statement.text.clone()
            };
            rows.push((text, &statement.origin));
        }
    }
    rows
}

fn words(source: &Source) -> String {
    match source {
        Source::Origin(Origin::BuiltIn) => "where nothing else is said".to_owned(),
        Source::Origin(Origin::Profile { profile, .. }) => format!("profile {profile}"),
        Source::Origin(Origin::Manifest { field }) => format!("index.json, {field}"),
        Source::Origin(Origin::Supervisor) => "always".to_owned(),
        Source::Local { file, field } => format!("{}, {field}", file.display()),
    }
}

fn statements(statements: &[Statement]) -> Value {
    let one = |statement: &Statement| {
        let origin = match &statement.origin {
            Source::Origin(origin) => json!(origin),
            Source::Local { file, field } => json!({"from": "local", "file": file, "field": field}),
        };
        json!({"key": statement.key, "rule": statement.text, "origin": origin})
    };
    statements.iter().map(one).collect()
}
