//! Writing a run: its beginning, its modules, its log, its end.

use rusqlite::params;
use serde::Serialize;
use serde_json::Value;
use updates_protocol::RunId;

use super::{History, HistoryError, prune};
use crate::record::{LogLine, ModuleRecord, RunRecord};

impl History {
    /// Notes that a run has begun. From now on until it has ended with nothing in flight, the marker stands.
    pub fn begin_run(&mut self, record: &RunRecord) -> Result<(), HistoryError> {
        let marked = self.mark();
        let failed = self.failed("note a run in");
        let (text, kind) = (self.json(record)?, word(&record.kind));
        self.reader
            .connection
            .execute(
                "INSERT INTO runs (run_id, kind, started, record) VALUES (?1, ?2, ?3, ?4)",
                params![record.run_id.as_str(), kind, record.started, text],
            )
            .map_err(failed)?;
        marked
    }

    /// Keeps what became of one module while the run goes on, so that it is known even when the run is interrupted.
    pub fn record_module(&mut self, run_id: &RunId, record: &ModuleRecord) -> Result<(), HistoryError> {
        let failed = self.failed("write a module's result to");
        let text = self.json(record)?;
        self.reader
            .connection
            .prepare_cached(
                "INSERT OR REPLACE INTO results (run, module, record)
                 SELECT number, ?2, ?3 FROM runs WHERE run_id = ?1",
            )
            .and_then(|mut statement| statement.execute(params![run_id.as_str(), record.module, text]))
            .map_err(failed)?;
        Ok(())
    }

    /// Drops a run that came to nothing.
    pub fn forget_run(&mut self, run_id: &RunId) -> Result<(), HistoryError> {
        let failed = self.failed("drop a run from");
        let connection = &self.reader.connection;
        connection.execute("DELETE FROM runs WHERE run_id = ?1", [run_id.as_str()]).map_err(failed)?;
        self.unmark()
    }

    /// Appends lines to the log of a run, all or none.
    pub fn append_logs(&mut self, run_id: &RunId, lines: &[LogLine]) -> Result<(), HistoryError> {
        if lines.is_empty() {
            return Ok(());
        }
        let failed = self.failed("write the log to");
        let append = || {
            let transaction = self.reader.connection.unchecked_transaction()?;
            let run: i64 =
                transaction
                    .query_row("SELECT number FROM runs WHERE run_id = ?1", [run_id.as_str()], |row| row.get(0))?;
            let mut bytes = 0;
            let mut insert = transaction.prepare_cached(
                "INSERT INTO logs (run, module, attempt, phase, time, level, source, message)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            for line in lines {
                bytes += line.message.len();
                insert.execute(params![
                    run,
                    line.module.as_str(),
                    line.attempt,
                    line.phase.as_str(),
                    i64::try_from(line.time).unwrap_or(i64::MAX),
                    line.level.as_str(),
                    word(&line.source),
                    line.message,
                ])?;
            }
            drop(insert);
            transaction
                .prepare_cached("UPDATE runs SET log_bytes = log_bytes + ?2 WHERE number = ?1")?
                .execute(params![run, i64::try_from(bytes).unwrap_or(i64::MAX)])?;
            transaction.commit()
        };
        append().map_err(failed)
    }

    /// Keeps the whole record of a run that has ended, durably, and drops what is beyond the bounds.
    pub fn finish_run(&mut self, record: &RunRecord) -> Result<(), HistoryError> {
        let failed = self.failed("write a run to");
        let text = self.json(record)?;
        let modules: Vec<(&str, String)> = record
            .modules
            .iter()
            .map(|module| Ok((module.module.as_str(), self.json(module)?)))
            .collect::<Result<_, HistoryError>>()?;
        self.durably(|connection| {
            let transaction = connection.unchecked_transaction()?;
            let run: i64 = transaction.query_row(
                "INSERT INTO runs (run_id, kind, started, ended, status, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (run_id) DO UPDATE SET ended = ?4, status = ?5, record = ?6 RETURNING number",
                params![
                    record.run_id.as_str(),
                    word(&record.kind),
                    record.started,
                    record.ended,
                    record.status.as_ref().map(word),
                    text
                ],
                |row| row.get(0),
            )?;
            transaction.execute("DELETE FROM results WHERE run = ?1", [run])?;
            let mut insert =
                transaction.prepare("INSERT OR REPLACE INTO results (run, module, record) VALUES (?1, ?2, ?3)")?;
            for (module, text) in &modules {
                insert.execute(params![run, module, text])?;
            }
            drop(insert);
            prune::prune(&transaction)?;
            transaction.commit()
        })
        .map_err(failed)?;
        self.unmark()
    }

    fn json(&self, record: &impl Serialize) -> Result<String, HistoryError> {
        serde_json::to_string(record).map_err(|source| HistoryError::Record { path: self.reader.path.clone(), source })
    }
}

/// The word that a value is written as in JSON; empty for a value that is no word.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}
