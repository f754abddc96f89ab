//! Modules that run right now: written and synced before a module starts, so that the next start knows what to put back.

use rusqlite::{Connection, Row, params};
use serde_json::Value;
use updates_protocol::{ModuleName, Phase, RunId};

use super::{History, HistoryError};

/// A module that was running when the supervisor ended.
#[derive(Debug, Clone, PartialEq)]
pub struct InFlight {
    /// Which module.
    pub module: ModuleName,
    /// In which run.
    pub run_id: RunId,
    /// Which part of it.
    pub phase: Phase,
    /// Which attempt.
    pub attempt: u32,
    /// How often putting it back was begun.
    pub tries: u32,
    /// What the supervisor noted for putting it back.
    pub payload: Value,
}

impl History {
    /// Notes that a module is about to start. When this returns, the note survives a power cut.
    pub fn begin_module(
        &mut self,
        run_id: &RunId,
        module: &ModuleName,
        phase: Phase,
        attempt: u32,
        payload: &Value,
    ) -> Result<(), HistoryError> {
        let entry = InFlight {
            module: module.clone(),
            run_id: run_id.clone(),
            phase,
            attempt,
            tries: 0,
            payload: payload.clone(),
        };
        self.begin_modules(&[entry])
    }

    /// Notes several modules with one sync, which is nearly all that a note costs. A module that is noted early and put
    /// back without having run is put back to what it is.
    pub fn begin_modules(&mut self, entries: &[InFlight]) -> Result<(), HistoryError> {
        let failed = self.failed("note a module's start in");
        self.durably(|connection| {
            let transaction = connection.unchecked_transaction()?;
            entries.iter().try_for_each(|entry| insert(&transaction, entry))?;
            transaction.commit()
        })
        .map_err(failed)
    }

    /// Notes with a running module what it takes to put it back, in place of what was noted before. When this returns, the
    /// note survives a power cut. A module that is not noted as running is an error: nothing would ever be put back.
    pub fn note_payload(&mut self, module: &ModuleName, payload: &Value) -> Result<(), HistoryError> {
        let failed = self.failed("note what a module changes in");
        self.durably(|connection| {
            let changed = connection
                .prepare_cached("UPDATE in_flight SET payload = ?2 WHERE module = ?1")?
                .execute(params![module.as_str(), payload.to_string()])?;
            if changed == 1 { Ok(()) } else { Err(rusqlite::Error::QueryReturnedNoRows) }
        })
        .map_err(failed)
    }

    /// Notes that a module has ended and is settled. Becomes durable with the next note that is, at the latest with the
    /// end of the run; after a power cut before that, the module is put back once more.
    pub fn end_module(&mut self, module: &ModuleName) -> Result<(), HistoryError> {
        let failed = self.failed("note a module's end in");
        self.reader
            .connection
            .prepare_cached("DELETE FROM in_flight WHERE module = ?1")
            .and_then(|mut statement| statement.execute([module.as_str()]))
            .map_err(failed)?;
        Ok(())
    }

    /// Makes every change before durable: what was noted as ended stays ended after a power cut.
    pub fn sync(&mut self) -> Result<(), HistoryError> {
        let failed = self.failed("write out");
        // Syncing takes a commit, and a commit something that is written; this writes the header as it is.
        self.durably(|connection| {
            let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            connection.pragma_update(None, "user_version", format)
        })
        .map_err(failed)
    }

    /// Makes every change before durable, and says to the next start of the machine that there is nothing to settle, where
    /// nothing is in flight any more.
    pub fn settled(&mut self) -> Result<(), HistoryError> {
        self.sync()?;
        self.unmark()
    }

    /// Every module that was begun and not ended, by name.
    pub fn in_flight(&self) -> Result<Vec<InFlight>, HistoryError> {
        read_all(&self.reader.connection).map_err(self.failed("read the running modules from"))
    }

    /// Counts one more try to put a module back, durably, and returns how many there were with it. To be called before
    /// each try: a restore that kills its supervisor must not be tried for ever.
    pub fn count_try(&mut self, module: &ModuleName) -> Result<u32, HistoryError> {
        let failed = self.failed("count a restore in");
        self.durably(|connection| {
            connection.query_row(
                "UPDATE in_flight SET tries = tries + 1 WHERE module = ?1 RETURNING tries",
                [module.as_str()],
                |row| row.get(0),
            )
        })
        .map_err(failed)
    }

    /// One change whose commit syncs the log, and with it every change before.
    pub(super) fn durably<T>(
        &mut self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        // In WAL mode a commit syncs with FULL and does not with NORMAL; see sqlite.org/pragma.html#pragma_synchronous.
        let connection = &self.reader.connection;
        connection.prepare_cached("PRAGMA synchronous = FULL")?.raw_execute()?;
        let changed = change(connection);
        connection.prepare_cached("PRAGMA synchronous = NORMAL")?.raw_execute()?;
        changed
    }
}

/// Writes one row, in place of one of the same module.
pub(super) fn insert(connection: &Connection, entry: &InFlight) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO in_flight (module, run_id, phase, attempt, tries, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            entry.module.as_str(),
            entry.run_id.as_str(),
            entry.phase.as_str(),
            entry.attempt,
            entry.tries,
            entry.payload.to_string(),
        ])
        .map(drop)
}

pub(super) fn read_all(connection: &Connection) -> rusqlite::Result<Vec<InFlight>> {
    connection
        .prepare("SELECT module, run_id, phase, attempt, tries, payload FROM in_flight ORDER BY module")?
        .query_map([], read)?
        .collect()
}

/// The same of a damaged database: what can be read, up to where nothing more can.
pub(super) fn read_each(connection: &Connection) -> rusqlite::Result<Vec<InFlight>> {
    let mut statement = connection.prepare("SELECT module, run_id, phase, attempt, tries, payload FROM in_flight")?;
    let rows = statement.query_map([], read)?;
    Ok(rows.filter_map(Result::ok).collect())
}

fn read(row: &Row<'_>) -> rusqlite::Result<InFlight> {
    Ok(InFlight {
        module: parsed(row, 0)?,
        run_id: parsed(row, 1)?,
        phase: parsed(row, 2)?,
        attempt: row.get(3)?,
        tries: row.get(4)?,
        payload: payload(row.get(5)?),
    })
}

/// A payload that was damaged is a text, which no way back is: its module is then held by name, and a person decides.
fn payload(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

/// A text column as the type whose word it holds.
pub(super) fn parsed<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_value(Value::String(row.get(column)?)).map_err(|error| not_readable(column, error))
}

fn not_readable(column: usize, error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
