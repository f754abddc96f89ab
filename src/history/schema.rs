//! The tables, and the way from each format to the next.
//!
//! Formats are counted by the steps that lead to them, and the table `format` has the count. `user_version` has the oldest
//! format whose programs can still read and write what is there: a step that only adds leaves it as it is, so that going
//! back to an older program costs nothing. Before one that does more, a copy is kept for that program (`copies.rs`).

use rusqlite::Connection;

use super::HistoryError;

/// What leads from one format to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    sql: &'static str,
    /// Whether programs that know only the formats before can't use the outcome: a table or column that they name is
    /// gone or means something else, or a row that they write would be refused.
    breaks: bool,
}

/// A step that was released is never edited.
const STEPS: [Step; 2] = [
    Step { sql: FIRST, breaks: true },
    Step { sql: "CREATE TABLE format (number INTEGER NOT NULL) STRICT; INSERT INTO format VALUES (2)", breaks: false },
];

const FIRST: &str = "
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
";

/// The newest format that this program knows.
pub(super) const NEWEST: i64 = STEPS.len() as i64;

/// The format of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    /// Steps that were taken; 0 is an empty database.
    pub number: i64,
    /// The oldest format whose programs can use it.
    pub readable_from: i64,
}

impl Format {
    /// The format of an open database.
    pub fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let readable_from: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        // The first format has no table to say so.
        let number = match connection.table_exists(None, "format")? {
            true => connection.query_row("SELECT max(number) FROM format", [], |row| row.get(0))?,
            false => readable_from,
        };
        Ok(Self { number, readable_from })
    }

    /// Whether this program can use it.
    pub fn is_readable(self) -> bool {
        self.readable_from <= NEWEST
    }
}

/// Brings the database from `format` to the newest, each step whole or not at all. `keep` is called before the first that
/// older programs could not use the outcome of, with the format that they can.
pub(super) fn migrate(
    connection: &mut Connection,
    format: Format,
    keep: impl Fn(&Connection, i64) -> Result<(), HistoryError>,
    failed: impl Fn(rusqlite::Error) -> HistoryError,
) -> Result<(), HistoryError> {
    steps(connection, format, &STEPS, keep, failed)
}

pub(super) fn steps(
    connection: &mut Connection,
    format: Format,
    steps: &[Step],
    keep: impl Fn(&Connection, i64) -> Result<(), HistoryError>,
    failed: impl Fn(rusqlite::Error) -> HistoryError,
) -> Result<(), HistoryError> {
    let mut at = format.number;
    for (number, step) in (1i64..).zip(steps).filter(|(number, _)| *number > format.number) {
        // An empty database is nothing to go back to.
        if step.breaks && at > 0 {
            keep(connection, at)?;
        }
        take(connection, number, *step).map_err(&failed)?;
        at = number;
    }
    Ok(())
}

fn take(connection: &mut Connection, number: i64, step: Step) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(step.sql)?;
    if step.breaks {
        transaction.pragma_update(None, "user_version", number)?;
    }
    if transaction.table_exists(None, "format")? {
        transaction.execute("UPDATE format SET number = ?1", [number])?;
    }
    transaction.commit()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The formats of this program, and two that a later one could have: one that adds, and one that does more.
    pub(in super::super) fn later() -> Vec<Step> {
        let adds = Step { sql: "ALTER TABLE runs ADD COLUMN host TEXT", breaks: false };
        let breaks = Step { sql: "ALTER TABLE results RENAME TO module_results", breaks: true };
        STEPS.into_iter().chain([adds, breaks]).collect()
    }
}
