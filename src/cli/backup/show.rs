//! `updates backup show`: one slot, and with `--diff` what is otherwise now.

use std::os::unix::ffi::OsStrExt;

use serde_json::json;
use updates::record::ExitStatus;
use updates::state::{Backup, Size, StateError, Totals};
use updates::supervisor::{Differences, Slot, Slots, Supervisor};
use updates_protocol::{Database, DeclaredPath, ModuleName};

use super::super::Session;
use super::super::error::CliError;
use super::super::style::{Painter, Tone, printable};
use super::super::summary::first_line;
use super::super::table::table;
use super::changes::{Told, changes_json, changes_text};
use super::words::{backup_json, kind, merged, saved, size, slot_json, unit};

/// Shows it.
pub fn show(
    session: &Session<'_>,
    supervisor: &Supervisor,
    module: &ModuleName,
    named: Option<&str>,
    diff: bool,
) -> Result<ExitStatus, CliError> {
    let slots = Slots::list(&session.layout)?;
    let slot = slots.choose(module, named)?;
    let backup = match &slot.backup {
        Ok(backup) => backup,
        Err(error) => return damaged(session, slot, error),
    };
    let differences = if diff { Some(supervisor.differences(slot, backup)?) } else { None };
    let header = &backup.manifest().header;
    let totals = backup.totals()?;
    let notes: Vec<String> = backup.notes()?.iter().map(ToString::to_string).collect();
    let mut json = merged(slot_json(slot), backup_json(backup, &totals));
    json = merged(
        json,
        json!({"states": header.services, "left_out": header.left_out, "notes": notes, "dumps": header.databases}),
    );
    if let Some(differences) = &differences {
        json["differences"] = changes_json(differences);
    }
    session.print(&json, || {
        let painter = session.painter();
        let mut text = words(slot, backup, &totals, &notes, &painter);
        if let Some(differences) = &differences {
            text.push_str(&told(differences, session.global.verbose > 0));
        }
        text
    })?;
    Ok(ExitStatus::Success)
}

fn told(differences: &Differences, all: bool) -> String {
    match differences.is_empty() {
        true => "Nothing differs now.\n".to_owned(),
        false => format!("What differs now:\n{}", changes_text(differences, Told::Now, all)),
    }
}

fn words(slot: &Slot, backup: &Backup, totals: &Totals, notes: &[String], painter: &Painter) -> String {
    let header = &backup.manifest().header;
    let mut rows = vec![
        ("module", slot.module.to_string()),
        ("what", format!("{}: {}", kind(slot.kind), first_line(&header.description, 200))),
        ("saved", saved(backup)),
        ("size", size(totals)),
        ("place", slot.path().display().to_string()),
    ];
    let mut list = |title: &'static str, items: Vec<String>| {
        let title_then_none = std::iter::once(title).chain(std::iter::repeat(""));
        rows.extend(title_then_none.zip(items.into_iter().map(|item| printable(&item).replace('\n', "\\n"))));
    };
    list("paths", header.paths.iter().map(ToString::to_string).collect());
    // The files of a database are in its dump, and are told of there.
    let is_dumped = |path: &DeclaredPath| header.databases.iter().any(|saved| is_file_of(path, &saved.database));
    list("left alone", header.left_out.iter().filter(|path| !is_dumped(path)).map(ToString::to_string).collect());
    list("services", header.services.iter().map(|(name, state)| unit(name, state)).collect());
    let databases = header.databases.iter().map(|saved| match &saved.dump {
        Some(dump) => format!("{}: databases/{}, {}", saved.database, dump.file, Size(dump.size)),
        None => format!("{}: it did not exist", saved.database),
    });
    list("databases", databases.collect());
    list("note", notes.to_vec());
    let rows: Vec<_> = rows.into_iter().map(|(key, value)| vec![format!("  {key}"), value]).collect();
    format!("{}\n{}", painter.paint(Tone::Strong, &slot.label), table(&rows))
}

/// Whether `path` is an SQLite database or one of the files that SQLite keeps beside it; see <https://sqlite.org/tempfiles.html>.
fn is_file_of(path: &DeclaredPath, database: &Database) -> bool {
    let Database::Sqlite { database } = database else { return false };
    let beside = path.as_path().as_os_str().as_bytes().strip_prefix(database.as_path().as_os_str().as_bytes());
    matches!(beside, Some(b"" | b"-journal" | b"-wal" | b"-shm"))
}

/// What a slot that can't be used was is not known; why, and what to do, is.
fn damaged(session: &Session<'_>, slot: &Slot, error: &StateError) -> Result<ExitStatus, CliError> {
    let json = merged(slot_json(slot), json!({"problem": error.to_string(), "way_out": slot.way_out()}));
    session.print(&json, || {
        let label = session.painter().paint(Tone::Bad, &format!("{}:", slot.label));
        format!("{label} {}; {}\n", printable(&error.to_string()), slot.way_out())
    })?;
    Ok(match error {
        StateError::Damaged { .. } => ExitStatus::RollbackFailed,
        _ => ExitStatus::InternalError,
    })
}
