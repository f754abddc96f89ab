//! `list`, `status`, `show`, `history` and `logs`: what is installed and what is remembered. Nothing here writes.

use std::collections::BTreeMap;

use serde_json::json;
use updates::catalog::{Broken, Catalog, CatalogEntry, Installed, Kept, without_passwords};
use updates::history::{HistoryReader, ModuleRun, RunSelector, RunSummary};
use updates::profile::Profiles;
use updates::record::{ExitStatus, ModuleRecord, ModuleStatus, RunKind, RunRecord};
use updates::supervisor::{is_persons_restore, program_in_use};
use updates_protocol::{DeclaredPath, Level, ModuleName};

use super::error::CliError;
use super::style::{Painter, Tone, between, duration, local, log_time, printable};
use super::summary::{first_line, is_failure, status_word, summary};
use super::table::table;
use super::{Session, installation};

/// `updates list`
pub fn list(session: &Session<'_>) -> Result<ExitStatus, CliError> {
    let (installed, broken) = read_catalog(session)?;
    let profiles = profiles(session)?;
    let kept = Catalog::open(&session.layout).all_kept()?;
    let shown = |module: &Installed| {
        let mut json = module_json(module, &profiles);
        if let Some(kept) = kept.get(&module.name) {
            json["kept"] = json!(kept);
        }
        json
    };
    let json = json!({
        "modules": installed.iter().map(shown).collect::<Vec<_>>(),
        "unusable": broken.iter().map(|b| json!({"module": b.name, "problem": b.problem})).collect::<Vec<_>>(),
    });
    session.print(&json, || {
        let painter = session.painter();
        if installed.is_empty() && broken.is_empty() {
            return "No module is installed; `updates run` installs those of the source.\n".to_owned();
        }
        let mut rows =
            vec![["MODULE", "VERSION", "ENABLED", "PRIORITY", "PROFILE", "DESCRIPTION"].map(str::to_owned).to_vec()];
        rows.extend(installed.iter().map(|module| row(module, &painter)));
        let mut text = table(&rows);
        text.push_str(&kept_lines(&kept, &painter));
        for broken in &broken {
            let name = painter.paint(Tone::Bad, &printable(&broken.name));
            text.push_str(&format!("{name}: {}\n", printable(&broken.problem)));
        }
        text
    })?;
    Ok(ExitStatus::Success)
}

/// A line for each module that a person keeps at its version.
fn kept_lines(kept: &BTreeMap<ModuleName, Kept>, painter: &Painter) -> String {
    let line = |(module, kept): (&ModuleName, &Kept)| {
        let name = painter.paint(Tone::Warn, module.as_str());
        format!(
            "{name}: stays at its version: {}; to let it go: updates unhold {module}\n",
            printable(&kept.to_string())
        )
    };
    kept.iter().map(line).collect()
}

/// The installed modules: those that can be used, and the others.
pub fn read_catalog(session: &Session<'_>) -> Result<(Vec<Installed>, Vec<Broken>), CliError> {
    let (mut installed, mut broken) = (Vec::new(), Vec::new());
    for entry in Catalog::open(&session.layout).installed()? {
        match entry {
            CatalogEntry::Installed(module) => installed.push(*module),
            CatalogEntry::Broken(module) => broken.push(module),
        }
    }
    Ok((installed, broken))
}

fn profiles(session: &Session<'_>) -> Result<Profiles, CliError> {
    Ok(Profiles::load(&session.layout.local_profiles(), &installation::find()?.profiles))
}

/// What a module may write and gets back, and what it may write and does not: its manifest's word and its profile's.
fn writes(module: &Installed, profiles: &Profiles) -> (Vec<String>, Vec<String>) {
    let text = |paths: &[DeclaredPath]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
    match profiles.resolve(&module.manifest) {
        Ok(profile) => (text(&profile.read_write_paths), text(&profile.volatile_paths)),
        Err(_) => {
            let declared = module.manifest.declared_paths().cloned().collect::<Vec<_>>();
            (text(&declared), text(&module.manifest.sandbox.volatile_paths))
        }
    }
}

fn module_json(module: &Installed, profiles: &Profiles) -> serde_json::Value {
    let (declared, volatile) = writes(module, profiles);
    let manifest = &module.manifest;
    json!({
        "module": manifest.name,
        "version": manifest.schema_version,
        "enabled": manifest.enabled,
        "priority": manifest.priority,
        "group": manifest.group,
        "exclusive": manifest.exclusive,
        "profile": profile(module),
        "description": manifest.description,
        "backup_paths": declared,
        "volatile_paths": volatile,
        "warnings": module.warnings,
    })
}

