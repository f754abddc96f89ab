//! What can be asked of the history.

use std::convert::Infallible;
use std::str::FromStr;

use rusqlite::{OptionalExtension, Params, Row, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use updates_protocol::{ModuleName, RunId};

use super::in_flight::{InFlight, parsed, read_all};
use super::{HistoryError, HistoryReader};
use crate::record::{ExitStatus, LogLine, ModuleRecord, RunKind, RunRecord};

/// Which run is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunSelector {
    /// The newest one.
    Last,
    /// The one whose id begins with this text, when there is only one such.
    Id(String),
}

/// One run in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunSummary {
    /// Its id.
    pub run_id: RunId,
    /// What it was for.
    pub kind: RunKind,
    /// RFC 3339, UTC.
    pub started: String,
    /// RFC 3339, UTC; absent while it runs and after an interruption.
    pub ended: Option<String>,
    /// How it ended; absent as above.
    pub status: Option<ExitStatus>,
    /// How many modules it has results of.
    pub modules: u64,
}

/// What became of a module in one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModuleRun {
    /// The run.
    pub run_id: RunId,
    /// What the run was for.
    pub kind: RunKind,
    /// When the run began; RFC 3339, UTC.
    pub started: String,
    /// What became of the module.
    pub record: ModuleRecord,
}

/// A line of a log with the run that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLog {
    /// The run.
    pub run_id: RunId,
    /// The line.
    #[serde(flatten)]
    pub line: LogLine,
}

const MODULE_RUN: &str = "SELECT runs.run_id, runs.kind, runs.started, results.record
    FROM results JOIN runs ON runs.number = results.run";

impl HistoryReader {
    /// When the first run of all was begun. `None` where there is none yet, or it has been forgotten since: then this
    /// history is no new one.
    pub fn beginning(&self) -> Result<Option<jiff::Timestamp>, HistoryError> {
        let failed = self.failed("read the first run from");
        let started = self
            .connection
            .query_row("SELECT started FROM runs WHERE number = 1", [], |row| row.get::<_, String>(0))
            .optional()
            .map_err(failed)?;
        Ok(started.and_then(|started| started.parse().ok()))
    }

    /// What is wrong with the database file; `None` where it is sound. Reads all of it.
    pub fn damage(&self) -> Result<Option<String>, HistoryError> {
        let failed = self.failed("check");
        let said: String = self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        Ok((said != "ok").then_some(said))
    }

    /// The whole record of one run; of a run that goes on or was interrupted, what is known so far.
    pub fn run(&self, which: &RunSelector) -> Result<Option<RunRecord>, HistoryError> {
        let Some((number, ended, text)) = self.find(which)? else { return Ok(None) };
        let mut record: RunRecord = self.record(&text)?;
        if !ended {
            let text: Vec<String> =
                self.list("SELECT record FROM results WHERE run = ?1 ORDER BY module", [number], |row| row.get(0))?;
            record.modules = text.iter().map(|text| self.record(text)).collect::<Result<_, _>>()?;
        }
        Ok(Some(record))
    }

    /// The newest run of a kind.
    pub fn last_of(&self, kind: RunKind) -> Result<Option<RunRecord>, HistoryError> {
        let word = serde_json::to_value(kind).unwrap_or_default();
        let query = "SELECT run_id FROM runs WHERE kind = ?1 ORDER BY number DESC LIMIT 1";
        let ids: Vec<String> = self.list(query, [word.as_str().unwrap_or_default()], |row| row.get(0))?;
        match ids.into_iter().next() {
            Some(id) => self.run(&RunSelector::Id(id)),
            None => Ok(None),
        }
    }

    /// Every module that runs now, or was interrupted and not put back yet, by name.
    pub fn in_flight(&self) -> Result<Vec<InFlight>, HistoryError> {
        read_all(&self.connection).map_err(self.failed("read the running modules from"))
    }

