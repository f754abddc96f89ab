//! Whatever is done to a database between dump and restore, sqlite3's own `.dump` says the same afterwards.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use rusqlite::Connection;
use updates::database::{self, Access, Passwords};
use updates_protocol::{Database, DeclaredPath};

/// A statement over three tables; what does not fit their state fails, and is none.
fn statement() -> impl Strategy<Value = String> {
    let table = || (0u8..3).prop_map(|number| format!("t{number}"));
    prop_oneof![
        2 => table().prop_map(|table| format!("CREATE TABLE {table}(a INTEGER PRIMARY KEY, b)")),
        6 => (table(), any::<i8>(), 0u16..3000)
            .prop_map(|(table, key, size)| format!("INSERT OR REPLACE INTO {table} VALUES ({key}, zeroblob({size}))")),
        2 => (table(), any::<i8>()).prop_map(|(table, key)| format!("DELETE FROM {table} WHERE a > {key}")),
        2 => (table(), any::<i8>()).prop_map(|(table, text)| format!("UPDATE {table} SET b = 'text {text}'")),
        1 => table().prop_map(|table| format!("CREATE INDEX i{table} ON {table}(b)")),
        1 => table().prop_map(|table| format!("DROP TABLE {table}")),
        1 => (0u8..3).prop_map(|number| format!("PRAGMA page_size = {}", 512 << number)),
        1 => any::<bool>().prop_map(|wal| format!("PRAGMA journal_mode = {}", if wal { "WAL" } else { "DELETE" })),
        1 => any::<u8>().prop_map(|number| format!("PRAGMA user_version = {number}")),
        1 => (0u8..1).prop_map(|_| "VACUUM".to_owned()),
    ]
}

fn perform(path: &Path, statements: &[String]) {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "synchronous", "OFF").unwrap();
    for statement in statements {
        drop(connection.execute_batch(statement));
    }
}

fn told(path: &Path) -> String {
    let output = Command::new("sqlite3")
        .arg(path)
        .args([".dump", "PRAGMA page_size; PRAGMA journal_mode; PRAGMA user_version; PRAGMA integrity_check"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn any_statements_between_dump_and_restore_are_undone() {
    let passwords = Passwords::default();
    let name = Database::Sqlite { database: DeclaredPath::new("/app.db").unwrap() };
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let statements = || proptest::collection::vec(statement(), 1..25);
    runner
        .run(&(statements(), statements()), |(before, after)| {
            let (machine, dumps) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let timeout = Duration::from_secs(60);
            let access =
                Access { root: machine.path(), passwords: &passwords, timeout, interrupt: None, by_content: false };
            let path = machine.path().join("app.db");
            perform(&path, &before);
            let expected = told(&path);
            let saved = database::dump(&name, 0, dumps.path(), &access).unwrap();
            database::verify(&saved, dumps.path()).unwrap();
            perform(&path, &after);
            database::restore(&saved, dumps.path(), &access).unwrap();
            assert_eq!(told(&path), expected);
            assert_eq!(database::is_as_saved(&saved, dumps.path(), &access).unwrap(), Some(true));
            Ok(())
        })
        .unwrap();
}