fn profile(module: &Installed) -> &str {
    module.manifest.sandbox.profile.as_ref().map_or("default", |profile| profile.as_str())
}

fn row(module: &Installed, painter: &Painter) -> Vec<String> {
    let manifest = &module.manifest;
    let enabled = if manifest.enabled { "yes".to_owned() } else { painter.paint(Tone::Dim, "no") };
    vec![
        manifest.name.to_string(),
        manifest.schema_version.to_string(),
        enabled,
        manifest.priority.to_string(),
        profile(module).to_owned(),
        first_line(&manifest.description, 60),
    ]
}

/// `updates status`
pub fn status(session: &Session<'_>) -> Result<ExitStatus, CliError> {
    let history = HistoryReader::open(&session.layout.database())?;
    let last = match &history {
        Some(history) => history.last_of(RunKind::Run)?,
        None => None,
    };
    let in_flight = match &history {
        Some(history) => history.in_flight()?,
        None => Vec::new(),
    };
    // What the last run says of them is over.
    let is_over = |module: &ModuleRecord| {
        module.status == ModuleStatus::RollbackFailed
            && !in_flight.iter().any(|row| row.module.as_str() == module.module)
    };
    let modules = last.iter().flat_map(|record| &record.modules);
    let settled: Vec<_> = modules.filter(|module| is_over(module)).map(|module| module.module.as_str()).collect();
    let catalog = Catalog::open(&session.layout);
    let (held, kept) = (catalog.all_held()?, catalog.all_kept()?);
    let (installed, broken) = read_catalog(session)?;
    let program = program_in_use(&session.layout)?;
    let mut json = json!({
        "last_run": last,
        "program": program,
        "interrupted": in_flight.iter().map(|row| &row.module).collect::<Vec<_>>(),
        "settled_since": settled,
        "held": held,
        "installed": installed.len(),
        "unusable": broken.iter().map(|b| json!({"module": b.name, "problem": b.problem})).collect::<Vec<_>>(),
    });
    if !kept.is_empty() {
        json["kept"] = json!(kept);
    }
    session.print(&json, || {
        let painter = session.painter();
        let mut text = match &last {
            Some(record) => summary(record, record.run_id.as_str(), &painter),
            None => "No run is remembered yet; `updates run` begins the first.\n".to_owned(),
        };
        for row in &in_flight {
            let name = painter.paint(Tone::Bad, row.module.as_str());
            let what = match row.tries {
                _ if is_persons_restore(row) => {
                    "a restore or rollback of it is not complete; mend the cause, then: updates recover".to_owned()
                }
                0 => "runs now, or a run was interrupted in it; the next run puts it back first".to_owned(),
                tries => format!("could not be put back in {tries} tries; mend the cause, then: updates recover"),
            };
            text.push_str(&format!("{name}: {what}\n"));
        }
        for module in &settled {
            let name = painter.paint(Tone::Good, module);
            text.push_str(&format!("{name}: was put back since, or taken as it is, and runs again\n"));
        }
        for (module, held) in held.iter().flat_map(|(module, all)| all.iter().map(move |held| (module, held))) {
            let name = painter.paint(Tone::Warn, module.as_str());
            let reason = first_line(&held.reason, 200);
            let until = format!("until the source changes it or you say `updates unhold {module}`");
            text.push_str(&format!("{name}: {} is held {until}: {reason}\n", held.version));
        }
        text.push_str(&kept_lines(&kept, &painter));
        for broken in &broken {
            let name = painter.paint(Tone::Bad, &printable(&broken.name));
            text.push_str(&format!("{name}: {}\n", printable(&broken.problem)));
        }
        if let Some(note) = &program.note {
            text.push_str(&format!("{} {}\n", painter.paint(Tone::Bad, "!"), printable(note)));
        }
        if let Some(trial) = &program.trial {
            let (version, starts, tries) = (&trial.version, trial.starts, trial.tries);
            text.push_str(&format!("updates {version} is on trial: {starts} of {tries} starts are used\n"));
        }
        if program.is_wrong {
            text.push_str(&format!("{} {}\n", painter.paint(Tone::Bad, "!"), printable(&program.reason)));
        }
        text
    })?;
    Ok(ExitStatus::Success)
}

