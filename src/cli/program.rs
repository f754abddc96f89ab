//! `self` and `self-test`: versions of this program, and whether one works here.

use serde_json::json;
use updates::process::CancelToken;
use updates::record::ExitStatus;
use updates::supervisor::{Moved, ProgramInUse, program_in_use};

use super::Session;
use super::args::SelfCommand;
use super::error::CliError;
use super::run::supervisor;
use super::style::{Painter, Tone, printable};

/// `updates self`
pub fn program(session: &Session<'_>, cancel: CancelToken, command: &SelfCommand) -> Result<ExitStatus, CliError> {
    if let SelfCommand::Show = command {
        let program = program_in_use(&session.layout)?;
        session.print(&program, || show(&program, &session.painter()))?;
        return Ok(ExitStatus::Success);
    }
    let supervisor = supervisor(session, cancel, None, None)?;
    match command {
        SelfCommand::Show => {}
        SelfCommand::Rollback => {
            let moved = supervisor.roll_back_program()?;
            session.print(&moved, || {
                format!(
                    "updates {} is in use again. {} is held: `updates self unpin` lets it be installed again.\n",
                    moved.to, moved.from
                )
            })?;
        }
        SelfCommand::Pin { version } => {
            let moved = supervisor.pin_program(version.as_ref())?;
            let pinned = version.as_ref().map_or_else(|| moved.to.clone(), ToString::to_string);
            session.print(&json!({"from": moved.from, "to": moved.to, "pinned": pinned}), || pin(&moved, &pinned))?;
        }
        SelfCommand::Unpin => {
            supervisor.unpin_program()?;
            session.print(&json!({"pinned": null, "held": []}), || {
                "The next run follows the source again; nothing is held any more.\n".to_owned()
            })?;
        }
    }
    Ok(ExitStatus::Success)
}

/// `updates self-test`
pub fn self_test(session: &Session<'_>, cancel: CancelToken) -> Result<ExitStatus, CliError> {
    let probed = supervisor(session, cancel, None, None)?.self_test();
    session.print(&probed, || {
        let mut text = format!("updates {}\n", probed.version);
        probed.passed.iter().for_each(|part| text.push_str(&format!("  works: {part}\n")));
        probed.failed.iter().for_each(|error| text.push_str(&format!("  FAILED: {}\n", printable(error))));
        text
    })?;
    Ok(if probed.failed.is_none() { ExitStatus::Success } else { ExitStatus::InternalError })
}

fn show(program: &ProgramInUse, painter: &Painter) -> String {
    let tone = if program.is_wrong { Tone::Bad } else { Tone::Good };
    let mut text = format!(
        "{} is in use: {}\n",
        painter.paint(tone, &format!("updates {}", program.version)),
        printable(&program.reason)
    );
    let mut line = |what: &str, value: &str| text.push_str(&format!("  {what:<10} {}\n", printable(value)));
    line("installed", &program.installed);
    if let Some(trial) = &program.trial {
        line(
            "on trial",
            &format!(
                "{} has used {} of {} starts, and not yet reached the end of a run",
                trial.version, trial.starts, trial.tries
            ),
        );
    }
    if !program.is_installed {
        let previous = program.previous.as_deref().unwrap_or(&program.installed);
        line("before", &format!("{previous}; `updates self rollback` goes back to it"));
    }
    if let Some(pinned) = &program.pinned {
        line("pinned", &format!("{pinned}; `updates self unpin` follows the source again"));
    }
    if !program.versions.is_empty() {
        line("in place", &program.versions.join(", "));
    }
    for held in &program.held {
        line("held", &format!("{}: {}", held.version, held.reason));
    }
    if let Some(note) = &program.note {
        line("note", note);
    }
    text
}

fn pin(moved: &Moved, pinned: &str) -> String {
    if pinned != moved.to {
        return format!(
            "Pinned to {pinned}, which is installed when the source carries it; {} is in use until then.\n",
            moved.to
        );
    }
    match moved.from == moved.to {
        true => format!("Pinned to {pinned}, which is in use.\n"),
        false => format!("Pinned to {pinned}, which is in use from now on instead of {}.\n", moved.from),
    }
}
