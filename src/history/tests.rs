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
        outside_window: None,
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

// faults: 64
#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let place = Place::new();
    place.open().reader().connection.pragma_update(None, "user_version", 99).unwrap();
    let error = History::open(&place.path()).unwrap_err().to_string();
    assert!(error.contains("has format 99, this version reads up to 2; where no copy was kept"), "{error}");
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

/// Does to the database what a later release would, up to the step after `steps`.
fn bring_forward(place: &Place, steps: usize) {
    let mut connection = rusqlite::Connection::open(place.path()).unwrap();
    let format = schema::Format::of(&connection).unwrap();
    let keep = |connection: &rusqlite::Connection, number| copies::keep(connection, &place.path(), number);
    let failed = |source| HistoryError::Database { action: "open", path: place.path(), source };
    schema::steps(&mut connection, format, &schema::tests::later()[..steps], keep, failed).unwrap();
}

#[test]
fn a_later_format_that_only_adds_is_read_and_written_by_this_program() {
    let place = Place::new();
    place.open().finish_run(&run(1, &[("nginx", ModuleStatus::Updated)])).unwrap();
    bring_forward(&place, 3);
    let mut history = place.open();
    history.finish_run(&run(2, &[("nginx", ModuleStatus::Succeeded)])).unwrap();
    assert!(history.notes().is_empty());
    assert_eq!(history.reader().runs(9).unwrap().len(), 2);
    // And the later one still knows what it is.
    let format = schema::Format::of(&history.reader().connection).unwrap();
    assert_eq!((format.number, format.readable_from), (3, 1));
}

#[test]
fn the_first_format_is_brought_forward_so_that_its_own_programs_still_read_it() {
    let place = Place::new();
    let mut connection = rusqlite::Connection::open(place.path()).unwrap();
    let failed = |source| HistoryError::Database { action: "open", path: place.path(), source };
    let empty = schema::Format::of(&connection).unwrap();
    schema::steps(&mut connection, empty, &schema::tests::later()[..1], |_, _| Ok(()), failed).unwrap();
    drop(connection);
    let history = place.open();
    let version: i64 = history.reader().connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 1);
    assert_eq!(schema::Format::of(&history.reader().connection).unwrap().number, schema::NEWEST);
}

// faults: 64
#[test]
fn a_format_that_cannot_be_read_gives_way_to_the_copy_that_was_kept_with_what_runs_now() {
    let place = Place::new();
    let mut history = place.open();
    history.finish_run(&run(1, &[("nginx", ModuleStatus::Updated)])).unwrap();
    // In flight when the copy is made, and settled by the later program.
    history.begin_module(&id(1), &name("settled"), Phase::Main, 1, &json!({})).unwrap();
    drop(history);
    bring_forward(&place, 4);
    let later = rusqlite::Connection::open(place.path()).unwrap();
    later.execute("DELETE FROM in_flight", []).unwrap();
    let row = "INSERT INTO in_flight VALUES ('running', '20260101T000000Z-0002', 'main', 1, 0, '{\"x\": 1}')";
    later.execute(row, []).unwrap();
    drop(later);

    let error = HistoryReader::open(&place.path()).unwrap_err().to_string();
    assert!(error.contains("has format 4"), "{error}");
    let history = place.open();
    assert!(history.notes()[0].contains("1 modules that were running come along"), "{:?}", history.notes());
    let in_flight = history.in_flight().unwrap();
    assert_eq!(in_flight.len(), 1, "{in_flight:?}");
    assert_eq!((in_flight[0].module.clone(), in_flight[0].payload.clone()), (name("running"), json!({"x": 1})));
    assert_eq!(history.reader().runs(9).unwrap().len(), 1);
    drop(history);

    // The later program finds what it wrote, and takes the database forward again.
    let newer = fs::read_dir(place.0.path()).unwrap().map(|entry| entry.unwrap().path());
    let newer: Vec<_> = newer.filter(|path| path.to_str().unwrap().contains(".newer-")).collect();
    let newer = rusqlite::Connection::open(&newer[0]).unwrap();
    assert!(newer.table_exists(None, "module_results").unwrap());
    bring_forward(&place, 4);
    assert!(HistoryReader::open(&place.path()).is_err());
    assert!(place.open().notes()[0].contains(".format-3"));
}

#[test]
fn a_copy_that_is_damaged_is_none() {
    let place = Place::new();
    drop(place.open());
    bring_forward(&place, 4);
    let copy = place.0.path().join("updates.db.format-3");
    assert!(copy.exists());
    fs::write(&copy, b"SQLite format 3, but no database").unwrap();
    assert!(matches!(History::open(&place.path()), Err(HistoryError::Newer { .. })));
}