/// `updates show`
pub fn show(session: &Session<'_>, subject: &str) -> Result<ExitStatus, CliError> {
    let history = HistoryReader::open(&session.layout.database())?;
    if let Some(history) = &history
        && let Some(record) = find_run(history, subject)?
    {
        let shown = record.run_id.to_string();
        session.print(&record, || summary(&record, &shown, &session.painter()))?;
        return Ok(ExitStatus::Success);
    }
    let (installed, _) = read_catalog(session)?;
    let Some(module) = installed.iter().find(|module| module.manifest.name.as_str() == subject) else {
        let what = if subject == "last" {
            "no run is remembered yet".to_owned()
        } else {
            format!("{subject:?} is neither an installed module (`updates list`) nor a run (`updates history`)")
        };
        return Err(CliError::NotFound(what));
    };
    let last = match &history {
        Some(history) => history.module_history(&module.manifest.name, 1)?.pop(),
        None => None,
    };
    let profiles = profiles(session)?;
    let mut json = module_json(module, &profiles);
    json["last"] = serde_json::to_value(&last).unwrap_or_default();
    json["manifest"] = serde_json::Value::Object(without_passwords(&module.manifest.raw));
    session.print(&json, || show_module(module, &profiles, last.as_ref(), &session.painter()))?;
    Ok(ExitStatus::Success)
}

fn show_module(module: &Installed, profiles: &Profiles, last: Option<&ModuleRun>, painter: &Painter) -> String {
    let manifest = &module.manifest;
    let (declared, volatile) = writes(module, profiles);
    let paths = |paths: Vec<String>| if paths.is_empty() { "none".to_owned() } else { paths.join(" ") };
    let mut rows = vec![
        ("version", manifest.schema_version.to_string()),
        ("description", first_line(&manifest.description, 200)),
        ("enabled", if manifest.enabled { "yes" } else { "no" }.to_owned()),
        ("priority", manifest.priority.to_string()),
        ("profile", profile(module).to_owned()),
        ("writes", paths(declared)),
        ("not put back", paths(volatile)),
    ];
    if let Some(group) = &manifest.group {
        rows.push(("group", format!("{group}, order {}", manifest.group_order)));
    }
    if let Some(ModuleRun { run_id, started, record, .. }) = last {
        let (word, tone) = status_word(record.status);
        rows.push(("last run", format!("{} ({}, {run_id})", painter.paint(tone, word), local(started))));
        if let Some(message) = &record.message {
            rows.push(("", first_line(message, 400)));
        }
    }
    for warning in &module.warnings {
        rows.push(("warning", warning.to_string()));
    }
    let rows: Vec<_> = rows.into_iter().map(|(key, value)| vec![format!("  {key}"), value]).collect();
    format!("{}\n{}", painter.paint(Tone::Strong, manifest.name.as_str()), table(&rows))
}

/// `updates history`
pub fn history(session: &Session<'_>, module: Option<&ModuleName>, limit: u32) -> Result<ExitStatus, CliError> {
    let history = HistoryReader::open(&session.layout.database())?;
    let painter = session.painter();
    match (history, module) {
        (None, _) => session.print(&json!([]), || "No run is remembered yet.\n".to_owned())?,
        (Some(history), Some(module)) => {
            let found = history.module_history(module, limit)?;
            session.print(&found, || {
                let rows: Vec<_> = found.iter().map(|run| module_row(run, &painter)).collect();
                if rows.is_empty() { format!("No run of {module} is remembered.\n") } else { table(&rows) }
            })?;
        }
        (Some(history), None) => {
            let runs = history.runs(limit)?;
            session.print(&runs, || {
                let head = ["STARTED", "RUN", "KIND", "MODULES", "RESULT", "TOOK"].map(str::to_owned).to_vec();
                let rows = runs.iter().map(|run| run_row(run, &painter));
                table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
            })?;
        }
    }
    Ok(ExitStatus::Success)
}

fn module_row(run: &ModuleRun, painter: &Painter) -> Vec<String> {
    let record = &run.record;
    let (word, tone) = status_word(record.status);
    let took: u64 = record.attempts.iter().map(|attempt| attempt.usage.wall_ms).sum();
    vec![
        local(&run.started),
        run.run_id.to_string(),
        record.version.clone().unwrap_or_default(),
        painter.paint(tone, word),
        duration(took),
        record.message.as_deref().map(|message| first_line(message, 100)).unwrap_or_default(),
    ]
}

