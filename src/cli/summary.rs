//! A run in words: a line a module, then what went wrong once more, with the command that shows more.

use super::style::{Painter, Tone, between, local, printable};
use updates::record::{Change, ExitStatus, ModuleRecord, ModuleStatus, RunKind, RunRecord, UpdateRecord, Verdict};

/// The summary of `record`. `shown` is how a person can name the run, `last` or its id.
pub fn summary(record: &RunRecord, shown: &str, painter: &Painter) -> String {
    let mut text = String::new();
    head(&mut text, record, painter);
    for recovered in &record.recovered {
        let how = if recovered.complete { "put back" } else { "NOT put back" };
        line(&mut text, &format!("  {}: an interrupted run had left it; {how}", recovered.module));
    }
    updates(&mut text, record, painter);
    let width = record.modules.iter().map(|module| module.module.chars().count()).max().unwrap_or(0).min(40);
    for module in &record.modules {
        module_line(&mut text, module, width, painter);
    }
    for problem in &record.problems {
        line(&mut text, &format!("  {} {}", painter.paint(Tone::Warn, "!"), printable(problem)));
    }
    failures(&mut text, record, shown, painter);
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

fn head(text: &mut String, record: &RunRecord, painter: &Painter) {
    let what = match record.kind {
        RunKind::Run => "Run",
        RunKind::Check => "Check",
        RunKind::Runner => "Runner",
    };
    let took =
        record.ended.as_deref().map(|ended| format!(", {}", between(&record.started, ended))).unwrap_or_default();
    let title = format!("{what} {} of {}{took}", record.run_id, local(&record.started));
    line(text, &painter.paint(Tone::Strong, &title));
    if let Some(sync) = &record.sync {
        let revision = sync.revision.as_deref().map_or("nothing fetched yet", |r| &r[..r.len().min(12)]);
        line(text, &format!("  source {} ({}) at {revision}", printable(&sync.source), printable(&sync.branch)));
        if let Some(error) = &sync.error {
            line(text, &format!("  {} {}", painter.paint(Tone::Warn, "sync failed:"), printable(error)));
        }
    }
}

fn updates(text: &mut String, record: &RunRecord, painter: &Painter) {
    for update in &record.updates {
        let module = printable(&update.module);
        let notes = notes(update);
        let (from, to) = (update.from.as_deref().unwrap_or("?"), update.to.as_deref().unwrap_or("?"));
        let tense = record.kind == RunKind::Check;
        match update.change {
            Change::Installed if tense => line(text, &format!("  would install {module} {to}")),
            Change::Updated if tense => line(text, &format!("  would update {module} {from} -> {to}")),
            Change::Installed => {
                line(text, &format!("  {} {module} {to}{notes}", painter.paint(Tone::Good, "installed")))
            }
            Change::Updated => {
                line(text, &format!("  {} {module} {from} -> {to}{notes}", painter.paint(Tone::Good, "replaced")));
            }
            Change::Older => line(text, &format!("  {module}: the source has {to}, older than the installed {from}")),
            Change::Disabled => {
                line(text, &format!("  {module}: {to} is in the source; disabled here, so {from} stays"))
            }
            Change::Held => line(text, &format!("  {module}: {to} failed before and is held{notes}")),
            Change::Invalid => line(text, &format!("  {} {module}{notes}", painter.paint(Tone::Warn, "unusable"))),
            Change::Failed => {
                line(text, &format!("  {} {module} {to}{notes}", painter.paint(Tone::Bad, "not installed")))
            }
        }
    }
}

fn notes(update: &UpdateRecord) -> String {
    if update.notes.is_empty() { String::new() } else { format!(": {}", printable(&update.notes.join("; "))) }
}

fn module_line(text: &mut String, module: &ModuleRecord, width: usize, painter: &Painter) {
    let (word, tone) = status_word(module.status);
    let restarted = module.attempts.iter().any(|attempt| attempt.verdict == Verdict::Restart);
    let message = match module.message.as_deref() {
        Some(message) => first_line(message, 120),
        None if restarted => "restarted once, as it asked".to_owned(),
        None => String::new(),
    };
    let version = module.version.as_deref().unwrap_or("");
    let word = painter.paint(tone, &format!("{word:<12}"));
    line(text, &format!("  {word} {:<width$}  {version:<8}  {message}", printable(&module.module)));
}

/// The word for a status, and its meaning.
pub fn status_word(status: ModuleStatus) -> (&'static str, Tone) {
    match status {
        ModuleStatus::Updated => ("updated", Tone::Good),
        ModuleStatus::Succeeded => ("ok", Tone::Good),
        ModuleStatus::RolledBack => ("rolled back", Tone::Bad),
        ModuleStatus::RollbackFailed => ("NEEDS YOU", Tone::Bad),
        ModuleStatus::Failed => ("failed", Tone::Bad),
        ModuleStatus::Skipped => ("skipped", Tone::Dim),
        ModuleStatus::Interrupted => ("interrupted", Tone::Warn),
    }
}

fn failures(text: &mut String, record: &RunRecord, shown: &str, painter: &Painter) {
    let failed: Vec<_> = record.modules.iter().filter(|module| is_failure(module.status)).collect();
    let count = record.modules.iter().filter(|module| module.status != ModuleStatus::Skipped).count();
    line(text, "");
    match record.status {
        Some(ExitStatus::Interrupted) => {
            line(
                text,
                &painter.paint(Tone::Warn, "Interrupted; the modules that were running are as before they ran."),
            );
        }
        Some(ExitStatus::NothingSelected) => line(text, "Nothing to run."),
        _ if failed.is_empty() && record.kind == RunKind::Check => {
            line(text, &format!("{} checked; nothing was changed.", modules(count)))
        }
        _ if count == 0 && !record.recovered.is_empty() => {}
        _ if failed.is_empty() => line(text, &painter.paint(Tone::Good, &format!("{} ran well.", modules(count)))),
        _ => {}
    }
    for module in failed {
        let name = printable(&module.module);
        let message = module.message.as_deref().unwrap_or("failed");
        line(text, &format!("{} {}", painter.paint(Tone::Bad, &format!("{name}:")), first_line(message, 400)));
        match (&module.rollback, module.status) {
            (_, ModuleStatus::RollbackFailed) => {
                let error = module.rollback.as_ref().and_then(|r| r.error.as_deref()).unwrap_or("unknown");
                line(text, &format!("    putting it back FAILED, and needs you: {}", printable(error)));
            }
            (Some(rollback), _) => {
                let code = if rollback.code { ", and the module's code with it" } else { "" };
                match rollback.restored.len() {
                    0 => line(text, &format!("    it had changed nothing{code}")),
                    count => line(text, &format!("    {} put back{code}", paths(count))),
                }
            }
            _ => {}
        }
        if record.kind != RunKind::Check {
            line(text, &format!("    more: updates logs {shown} {name}"));
        }
    }
}

/// Whether a person should look at it.
pub fn is_failure(status: ModuleStatus) -> bool {
    matches!(status, ModuleStatus::RolledBack | ModuleStatus::RollbackFailed | ModuleStatus::Failed)
}

fn modules(count: usize) -> String {
    if count == 1 { "1 module".to_owned() } else { format!("{count} modules") }
}

fn paths(count: usize) -> String {
    if count == 1 { "1 path was".to_owned() } else { format!("{count} paths were") }
}

/// The first line of a message, at most `limit` characters.
pub fn first_line(message: &str, limit: usize) -> String {
    let first = message.lines().next().unwrap_or_default();
    let mut cut = String::new();
    if first.chars().count() > limit {
        cut.extend(first.chars().take(limit));
        cut.push('…');
    } else {
        cut.push_str(first);
    }
    printable(&cut)
}
