//! The end of a summary, which is what stays on the screen: everything that a person should know, failures last.

use updates::record::{Change, ExitStatus, ModuleRecord, ModuleStatus, RunKind, RunRecord, SyncRecord};

use super::style::{Painter, Tone, printable};
use super::summary::{first_line, is_failure, line, outside_window, would_change};

/// Restored paths that are named.
const NAMED: usize = 3;

/// Adds the end of the summary of `record`.
pub(super) fn ending(text: &mut String, record: &RunRecord, shown: &str, painter: &Painter) {
    line(text, "");
    let verdict = verdict(record, painter);
    if !verdict.is_empty() {
        line(text, &verdict);
    }
    if let Some(sync) = &record.sync {
        source(text, sync, painter);
    }
    for update in record.updates.iter().filter(|u| matches!(u.change, Change::Invalid | Change::Failed)) {
        let name = painter.paint(Tone::Warn, &format!("{}:", printable(&update.module)));
        line(text, &format!("{name} {}", printable(&update.notes.join("; "))));
    }
    for update in record.updates.iter().filter(|update| update.change == Change::Waiting) {
        let (module, version) = (printable(&update.module), printable(update.to.as_deref().unwrap_or("a new version")));
        let name = painter.paint(Tone::Warn, &format!("{module}:"));
        line(text, &format!("{name} {version} asks for more than was granted, and waits until you agree:"));
        for note in &update.notes {
            line(text, &format!("    {}", printable(note)));
        }
        line(text, &format!("    to agree: updates sandbox grant {module}"));
    }
    for module in record.modules.iter().filter(|module| !module.ungranted.is_empty()) {
        let name = printable(&module.module);
        let title = painter.paint(Tone::Warn, &format!("{name}:"));
        let asks = printable(&module.ungranted.join(", "));
        line(text, &format!("{title} asks for more than was granted, and runs without it: {asks}"));
        line(text, &format!("    to allow it: updates sandbox grant {name}"));
    }
    for module in record.modules.iter().filter(|module| module.status == ModuleStatus::Unusable) {
        let name = painter.paint(Tone::Warn, &format!("{}:", printable(&module.module)));
        line(text, &format!("{name} {}", printable(module.message.as_deref().unwrap_or("can't be used"))));
    }
    for module in record.modules.iter().filter(|module| is_failure(module.status)) {
        failure(text, module, record.kind, shown, painter);
    }
}

fn source(text: &mut String, sync: &SyncRecord, painter: &Painter) {
    if let Some(error) = &sync.error {
        let (tone, what) = match sync.refused {
            Some(_) => (Tone::Bad, "nothing of the source was installed, the installed modules ran:"),
            None => (Tone::Warn, "the source could not be read, the installed modules ran:"),
        };
        line(text, &format!("{} {}", painter.paint(tone, what), printable(error)));
    }
    if let Some(days) = sync.stale_days {
        let what = painter.paint(Tone::Warn, &format!("the source has not moved for {days} days:"));
        line(
            text,
            &format!("{what} nobody may be looking after it, or an old copy is being served (source.stale_after)"),
        );
    }
}

