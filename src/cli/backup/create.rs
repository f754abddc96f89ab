//! `updates backup create`: one backup made, and what it came to.

use serde_json::json;
use updates::record::ExitStatus;
use updates::supervisor::{Created, Supervisor};
use updates_protocol::ModuleName;

use super::super::Session;
use super::super::args::WaitArgs;
use super::super::error::CliError;
use super::super::style::{Tone, duration, printable};
use super::bar::Bar;
use super::words::{backup_json, merged, saved, size};

/// Makes it, and says what was saved and what was not.
pub fn create(
    session: &Session<'_>,
    supervisor: &Supervisor,
    module: &ModuleName,
    description: Option<&str>,
    waiting: &WaitArgs,
) -> Result<ExitStatus, CliError> {
    let created = {
        let mut bar = Bar::new(session);
        supervisor.create_backup(module, description, waiting.duration(), &mut bar)?
    };
    let Created { backup, label, reused, unchanged, left_out, took } = created;
    let (totals, notes) = (backup.totals()?, backup.notes()?);
    let unchanged = if reused { Some(totals.files) } else { unchanged };
    let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
    let json = json!({
        "module": module,
        "slot": label,
        "path": backup.path(),
        "reused": reused,
        "unchanged": unchanged,
        "copied": totals.files.saturating_sub(unchanged.unwrap_or(0)),
        "left_out": left_out,
        "notes": notes,
        "took_ms": took,
    });
    if session.global.quiet && !session.global.json {
        return Ok(ExitStatus::Success);
    }
    session.print(&merged(json, backup_json(&backup, &totals)), || {
        let painter = session.painter();
        let mut text = match reused {
            true => format!("{module}: nothing has changed; {label}, saved {}, stays as it is\n", saved(&backup)),
            false => {
                let label = painter.paint(Tone::Strong, &label);
                format!("{module} is saved in {label}: {}, in {}\n", size(&totals), duration(took))
            }
        };
        if let (Some(unchanged), false) = (unchanged, reused) {
            let copied = totals.files.saturating_sub(unchanged);
            text.push_str(&format!(
                "    {copied} new or changed, {unchanged} as in the backup before and shared with it\n"
            ));
        }
        for (name, state) in &backup.manifest().header.services {
            text.push_str(&format!("    service   {}\n", super::words::unit(name, state)));
        }
        for saved in &backup.manifest().header.databases {
            text.push_str(&format!("    database  {}\n", saved.database));
        }
        for left_out in &left_out {
            let not = painter.paint(Tone::Warn, "NOT saved:");
            text.push_str(&format!("    {not} {}\n", printable(left_out)));
        }
        for note in &notes {
            text.push_str(&format!("    {} {}\n", painter.paint(Tone::Warn, "note:"), printable(note)));
        }
        text
    })?;
    Ok(ExitStatus::Success)
}
