//! The tables, and the way from each format to the next; `user_version` counts the formats.

use rusqlite::Connection;

/// One step a format. A step that was released is never edited.
const STEPS: [&str; 1] = ["
CREATE TABLE runs (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id    TEXT NOT NULL UNIQUE,
    kind      TEXT NOT NULL,
    started   TEXT NOT NULL,
    ended     TEXT,
    status    TEXT,
    log_bytes INTEGER NOT NULL DEFAULT 0,
    record    TEXT NOT NULL
) STRICT;
CREATE TABLE results (
    run     INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    module  TEXT NOT NULL,
    record  TEXT NOT NULL,
    PRIMARY KEY (module, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX results_of_run ON results (run);
CREATE TABLE logs (
    line    INTEGER PRIMARY KEY,
    run     INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    module  TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    phase   TEXT NOT NULL,
    time    INTEGER NOT NULL,
    level   TEXT NOT NULL,
    source  TEXT NOT NULL,
    message TEXT NOT NULL
) STRICT;
CREATE INDEX logs_of_run ON logs (run, module);
-- No reference to runs: what was running must be put back even when the rest of the history is gone.
CREATE TABLE in_flight (
    module  TEXT PRIMARY KEY,
    run_id  TEXT NOT NULL,
    phase   TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    tries   INTEGER NOT NULL DEFAULT 0,
    payload TEXT NOT NULL
) STRICT;
"];

/// The newest format.
pub(super) const NEWEST: i64 = STEPS.len() as i64;

/// The format of an open database; 0 is an empty one.
pub(super) fn format(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings the database from `format` to the newest, each step whole or not at all.
pub(super) fn migrate(connection: &mut Connection, format: i64) -> rusqlite::Result<()> {
    for (number, step) in (1i64..).zip(STEPS).filter(|(number, _)| *number > format) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}