    /// The newest runs, newest first.
    pub fn runs(&self, limit: u32) -> Result<Vec<RunSummary>, HistoryError> {
        self.list(
            "SELECT run_id, kind, started, ended, status, (SELECT count(*) FROM results WHERE run = number)
             FROM runs ORDER BY number DESC LIMIT ?1",
            [limit],
            |row| {
                let status: Option<String> = row.get(4)?;
                Ok(RunSummary {
                    run_id: parsed(row, 0)?,
                    kind: parsed(row, 1)?,
                    started: row.get(2)?,
                    ended: row.get(3)?,
                    status: if status.is_some() { Some(parsed(row, 4)?) } else { None },
                    modules: row.get::<_, u32>(5)?.into(),
                })
            },
        )
    }

    /// What became of one module in the newest runs, newest first.
    pub fn module_history(&self, module: &ModuleName, limit: u32) -> Result<Vec<ModuleRun>, HistoryError> {
        self.module_runs(
            &format!("{MODULE_RUN} WHERE results.module = ?1 ORDER BY results.run DESC LIMIT ?2"),
            params![module.as_str(), limit],
        )
    }

    /// The log of one run, of one module where one is named, in the order of arrival.
    pub fn logs(&self, which: &RunSelector, module: Option<&ModuleName>) -> Result<Vec<StoredLog>, HistoryError> {
        let Some((number, _, _)) = self.find(which)? else { return Ok(Vec::new()) };
        self.list(
            "SELECT run_id, module, attempt, phase, time, level, source, message FROM logs JOIN runs ON number = run
             WHERE run = ?1 AND (?2 IS NULL OR module = ?2) ORDER BY line",
            params![number, module.map(ModuleName::as_str)],
            |row| {
                Ok(StoredLog {
                    run_id: parsed(row, 0)?,
                    line: LogLine {
                        module: parsed(row, 1)?,
                        attempt: row.get(2)?,
                        phase: parsed(row, 3)?,
                        time: row.get::<_, i64>(4)?.unsigned_abs(),
                        level: parsed(row, 5)?,
                        source: parsed(row, 6)?,
                        message: row.get(7)?,
                    },
                })
            },
        )
    }

    /// Number, whether it ended, and record of a run.
    fn find(&self, which: &RunSelector) -> Result<Option<(i64, bool, String)>, HistoryError> {
        let columns = "SELECT number, ended IS NOT NULL, record FROM runs";
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let found = match which {
            RunSelector::Last => {
                self.connection.query_row(&format!("{columns} ORDER BY number DESC LIMIT 1"), [], read).optional()
            }
            // Whole ids come first, and a beginning counts only where it is the beginning of one id alone.
            RunSelector::Id(text) => self
                .connection
                .query_row(
                    &format!(
                        "{columns} WHERE run_id = ?1
                         OR (substr(run_id, 1, length(?1)) = ?1
                             AND (SELECT count(*) FROM runs WHERE substr(run_id, 1, length(?1)) = ?1) = 1)
                         LIMIT 1"
                    ),
                    [text],
                    read,
                )
                .optional(),
        };
        found.map_err(self.failed("read a run from"))
    }

    fn module_runs(&self, query: &str, params: impl Params) -> Result<Vec<ModuleRun>, HistoryError> {
        let rows: Vec<(RunId, RunKind, String, String)> =
            self.list(query, params, |row| Ok((parsed(row, 0)?, parsed(row, 1)?, row.get(2)?, row.get(3)?)))?;
        rows.into_iter()
            .map(|(run_id, kind, started, text)| Ok(ModuleRun { run_id, kind, started, record: self.record(&text)? }))
            .collect()
    }

    fn list<T>(
        &self,
        query: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, HistoryError> {
        let failed = self.failed("read from");
        let mut statement = self.connection.prepare(query).map_err(&failed)?;
        let rows = statement.query_map(params, read).map_err(&failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed)
    }

    fn record<T: DeserializeOwned>(&self, text: &str) -> Result<T, HistoryError> {
        serde_json::from_str(text).map_err(|source| HistoryError::Record { path: self.path.clone(), source })
    }
}

impl FromStr for RunSelector {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "last" { RunSelector::Last } else { RunSelector::Id(text.to_owned()) })
    }
}
