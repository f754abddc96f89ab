//! Lines of modules' logs, in the order in which they were said.

use rusqlite::params;
use updates_protocol::{ModuleName, RunId};

use super::{History, HistoryError};
use crate::record::LogLine;

impl History {
    /// Adds lines to a run's log, in one transaction.
    pub fn append_logs(&self, run_id: &RunId, lines: &[LogLine]) -> Result<(), HistoryError> {
        let work = || {
            let transaction = self.connection.unchecked_transaction()?;
            {
                let mut insert =
                    transaction.prepare_cached("INSERT INTO logs (run_id, module, line) VALUES (?1, ?2, ?3)")?;
                for line in lines {
                    let text = serde_json::to_string(line).unwrap_or_default();
                    insert.execute(params![run_id.as_str(), line.module.as_str(), text])?;
                }
            }
            transaction.commit()
        };
        work().map_err(|error| self.sqlite(error))
    }

    /// The log of a run, or one module's part of it.
    pub fn logs(&self, run_id: &RunId, module: Option<&ModuleName>) -> Result<Vec<LogLine>, HistoryError> {
        let read = || {
            self.connection
                .prepare_cached("SELECT line FROM logs WHERE run_id = ?1 AND (?2 IS NULL OR module = ?2) ORDER BY id")?
                .query_map(params![run_id.as_str(), module.map(ModuleName::as_str)], |row| row.get::<_, String>(0))?
                .collect::<Result<Vec<_>, _>>()
        };
        let rows = read().map_err(|error| self.sqlite(error))?;
        rows.iter().map(|row| serde_json::from_str(row).map_err(|error| self.unreadable(error))).collect()
    }
}
