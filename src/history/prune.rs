//! The bounds of the history: how many runs, and how much log.

use rusqlite::{Transaction, params};

/// Runs that are kept, with their results.
pub(super) const RUNS: i64 = 1000;
/// Runs whose log is kept.
pub(super) const LOGGED_RUNS: i64 = 100;
/// Bytes of log messages that are kept. The newest run's log stays in any case.
pub(super) const LOG_BYTES: i64 = 64 << 20;

/// Drops the oldest of what is beyond the bounds.
pub(super) fn prune(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute(
        "DELETE FROM runs WHERE number <= (SELECT number FROM runs ORDER BY number DESC LIMIT 1 OFFSET ?1)",
        [RUNS],
    )?;
    let oldest: Option<i64> = transaction.query_row(
        "SELECT max(number) FROM (
             SELECT number, row_number() OVER newest AS position, sum(log_bytes) OVER newest AS bytes
             FROM runs WINDOW newest AS (ORDER BY number DESC)
         ) WHERE position > 1 AND (position > ?1 OR bytes > ?2)",
        params![LOGGED_RUNS, LOG_BYTES],
        |row| row.get(0),
    )?;
    if let Some(number) = oldest {
        transaction.execute("DELETE FROM logs WHERE run <= ?1", [number])?;
        transaction.execute("UPDATE runs SET log_bytes = 0 WHERE number <= ?1 AND log_bytes > 0", [number])?;
    }
    Ok(())
}
