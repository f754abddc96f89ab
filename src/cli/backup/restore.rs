//! `updates backup restore` and `updates rollback`: shows what will change, asks, does it, and tells how it ended.

use serde_json::{Value, json};
use updates::record::{ExitStatus, ModuleStatus, RunRecord};
use updates::supervisor::{Goal, Prospect, Supervisor, before_rollback};
use updates_protocol::ModuleName;

use super::super::Session;
use super::super::args::RestoreArgs;
use super::super::error::CliError;
use super::super::style::{Painter, Tone, printable};
use super::ask::{Answer, ask};
use super::bar::Bar;
use super::changes::{Told, changes_json, changes_text};
use super::words::{count, created, saved};

/// Puts a module back.
pub fn restore(
    session: &Session<'_>,
    supervisor: &Supervisor,
    goal: Goal,
    module: &ModuleName,
    named: Option<&str>,
    arguments: &RestoreArgs,
) -> Result<ExitStatus, CliError> {
    let waiting = arguments.wait.duration();
    let prospect = {
        let mut bar = Bar::new(session);
        supervisor.prospect(goal, module, named, arguments.force_start, waiting, &mut bar)?
    };
    let json = |done: bool, record: Option<&RunRecord>| {
        json!({
            "module": prospect.module,
            "slot": prospect.label,
            "created": created(&prospect.backup).to_string(),
            "changes": changes_json(&prospect.differences),
            "code": prospect.code.as_ref().map(|code| json!({"installed": code.installed, "then": code.then})),
            "done": done,
            "run": record,
        })
    };
    if prospect.is_empty() {
        session.print(&json(false, None), || {
            format!(
                "{module}: nothing to do; everything is as in {}, saved {}\n",
                prospect.label,
                saved(&prospect.backup)
            )
        })?;
        return Ok(ExitStatus::Success);
    }
    if !session.global.json && !session.global.quiet {
        session.print(&Value::Null, || shown(&prospect, session.global.verbose > 0, &session.painter()))?;
    }
    let question = match goal {
        Goal::Restore => "Put it back?",
        Goal::Rollback => "Roll it back?",
    };
    match ask(session, &supervisor.cancel, arguments.yes, question)? {
        Answer::Yes => {}
        Answer::No => {
            session.print(&json(false, None), || "nothing was changed\n".to_owned())?;
            return Ok(ExitStatus::Success);
        }
        Answer::NoTerminal => {
            if session.global.json {
                session.print(&json(false, None), String::new)?;
            }
            return Err(CliError::NotAsked(
                "nothing was changed: there is no terminal to ask on; --yes agrees".to_owned(),
            ));
        }
    }
    let record = {
        let mut bar = Bar::new(session);
        supervisor.carry_out(&prospect, waiting, &mut bar)?
    };
    let status = record.status.unwrap_or(ExitStatus::InternalError);
    if session.global.json || !(session.global.quiet && status == ExitStatus::Success) {
        session.print(&json(status == ExitStatus::Success, Some(&record)), || {
            done(&prospect, &record, &session.painter())
        })?;
    }
    Ok(status)
}

fn shown(prospect: &Prospect, all: bool, painter: &Painter) -> String {
    let Prospect { module, label, backup, differences, code, forced_start, .. } = prospect;
    let title = format!("{module} goes back to {label}, saved {}:", saved(backup));
    let mut text = format!("{}\n", painter.paint(Tone::Strong, &title));
    text.push_str(&changes_text(differences, Told::Back, all));
    if differences.is_empty() && prospect.unsettled {
        text.push_str("    nothing differs; that settles what could not be put back before\n");
    }
    if *forced_start && !backup.manifest().header.services.is_empty() {
        let units: Vec<_> = backup.manifest().header.services.keys().map(|unit| unit.with_suffix()).collect();
        text.push_str(&format!("    {:<12} {}\n", "start", units.join(", ")));
    }
    if let Some(code) = code {
        let (installed, then) = (printable(&code.installed), printable(&code.then));
        text.push_str(&format!(
            "  The module's code stays at {installed}; before, {then} had run. The next run brings its changes again, \
             unless: updates disable {module}\n"
        ));
    }
    let name = before_rollback(module);
    if prospect.saves_present() {
        text.push_str(&format!("  What is there now is saved first, as updates/{name}.\n"));
    } else if prospect.goal() == Goal::Rollback {
        text.push_str(&format!(
            "  What is there now is half put back, and not saved; updates/{name} stays as it is.\n"
        ));
    }
    text
}

fn done(prospect: &Prospect, record: &RunRecord, painter: &Painter) -> String {
    let module = &prospect.module;
    let mut text = String::new();
    for problem in &record.problems {
        text.push_str(&format!("{} {}\n", painter.paint(Tone::Warn, "!"), printable(problem)));
    }
    let Some(ended) = record.modules.last() else { return text };
    let rollback = ended.rollback.as_ref();
    let (paths, steps) = rollback.map_or((0, &[][..]), |rollback| (rollback.restored.len(), &rollback.services[..]));
    if ended.status != ModuleStatus::Restored {
        let error = rollback.and_then(|rollback| rollback.error.as_deref()).unwrap_or("it could not be put back");
        text.push_str(&format!(
            "{} {}\n",
            painter.paint(Tone::Bad, &format!("{module}: NOT put back:")),
            printable(error)
        ));
        return text;
    }
    let steps = if steps.is_empty() { String::new() } else { format!(", {}", printable(&steps.join(", "))) };
    let word = painter.paint(Tone::Good, "put back");
    text.push_str(&format!("{module} is {word} to {}: {}{steps}\n", prospect.label, count(paths as u64, "path")));
    if prospect.saves_present() {
        let name = before_rollback(module);
        text.push_str(&format!("    to take that back: updates backup restore {module} {name}\n"));
    }
    text
}
