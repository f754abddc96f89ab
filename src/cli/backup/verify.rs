//! `updates backup verify`: reads everything again, and says which slot can't be put back.

use serde_json::json;
use updates::process::CancelToken;
use updates::record::ExitStatus;
use updates::supervisor::{BackupError, Slot, Slots, Verified};
use updates_protocol::ModuleName;

use super::super::Session;
use super::super::error::CliError;
use super::super::style::{Tone, printable};
use super::bar::Bar;
use super::words::{merged, slot_json};

/// Verifies those of `modules`, or all.
pub fn verify(session: &Session<'_>, cancel: &CancelToken, modules: &[ModuleName]) -> Result<ExitStatus, CliError> {
    let slots = Slots::list(&session.layout)?;
    let mut chosen: Vec<&Slot> = Vec::new();
    for module in modules {
        chosen.extend(slots.of(module)?);
    }
    if modules.is_empty() {
        chosen.extend(slots.all());
    }
    let (mut sound, mut damaged) = (Vec::new(), Vec::new());
    let mut bar = Bar::new(session);
    for slot in chosen {
        let verified = slot.verify(&mut |progress| bar.show(&slot.label, progress));
        // Between two slots, since nothing is left half done.
        if cancel.reason().is_some() {
            return Err(BackupError::Interrupted.into());
        }
        match verified {
            Verified::Sound => sound.push(slot),
            Verified::Damaged(error) => damaged.push((slot, error)),
            Verified::Gone => {}
        }
    }
    bar.clear();
    let json = json!({
        "sound": sound.iter().map(|slot| slot_json(slot)).collect::<Vec<_>>(),
        "damaged": damaged.iter().map(|(slot, error)| {
            merged(slot_json(slot), json!({"problem": error.to_string(), "way_out": slot.way_out()}))
        }).collect::<Vec<_>>(),
    });
    let well = damaged.is_empty();
    if session.global.json || !(session.global.quiet && well) {
        session.print(&json, || {
            let painter = session.painter();
            let mut text = String::new();
            let told = if session.global.quiet { &[][..] } else { &sound[..] };
            for slot in told {
                text.push_str(&format!("{} {}\n", painter.paint(Tone::Good, "sound  "), slot.label));
            }
            for (slot, error) in &damaged {
                let word = painter.paint(Tone::Bad, if error.is_newer_format() { "UNKNOWN" } else { "DAMAGED" });
                text.push_str(&format!("{word} {}: {}\n", slot.label, printable(&error.to_string())));
                text.push_str(&format!("        {}\n", slot.way_out()));
            }
            if text.is_empty() {
                text.push_str("There is no backup to verify. To make one: updates backup create MODULE\n");
            }
            text
        })?;
    }
    Ok(if well { ExitStatus::Success } else { ExitStatus::RollbackFailed })
}