fn verdict(record: &RunRecord, painter: &Painter) -> String {
    let count = |of: &dyn Fn(&ModuleRecord) -> bool| record.modules.iter().filter(|module| of(module)).count();
    let failed = count(&|module| is_failure(module.status));
    let well = count(&|module| matches!(module.status, ModuleStatus::Updated | ModuleStatus::Succeeded));
    match record.status {
        None => "It has not finished: it runs now, or it was interrupted and the next run puts things right.".to_owned(),
        Some(ExitStatus::Interrupted) => {
            painter.paint(Tone::Warn, "Interrupted; the modules that were running are as before they ran.")
        }
        Some(ExitStatus::NothingSelected | ExitStatus::Success) if record.outside_window.is_some() => {
            let why = record.outside_window.as_ref().map(outside_window).unwrap_or_default();
            format!("Nothing was done: {why}.")
        }
        Some(ExitStatus::NothingSelected) => "Nothing to run: no usable module is installed and enabled. \
             `updates list` shows what is installed; source.url in /etc/updates/config.toml says where modules come from."
            .to_owned(),
        Some(ExitStatus::InternalError | ExitStatus::Usage | ExitStatus::Locked) => {
            painter.paint(Tone::Bad, "The run could not go on.")
        }
        _ if record.kind == RunKind::Check => check_verdict(record, failed),
        _ if failed == 0 && well == 0 => String::new(),
        _ if failed == 0 => painter.paint(Tone::Good, &format!("{} ran well.", modules(well))),
        _ => format!("{} ran well, {failed} failed:", modules(well)),
    }
}

fn check_verdict(record: &RunRecord, failed: usize) -> String {
    let updates = |change: Change| record.updates.iter().filter(|update| update.change == change).count();
    let change = record.modules.iter().filter(|module| !would_change(module).is_empty()).count();
    let mut parts = Vec::new();
    if record.program.as_ref().is_some_and(|update| update.change == Change::Updated) {
        parts.push("go on with a newer version of updates".to_owned());
    }
    for (count, what) in [
        (updates(Change::Installed), "install"),
        (updates(Change::Updated), "replace"),
        (change, "have changes made by"),
    ] {
        if count > 0 {
            parts.push(format!("{what} {}", modules(count)));
        }
    }
    let failed = if failed > 0 { format!(" {} could not be checked:", modules(failed)) } else { String::new() };
    match parts.is_empty() {
        true => format!("A run would change nothing that is known now; the check changed nothing.{failed}"),
        false => format!("A run would {}; the check changed nothing.{failed}", parts.join(" and ")),
    }
}

fn failure(text: &mut String, module: &ModuleRecord, kind: RunKind, shown: &str, painter: &Painter) {
    let name = printable(&module.module);
    let message = module.message.as_deref().unwrap_or("failed");
    line(text, &format!("{} {}", painter.paint(Tone::Bad, &format!("{name}:")), first_line(message, 400)));
    match (&module.rollback, module.status) {
        (rollback, ModuleStatus::RollbackFailed) => {
            let error = rollback.as_ref().and_then(|rollback| rollback.error.as_deref()).unwrap_or(message);
            line(text, &format!("    putting it back FAILED, and needs you: {}", printable(error)));
            line(text, "    mend the cause, then: updates recover");
        }
        (Some(rollback), _) => {
            let restored = &rollback.restored;
            match restored.len() {
                0 => line(text, "    nothing of what it declared had changed"),
                count => {
                    let named = restored.iter().take(NAMED).map(|path| printable(path)).collect::<Vec<_>>().join(", ");
                    let more = if count > NAMED { format!(" and {} more", count - NAMED) } else { String::new() };
                    line(text, &format!("    put back: {named}{more}"));
                }
            }
            if !rollback.services.is_empty() {
                line(text, &format!("    its services too: {}", printable(&rollback.services.join(", "))));
            }
            if rollback.code {
                let version = module.version.as_deref().unwrap_or("this version");
                line(
                    text,
                    &format!("    its code too: {version} was taken back, and what was there before is there again"),
                );
            }
        }
        _ => {}
    }
    if !module.volatile_paths.is_empty() && kind != RunKind::Check && !module.attempts.is_empty() {
        let paths = module.volatile_paths.iter().map(|path| printable(path)).collect::<Vec<_>>().join(" ");
        line(text, &format!("    NOT put back, since its sandbox says so: {paths}"));
    }
    if kind != RunKind::Check {
        line(text, &format!("    more: updates logs {shown} {name}"));
    }
}

fn modules(count: usize) -> String {
    if count == 1 { "1 module".to_owned() } else { format!("{count} modules") }
}
