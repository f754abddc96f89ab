//! The history on real database files: what survives, what is found again, and what a damaged file costs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;
use updates_protocol::{Level, LogSource, ModuleName, Phase, RunId};

use super::*;
use crate::record::{ExitStatus, LogLine, ModuleRecord, ModuleStatus, RunKind, RunRecord};

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("updates.db")
    }

    fn open(&self) -> History {
        History::open(&self.path()).unwrap()
    }
}

fn id(number: usize) -> RunId {
    format!("20260101T000000Z-{number:04}").parse().unwrap()
}

fn name(text: &str) -> ModuleName {
    text.parse().unwrap()
}

fn run(number: usize, modules: &[(&str, ModuleStatus)]) -> RunRecord {
    let module = |(name, status): &(&str, ModuleStatus)| ModuleRecord {
        module: (*name).to_owned(),
        version: None,
        status: *status,
        message: Some(format!("in run {number}")),
        result: None,
        attempts: Vec::new(),
        rollback: None,
        volatile_paths: Vec::new(),
        warnings: Vec::new(),
        ungranted: Vec::new(),
    };
    RunRecord {
        run_id: id(number),
        kind: RunKind::Run,
        started: "2026-01-01T00:00:00Z".to_owned(),
        ended: Some("2026-01-01T00:00:01Z".to_owned()),
        status: Some(ExitStatus::Success),
        sync: None,
        recovered: Vec::new(),
        program: None,
        updates: Vec::new(),
        modules: modules.iter().map(module).collect(),
        problems: Vec::new(),
    }
}

fn begun(number: usize) -> RunRecord {
    RunRecord { ended: None, status: None, ..run(number, &[]) }
}

fn line(module: &str, message: String) -> LogLine {
    LogLine {
        module: name(module),
        attempt: 1,
        phase: Phase::Main,
        time: 7,
        level: Level::Warning,
        source: LogSource::Stderr,
        message,
    }
}

