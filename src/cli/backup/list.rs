//! `updates backup list`: every slot, what is in it, and which of them are damaged.

use serde_json::json;
use updates::record::ExitStatus;
use updates::state::{Backup, Size, Totals};
use updates::supervisor::{Slot, Slots};

use super::super::Session;
use super::super::error::CliError;
use super::super::style::{Painter, Tone, printable};
use super::super::table::table;
use super::words::{age, backup_json, created, kind, merged, slot_json};

/// Lists all of them.
pub fn list(session: &Session<'_>) -> Result<ExitStatus, CliError> {
    let slots = Slots::list(&session.layout)?;
    let (mut sound, mut damaged) = (Vec::new(), Vec::new());
    for slot in slots.all() {
        match &slot.backup {
            // Where this fails, it was made anew or removed since it was found.
            Ok(backup) => sound.extend(backup.totals().ok().map(|totals| (slot, backup, totals))),
            Err(error) => damaged.push((slot, error)),
        }
    }
    let json = json!({
        "slots": sound.iter().map(|(slot, backup, totals)| merged(slot_json(slot), backup_json(backup, totals))).collect::<Vec<_>>(),
        "damaged": damaged.iter().map(|(slot, error)| {
            merged(slot_json(slot), json!({"problem": error.to_string(), "way_out": slot.way_out()}))
        }).collect::<Vec<_>>(),
    });
    session.print(&json, || {
        let painter = session.painter();
        if slots.all().is_empty() {
            return "There is no backup. To make one: updates backup create MODULE\n".to_owned();
        }
        let mut text = String::new();
        if !sound.is_empty() {
            let head = ["MODULE", "BACKUP", "WHAT", "AGE", "FILES", "SIZE", "SERVICES", "DATABASES"];
            let mut rows = vec![head.map(str::to_owned).to_vec()];
            rows.extend(sound.iter().map(|(slot, backup, totals)| row(slot, backup, totals, &painter)));
            text = table(&rows);
        }
        for (slot, error) in &damaged {
            let label = painter.paint(Tone::Bad, &format!("{}:", slot.label));
            text.push_str(&format!("{label} {}; {}\n", printable(&error.to_string()), slot.way_out()));
        }
        text
    })?;
    Ok(ExitStatus::Success)
}

fn row(slot: &Slot, backup: &Backup, totals: &Totals, painter: &Painter) -> Vec<String> {
    let info = backup.info();
    let words = |words: Vec<String>| if words.is_empty() { "-".to_owned() } else { words.join(", ") };
    vec![
        slot.module.to_string(),
        painter.paint(Tone::Strong, &slot.label),
        kind(slot.kind).to_owned(),
        age(created(backup)).unwrap_or_else(|| "ahead".to_owned()),
        totals.files.to_string(),
        Size(totals.bytes).to_string(),
        words(info.services.iter().map(|unit| unit.with_suffix()).collect()),
        words(info.databases.iter().map(ToString::to_string).collect()),
    ]
}
