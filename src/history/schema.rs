//! The tables, by `PRAGMA user_version`: each version is one step from the one before.

use rusqlite::Connection;

/// What this program writes, and the newest that it reads.
pub(super) const VERSION: u32 = 1;

const STEPS: [&str; VERSION as usize] = ["
CREATE TABLE runs (
    run_id  TEXT PRIMARY KEY,
    kind    TEXT NOT NULL,
    started TEXT NOT NULL,
    record  TEXT NOT NULL
) STRICT;
CREATE TABLE modules (
    run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
    module TEXT NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX modules_by_module ON modules (module, run_id);
CREATE INDEX modules_by_run ON modules (run_id);
CREATE TABLE logs (
    id     INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
    module TEXT NOT NULL,
    line   TEXT NOT NULL
) STRICT;
CREATE INDEX logs_by_run ON logs (run_id, module);
CREATE TABLE in_flight (
    module TEXT PRIMARY KEY,
    run_id TEXT NOT NULL,
    phase  TEXT NOT NULL,
    tries  INTEGER NOT NULL DEFAULT 0
) STRICT;
"];

/// Brings the tables to [`VERSION`]; each step is one transaction.
pub(super) fn migrate(connection: &Connection) -> rusqlite::Result<()> {
    let version = version(connection)?;
    for (index, step) in STEPS.iter().enumerate().skip(version as usize) {
        connection.execute_batch(&format!("BEGIN IMMEDIATE;{step}PRAGMA user_version = {};COMMIT;", index + 1))?;
    }
    Ok(())
}

/// The version of the tables that are there.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}
