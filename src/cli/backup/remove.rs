//! `updates backup remove`: one slot, after a question.

use serde_json::{Value, json};
use updates::record::ExitStatus;
use updates::supervisor::{SlotKind, Slots, Supervisor};
use updates_protocol::ModuleName;

use super::super::Session;
use super::super::args::WaitArgs;
use super::super::error::CliError;
use super::ask::{Answer, ask};
use super::bar::Bar;
use super::words::{merged, saved, size, slot_json};

/// Removes it.
pub fn remove(
    session: &Session<'_>,
    supervisor: &Supervisor,
    module: &ModuleName,
    named: Option<&str>,
    yes: bool,
    waiting: &WaitArgs,
) -> Result<ExitStatus, CliError> {
    let slots = Slots::list(&session.layout)?;
    let slot = slots.choose(module, named)?;
    if !yes && !session.global.json {
        let what = match &slot.backup {
            Ok(backup) => format!("{}, saved {}, {}\n", slot.label, saved(backup), size(&backup.totals()?)),
            Err(error) => format!("{}: {error}\n", slot.label),
        };
        session.print(&Value::Null, || what)?;
    }
    match ask(session, &supervisor.cancel, yes, "Remove it for good?")? {
        Answer::Yes => {}
        Answer::No => {
            session.print(&json!({}), || "nothing was removed\n".to_owned())?;
            return Ok(ExitStatus::Success);
        }
        Answer::NoTerminal => {
            return Err(CliError::NotAsked(
                "nothing was removed: there is no terminal to ask on; --yes agrees".to_owned(),
            ));
        }
    }
    let mut bar = Bar::new(session);
    let removed = supervisor.remove_backup(slot, waiting.duration(), &mut bar)?;
    bar.clear();
    if session.global.json || !session.global.quiet {
        session.print(&merged(slot_json(slot), json!({"removed": removed})), || {
            let without = match slot.kind {
                SlotKind::Checkpoint => format!("; until {module} has run again there is nothing to roll back to"),
                SlotKind::Backup => String::new(),
            };
            if removed {
                format!("{} is removed{without}\n", slot.label)
            } else {
                format!("{} was gone already\n", slot.label)
            }
        })?;
    }
    Ok(ExitStatus::Success)
}
