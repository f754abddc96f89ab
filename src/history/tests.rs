//! The database on real files.

use std::fs;

use updates_protocol::{Level, LogSource, ModuleName, Phase, RunId};

use super::History;
use crate::record::{LogLine, RunKind, RunRecord};

fn record(id: &str, started: &str) -> RunRecord {
    RunRecord {
        run_id: id.parse().unwrap(),
        kind: RunKind::Run,
        started: started.to_owned(),
        ended: None,
        status: None,
        sync: None,
        recovered: Vec::new(),
        updates: Vec::new(),
        modules: Vec::new(),
        problems: Vec::new(),
    }
}

fn line(message: &str) -> LogLine {
    LogLine {
        module: "app".parse().unwrap(),
        attempt: 1,
        phase: Phase::Main,
        time: 1,
        level: Level::Info,
        source: LogSource::Stdout,
        message: message.to_owned(),
    }
}

#[test]
fn a_module_that_is_running_is_seen_by_whoever_opens_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.db");
    let (app, run): (ModuleName, RunId) = ("app".parse().unwrap(), "R1".parse().unwrap());
    let (history, _) = History::open(&path, 10).unwrap();
    history.begin_module(&run, &app, Phase::Main).unwrap();
    let reader = History::open_read_only(&path).unwrap().unwrap();
    assert_eq!(reader.in_flight().unwrap()[0].module, app);
    history.begin_restore(&app).unwrap();
    assert_eq!(reader.in_flight().unwrap()[0].tries, 1);
    history.end_module(&app).unwrap();
    assert!(reader.in_flight().unwrap().is_empty());
}

#[test]
fn runs_are_remembered_up_to_the_limit_and_their_logs_go_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let (history, _) = History::open(&folder.path().join("updates.db"), 2).unwrap();
    for number in 1..=4 {
        let record = record(&format!("R{number}"), &format!("2026-01-0{number}T00:00:00Z"));
        history.begin_run(&record).unwrap();
        history.append_logs(&record.run_id, &[line("one"), line("two")]).unwrap();
        history.finish_run(&record).unwrap();
    }
    let runs: Vec<_> = history.runs(10).unwrap().iter().map(|run| run.run_id.to_string()).collect();
    assert_eq!(runs, ["R4", "R3"]);
    assert_eq!(history.last_cycle().unwrap().unwrap().run_id.as_str(), "R4");
    assert_eq!(history.logs(&"R4".parse().unwrap(), None).unwrap(), [line("one"), line("two")]);
    assert!(history.logs(&"R1".parse().unwrap(), None).unwrap().is_empty());
}

#[test]
fn a_damaged_database_is_kept_aside_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.db");
    fs::write(&path, "this is no database, but somebody may want it").unwrap();
    let (history, note) = History::open(&path, 10).unwrap();
    assert!(note.unwrap().contains("updates.db.damaged-1"));
    assert!(history.runs(1).unwrap().is_empty());
    let kept = fs::read_to_string(folder.path().join("updates.db.damaged-1")).unwrap();
    assert!(kept.contains("somebody may want it"));
}

#[test]
fn a_newer_database_is_left_alone_with_a_clear_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.db");
    drop(History::open(&path, 10).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = History::open(&path, 10).unwrap_err().to_string();
    assert!(error.contains("has version 99"), "{error}");
    assert!(History::open_read_only(&path).is_err());
}