#[test]
fn a_finished_run_is_found_again_whole_by_another_process() {
    let place = Place::new();
    let record = run(1, &[("nginx", ModuleStatus::Updated), ("unbound", ModuleStatus::Succeeded)]);
    let mut history = place.open();
    history.begin_run(&begun(1)).unwrap();
    history.append_logs(&id(1), &[line("nginx", "one".to_owned()), line("unbound", "two".to_owned())]).unwrap();
    history.finish_run(&record).unwrap();

    // Opened beside the writer, as `status` does while a run is on.
    let reader = HistoryReader::open(&place.path()).unwrap().unwrap();
    assert_eq!(reader.run(&RunSelector::Last).unwrap(), Some(record.clone()));
    assert_eq!(reader.run(&"20260101".parse().unwrap()).unwrap(), Some(record));
    assert_eq!(reader.run(&"2027".parse().unwrap()).unwrap(), None);
    let log = reader.logs(&RunSelector::Last, Some(&name("unbound"))).unwrap();
    assert_eq!(log, [StoredLog { run_id: id(1), line: line("unbound", "two".to_owned()) }]);
    assert_eq!(reader.logs(&RunSelector::Last, None).unwrap().len(), 2);
    assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_run_that_was_interrupted_still_tells_what_it_did() {
    let place = Place::new();
    let mut history = place.open();
    history.begin_run(&begun(1)).unwrap();
    history.record_module(&id(1), &run(1, &[("nginx", ModuleStatus::Updated)]).modules[0]).unwrap();
    drop(history);
    let history = place.open();
    let record = history.reader().run(&RunSelector::Last).unwrap().unwrap();
    assert_eq!((record.status, record.modules.len()), (None, 1));
    assert_eq!(history.reader().runs(9).unwrap()[0].ended, None);
}

#[test]
fn the_results_of_a_module_come_newest_first() {
    let place = Place::new();
    let mut history = place.open();
    history.finish_run(&run(1, &[("nginx", ModuleStatus::Updated), ("old", ModuleStatus::Succeeded)])).unwrap();
    history.finish_run(&run(2, &[("nginx", ModuleStatus::RolledBack)])).unwrap();
    history.finish_run(&RunRecord { kind: RunKind::Check, ..run(3, &[("nginx", ModuleStatus::Failed)]) }).unwrap();
    let history_of = history.reader().module_history(&name("nginx"), 2).unwrap();
    assert_eq!(history_of.iter().map(|run| run.run_id.clone()).collect::<Vec<_>>(), [id(3), id(2)]);
    assert_eq!(history.reader().runs(2).unwrap().len(), 2);
}

#[test]
fn what_was_begun_and_not_ended_is_in_flight_at_the_next_start() {
    let place = Place::new();
    let mut history = place.open();
    for module in ["a", "b"] {
        history.begin_module(&id(1), &name(module), Phase::Main, 1, &json!({"checkpoint": module})).unwrap();
    }
    history.end_module(&name("a")).unwrap();
    history.begin_module(&id(1), &name("b"), Phase::Main, 2, &json!({"checkpoint": "b2"})).unwrap();
    // Not closed: as a killed process leaves it.
    let _unclosed = std::mem::ManuallyDrop::new(history);

    let mut history = place.open();
    let expected = InFlight {
        module: name("b"),
        run_id: id(1),
        phase: Phase::Main,
        attempt: 2,
        tries: 0,
        payload: json!({"checkpoint": "b2"}),
    };
    assert_eq!(history.in_flight().unwrap(), [expected]);
    assert_eq!(history.count_try(&name("b")).unwrap(), 1);
    assert_eq!(history.count_try(&name("b")).unwrap(), 2);
    assert_eq!(place.open().in_flight().unwrap()[0].tries, 2);
}

#[test]
fn logs_beyond_the_bounds_go_and_results_stay() {
    let place = Place::new();
    let mut history = place.open();
    for number in 0..=prune::LOGGED_RUNS.unsigned_abs() as usize {
        history.begin_run(&begun(number)).unwrap();
        history.append_logs(&id(number), &[line("m", "x".to_owned())]).unwrap();
        history.finish_run(&run(number, &[("m", ModuleStatus::Succeeded)])).unwrap();
    }
    let logs =
        |history: &History, number| history.reader().logs(&RunSelector::Id(id(number).into()), None).unwrap().len();
    assert_eq!((logs(&history, 0), logs(&history, 1)), (0, 1));
    assert_eq!(history.reader().module_history(&name("m"), 1000).unwrap().len(), 101);

    history.begin_run(&begun(200)).unwrap();
    let big = line("m", "x".repeat(1 << 20));
    history.append_logs(&id(200), &vec![big; 65]).unwrap();
    history.finish_run(&run(200, &[])).unwrap();
    assert_eq!((logs(&history, 100), logs(&history, 200)), (0, 65));
}

#[test]
fn a_corrupt_database_is_kept_aside_and_a_new_one_begins() {
    let place = Place::new();
    fs::write(place.path(), b"this is no database, however long one reads in it").unwrap();
    let history = place.open();
    assert_eq!(history.reader().runs(9).unwrap(), []);
    let note = &history.notes()[0];
    assert!(note.contains("updates.db.corrupt-") && note.contains("a new history begins"), "{note}");
    let kept = fs::read_dir(place.0.path()).unwrap().map(|entry| entry.unwrap().path());
    let kept = kept.filter(|path| path.to_str().unwrap().contains(".corrupt-")).collect::<Vec<_>>();
    assert!(fs::read(&kept[0]).unwrap().starts_with(b"this is no database"));
    drop(history);
    assert!(place.open().notes().is_empty());
}

#[test]
fn modules_in_flight_are_saved_from_a_damaged_database() {
    let place = Place::new();
    let mut history = place.open();
    history.begin_module(&id(1), &name("nginx"), Phase::Main, 1, &json!({"checkpoint": "c"})).unwrap();
    let page: i64 = history
        .reader()
        .connection
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'runs'", [], |row| row.get(0))
        .unwrap();
    let size: i64 = history.reader().connection.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    // What is in the log only can't be damaged in the file.
    history.reader().connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(history);
    let mut bytes = fs::read(place.path()).unwrap();
    let at = usize::try_from((page - 1) * size).unwrap();
    bytes[at..at + 100].fill(0xff);
    fs::write(place.path(), bytes).unwrap();

    let history = place.open();
    assert_eq!(history.notes().len(), 1);
    assert_eq!(history.in_flight().unwrap()[0].module, name("nginx"));
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let place = Place::new();
    place.open().reader().connection.pragma_update(None, "user_version", 99).unwrap();
    let error = History::open(&place.path()).unwrap_err().to_string();
    assert!(error.contains("has format 99, this version reads up to 1"), "{error}");
    assert!(HistoryReader::open(&place.path()).is_err());
    assert_eq!(
        fs::read_dir(place.0.path())
            .unwrap()
            .filter(|e| e.as_ref().unwrap().path().to_str().unwrap().contains("corrupt"))
            .count(),
        0
    );
}

#[test]
fn where_there_is_no_history_yet_there_is_nothing_to_read() {
    let place = Place::new();
    assert!(HistoryReader::open(&place.path()).unwrap().is_none());
    fs::write(place.path(), b"").unwrap();
    assert!(HistoryReader::open(&place.path()).unwrap().is_none());
}

#[test]
fn what_is_noted_with_a_running_module_is_there_at_the_next_start_and_only_with_one_that_runs() {
    let place = Place::new();
    let mut history = place.open();
    history.begin_module(&id(1), &name("a"), Phase::Main, 1, &json!(null)).unwrap();
    history.note_payload(&name("a"), &json!({"units": {"web": 1}})).unwrap();
    history.note_payload(&name("a"), &json!({"units": {"web": 2}})).unwrap();
    assert!(history.note_payload(&name("b"), &json!({})).is_err());
    // Not closed: as a killed process leaves it.
    let _unclosed = std::mem::ManuallyDrop::new(history);
    assert_eq!(place.open().in_flight().unwrap()[0].payload, json!({"units": {"web": 2}}));
}
