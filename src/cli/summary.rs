//! A run in words: a line a module, then what went wrong once more, with the command that shows more.

use updates::record::{Change, ModuleRecord, ModuleStatus, OutsideWindow, RunKind, RunRecord, UpdateRecord, Verdict};

use super::ending::ending;
use super::style::{Painter, Tone, between, local, printable};

/// The summary of `record`. `shown` is how a person can name the run, `last` or its id.
pub fn summary(record: &RunRecord, shown: &str, painter: &Painter) -> String {
    let mut text = String::new();
    head(&mut text, record, painter);
    for recovered in &record.recovered {
        let how = match &recovered.error {
            None => "put back".to_owned(),
            Some(error) => format!("{} {}", painter.paint(Tone::Bad, "NOT put back:"), printable(error)),
        };
        line(&mut text, &format!("  {}: an interrupted run had left it; {how}", recovered.module));
    }
    for update in record.program.iter().chain(&record.updates) {
        line(&mut text, &format!("  {}", update_line(update, record.kind, painter)));
    }
    let mut modules: Vec<_> = record.modules.iter().collect();
    modules.sort_by(|left, right| left.module.cmp(&right.module));
    let width = modules.iter().map(|module| module.module.chars().count()).max().unwrap_or(0).min(40);
    for module in modules {
        module_line(&mut text, module, record.kind, width, painter);
    }
    for problem in &record.problems {
        line(&mut text, &format!("  {} {}", painter.paint(Tone::Warn, "!"), printable(problem)));
    }
    ending(&mut text, record, shown, painter);
    text
}

/// Adds a line without trailing blanks.
pub(super) fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

fn head(text: &mut String, record: &RunRecord, painter: &Painter) {
    let what = match record.kind {
        RunKind::Run => "Run",
        RunKind::Check => "Check",
        RunKind::Runner => "Runner",
        RunKind::Recover => "Recovery",
        RunKind::Restore => "Restore",
        RunKind::Rollback => "Rollback",
    };
    let took =
        record.ended.as_deref().map(|ended| format!(", {}", between(&record.started, ended))).unwrap_or_default();
    let title = format!("{what} {} of {}{took}", record.run_id, local(&record.started));
    line(text, &painter.paint(Tone::Strong, &title));
    if let Some(sync) = &record.sync {
        let revision = match sync.revision.as_deref() {
            Some(revision) => format!(" at {}", &revision[..revision.len().min(12)]),
            None => String::new(),
        };
        let signer = sync.signer.as_deref().map(|signer| format!(", signed by {}", printable(signer)));
        let signer = signer.unwrap_or_default();
        line(text, &format!("  source {} ({}){revision}{signer}", printable(&sync.source), printable(&sync.branch)));
    }
}

fn update_line(update: &UpdateRecord, kind: RunKind, painter: &Painter) -> String {
    let module = printable(&update.module);
    let notes =
        if update.notes.is_empty() { String::new() } else { format!(": {}", printable(&update.notes.join("; "))) };
    let (from, to) = (update.from.as_deref().unwrap_or("?"), update.to.as_deref().unwrap_or("?"));
    let check = kind == RunKind::Check;
    match update.change {
        Change::Installed if check => format!("would install {module} {to}"),
        Change::Updated if check => format!("would replace {module} {from} -> {to}"),
        Change::Installed => format!("{} {module} {to}{notes}", painter.paint(Tone::Good, "installed")),
        Change::Updated => format!("{} {module} {from} -> {to}{notes}", painter.paint(Tone::Good, "replaced")),
        Change::Older => format!("{module}: the source has {to}, older than the installed {from}"),
        Change::Disabled => format!("{module}: {to} is in the source; disabled here, so {from} stays{notes}"),
        Change::Held if update.by_person => format!("{module}: {to} is in the source; {from} stays{notes}"),
        Change::Held => format!("{module}: {to} is held, and not installed{notes}"),
        Change::Waiting => format!("{} {module} {to}, {from} stays", painter.paint(Tone::Warn, "waits for you:")),
        Change::Invalid => format!("{} {module}{notes}", painter.paint(Tone::Warn, "unusable")),
        Change::Failed => format!("{} {module} {to}{notes}", painter.paint(Tone::Bad, "not installed")),
    }
}

fn module_line(text: &mut String, module: &ModuleRecord, kind: RunKind, width: usize, painter: &Painter) {
    let would_change = if kind == RunKind::Check { would_change(module) } else { Vec::new() };
    let (word, tone) = if would_change.is_empty() { status_word(module.status) } else { ("would change", Tone::Warn) };
    let restarted = module.attempts.iter().any(|attempt| attempt.verdict == Verdict::Restart);
    let message = match module.message.as_deref() {
        Some(message) => first_line(message, 200),
        None if restarted => "restarted once, as it asked".to_owned(),
        None => String::new(),
    };
    let version = module.version.as_deref().unwrap_or("");
    let word = painter.paint(tone, &format!("{word:<12}"));
    line(text, &format!("  {word} {:<width$}  {version:<8}  {message}", printable(&module.module)));
    const SHOWN: usize = 20;
    for item in would_change.iter().take(SHOWN) {
        line(text, &format!("      {}", first_line(item, 200)));
    }
    if would_change.len() > SHOWN {
        line(text, &format!("      … and {} more; --json lists them", would_change.len() - SHOWN));
    }
}

/// What a module says that it would change, as its result's `would_change` lists it.
pub fn would_change(module: &ModuleRecord) -> Vec<String> {
    let word = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match module.result.as_ref().and_then(|result| result.get("would_change")) {
        Some(serde_json::Value::Array(items)) => items.iter().map(word).collect(),
        Some(serde_json::Value::Object(items)) => {
            items.iter().map(|(key, value)| format!("{key}: {}", word(value))).collect()
        }
        Some(serde_json::Value::Bool(true)) => vec!["something; it does not say what".to_owned()],
        _ => Vec::new(),
    }
}

/// The word for a status, and its meaning.
pub fn status_word(status: ModuleStatus) -> (&'static str, Tone) {
    match status {
        ModuleStatus::Updated => ("updated", Tone::Good),
        ModuleStatus::Succeeded => ("ok", Tone::Good),
        ModuleStatus::RolledBack => ("rolled back", Tone::Bad),
        ModuleStatus::RollbackFailed => ("NEEDS YOU", Tone::Bad),
        ModuleStatus::Failed => ("failed", Tone::Bad),
        ModuleStatus::Unusable => ("unusable", Tone::Warn),
        ModuleStatus::Restored => ("restored", Tone::Good),
        ModuleStatus::Skipped => ("skipped", Tone::Dim),
        ModuleStatus::Interrupted => ("interrupted", Tone::Warn),
    }
}

/// Whether a module failed in the run.
pub fn is_failure(status: ModuleStatus) -> bool {
    matches!(status, ModuleStatus::RolledBack | ModuleStatus::RollbackFailed | ModuleStatus::Failed)
}

/// Why a run did nothing at this time, and when it will.
pub fn outside_window(outside: &OutsideWindow) -> String {
    let opens = match &outside.opens {
        Some(opens) => format!("the next one opens at {}", local(opens)),
        None => "none opens within two weeks".to_owned(),
    };
    let window = printable(&outside.window);
    format!("outside of the maintenance window ({window}): {opens}; --ignore-window runs anyway")
}

/// The first line of a message, at most `limit` characters.
pub fn first_line(message: &str, limit: usize) -> String {
    let first = message.lines().next().unwrap_or_default();
    let mut cut: String = first.chars().take(limit).collect();
    if first.chars().count() > limit {
        cut.push('…');
    }
    printable(&cut)
}
