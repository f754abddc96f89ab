//! Records of runs: written when a run begins and ends, read by id, by module, or newest first.

use rusqlite::{OptionalExtension, params};
use updates_protocol::{ModuleName, RunId};

use super::{History, HistoryError};
use crate::record::{ModuleRecord, RunKind, RunRecord};

/// One module's part in one run: the run, when it began, and what became of the module.
type ModuleRow = (RunId, String, ModuleRecord);

impl History {
    /// Stores a run that begins. It stays as "not finished" when the program is killed.
    pub fn begin_run(&self, record: &RunRecord) -> Result<(), HistoryError> {
        self.store(record)
    }

    /// Stores a run that has ended, whole, and forgets the oldest ones.
    pub fn finish_run(&self, record: &RunRecord) -> Result<(), HistoryError> {
        let work = || {
            let transaction = self.connection.unchecked_transaction()?;
            transaction.execute("DELETE FROM modules WHERE run_id = ?1", [record.run_id.as_str()])?;
            {
                let mut insert =
                    transaction.prepare_cached("INSERT INTO modules (run_id, module, record) VALUES (?1, ?2, ?3)")?;
                for module in &record.modules {
                    insert.execute(params![record.run_id.as_str(), module.module, json(module)])?;
                }
            }
            transaction.execute(
                "UPDATE runs SET record = ?2 WHERE run_id = ?1",
                params![record.run_id.as_str(), json(record)],
            )?;
            transaction.execute(
                "DELETE FROM runs WHERE run_id NOT IN (SELECT run_id FROM runs ORDER BY run_id DESC LIMIT ?1)",
                [i64::try_from(self.keep_runs).unwrap_or(i64::MAX)],
            )?;
            transaction.commit()
        };
        work().map_err(|error| self.sqlite(error))
    }

    fn store(&self, record: &RunRecord) -> Result<(), HistoryError> {
        let kind = serde_json::to_value(record.kind).unwrap_or_default();
        self.connection
            .execute(
                "INSERT OR REPLACE INTO runs (run_id, kind, started, record) VALUES (?1, ?2, ?3, ?4)",
                params![record.run_id.as_str(), kind.as_str().unwrap_or_default(), record.started, json(record)],
            )
            .map(drop)
            .map_err(|error| self.sqlite(error))
    }

    /// The record of a run.
    pub fn run(&self, run_id: &RunId) -> Result<Option<RunRecord>, HistoryError> {
        self.one("SELECT record FROM runs WHERE run_id = ?1", &[run_id.as_str()])
    }

    /// The newest run of modules: a cycle or a single runner.
    pub fn last(&self) -> Result<Option<RunRecord>, HistoryError> {
        self.one("SELECT record FROM runs ORDER BY started DESC, run_id DESC LIMIT 1", &[])
    }

    /// The newest cycle, which `status` is about.
    pub fn last_cycle(&self) -> Result<Option<RunRecord>, HistoryError> {
        let kind = serde_json::to_value(RunKind::Run).unwrap_or_default();
        self.one(
            "SELECT record FROM runs WHERE kind = ?1 ORDER BY started DESC, run_id DESC LIMIT 1",
            &[kind.as_str().unwrap_or_default()],
        )
    }

    /// The newest runs, newest first.
    pub fn runs(&self, limit: usize) -> Result<Vec<RunRecord>, HistoryError> {
        let read = || {
            self.connection
                .prepare_cached("SELECT record FROM runs ORDER BY started DESC, run_id DESC LIMIT ?1")?
                .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get::<_, String>(0))?
                .collect::<Result<Vec<_>, _>>()
        };
        let rows = read().map_err(|error| self.sqlite(error))?;
        rows.iter().map(|row| self.parse(row)).collect()
    }

    /// What became of one module in the newest runs, newest first.
    pub fn module_history(&self, module: &ModuleName, limit: usize) -> Result<Vec<ModuleRow>, HistoryError> {
        let read = || {
            self.connection
                .prepare_cached(
                    "SELECT run_id, started, modules.record FROM modules JOIN runs USING (run_id) \
                     WHERE module = ?1 ORDER BY started DESC, run_id DESC LIMIT ?2",
                )?
                .query_map(params![module.as_str(), i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
                })?
                .collect::<Result<Vec<_>, _>>()
        };
        let rows = read().map_err(|error| self.sqlite(error))?;
        rows.into_iter()
            .map(|(run_id, started, record)| {
                Ok((run_id.parse().map_err(|error| self.unreadable(error))?, started, self.parse(&record)?))
            })
            .collect()
    }

    fn one(&self, query: &str, parameters: &[&str]) -> Result<Option<RunRecord>, HistoryError> {
        let row = self
            .connection
            .query_row(query, rusqlite::params_from_iter(parameters), |row| row.get::<_, String>(0))
            .optional()
            .map_err(|error| self.sqlite(error))?;
        row.map(|row| self.parse(&row)).transpose()
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, row: &str) -> Result<T, HistoryError> {
        serde_json::from_str(row).map_err(|error| self.unreadable(error))
    }
}

// Records hold strings, numbers and lists of them; nothing that JSON can't say.
fn json(record: &impl serde::Serialize) -> String {
    serde_json::to_string(record).unwrap_or_default()
}