fn run_row(run: &RunSummary, painter: &Painter) -> Vec<String> {
    let (text, tone) = match run.status {
        None => ("not finished", Tone::Warn),
        Some(ExitStatus::Success | ExitStatus::Pending) => ("well", Tone::Good),
        Some(ExitStatus::NothingSelected) => ("nothing to run", Tone::Dim),
        Some(ExitStatus::Interrupted) => ("interrupted", Tone::Warn),
        Some(ExitStatus::ModuleFailed) => ("a module failed", Tone::Bad),
        Some(ExitStatus::RollbackFailed) => ("NEEDS YOU", Tone::Bad),
        Some(ExitStatus::InternalError | ExitStatus::Usage | ExitStatus::Locked | ExitStatus::ProblemsFound) => {
            ("failed", Tone::Bad)
        }
    };
    let took = run.ended.as_deref().map(|ended| between(&run.started, ended)).unwrap_or_default();
    let kind =
        serde_json::to_value(run.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
    let modules = if run.modules == 1 { "1 module".to_owned() } else { format!("{} modules", run.modules) };
    vec![local(&run.started), run.run_id.to_string(), kind, modules, painter.paint(tone, text), took]
}

/// `updates logs`
pub fn logs(session: &Session<'_>, run: &str, module: Option<&ModuleName>) -> Result<ExitStatus, CliError> {
    let history = HistoryReader::open(&session.layout.database())?;
    let Some(history) = history else {
        return Err(CliError::NotFound("no run is remembered yet".to_owned()));
    };
    // One word alone may be a module: its newest run is meant.
    let (run, module) = match (find_run(&history, run)?, module, run.parse::<ModuleName>()) {
        (Some(_), ..) | (None, Some(_), _) | (None, None, Err(_)) => (run.to_owned(), module.cloned()),
        (None, None, Ok(name)) => match history.module_history(&name, 1)?.pop() {
            Some(newest) => (newest.run_id.to_string(), Some(name)),
            None => (run.to_owned(), None),
        },
    };
    let module = module.as_ref();
    let Some(record) = find_run(&history, &run)? else {
        let what = format!("{run:?} is neither a run that is remembered (`updates history`) nor a module that ran");
        return Err(CliError::NotFound(what));
    };
    if let Some(module) = module
        && !record.modules.iter().any(|m| m.module == module.as_str())
    {
        let known: Vec<_> = record.modules.iter().map(|m| m.module.as_str()).collect();
        let known = known.join(", ");
        return Err(CliError::NotFound(format!("{module} had no part in run {}; these had: {known}", record.run_id)));
    }
    let lines = history.logs(&RunSelector::Id(record.run_id.to_string()), module)?;
    session.print(&lines, || {
        let painter = session.painter();
        let mut text = String::new();
        for line in lines.iter().map(|stored| &stored.line) {
            let tone = match line.level {
                Level::Debug => Tone::Dim,
                Level::Info => Tone::Strong,
                Level::Warning => Tone::Warn,
                Level::Error => Tone::Bad,
            };
            let level = painter.paint(tone, &format!("[{}]", line.level.as_str()));
            let name = if module.is_some() { String::new() } else { format!("{}: ", line.module) };
            text.push_str(&format!("[{}] {level} {name}{}\n", log_time(line.time), printable(&line.message)));
        }
        for failed in record.modules.iter().filter(|m| module.is_none_or(|module| m.module == module.as_str())) {
            if let Some(message) = failed.message.as_deref().filter(|_| is_failure(failed.status)) {
                text.push_str(&format!(
                    "{}: {}\n",
                    painter.paint(Tone::Bad, &printable(&failed.module)),
                    printable(message)
                ));
            }
            if let Some(trace) =
                failed.result.as_ref().and_then(|result| result.get("traceback")).and_then(|t| t.as_str())
            {
                text.push_str(&format!("{}\n", printable(trace.trim_end())));
            }
        }
        text
    })?;
    Ok(ExitStatus::Success)
}

fn find_run(history: &HistoryReader, run: &str) -> Result<Option<RunRecord>, CliError> {
    let selector = if run == "last" { RunSelector::Last } else { RunSelector::Id(run.to_owned()) };
    Ok(history.run(&selector)?)
}
