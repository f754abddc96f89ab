//! Which modules are running: a row is durable before the module's first instruction, and goes when it is settled.

use rusqlite::params;
use updates_protocol::{ModuleName, Phase, RunId};

use super::{History, HistoryError};

/// A module that is running, or was when a run was interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    /// Which module.
    pub module: ModuleName,
    /// The run that started it.
    pub run_id: RunId,
    /// How often putting it back was begun.
    pub tries: u32,
}

impl History {
    /// Notes that a module is about to run. Durable when this returns: a power cut from then on finds the row.
    pub fn begin_module(&self, run_id: &RunId, module: &ModuleName, phase: Phase) -> Result<(), HistoryError> {
        self.durably(|history| {
            history
                .connection
                .prepare_cached("INSERT OR REPLACE INTO in_flight (module, run_id, phase) VALUES (?1, ?2, ?3)")?
                .execute(params![module.as_str(), run_id.as_str(), phase.as_str()])
        })
    }

    /// Notes that putting a module back begins once more. Durable when this returns.
    pub fn begin_restore(&self, module: &ModuleName) -> Result<(), HistoryError> {
        self.durably(|history| {
            history
                .connection
                .prepare_cached("UPDATE in_flight SET tries = tries + 1 WHERE module = ?1")?
                .execute([module.as_str()])
        })
    }

    /// Notes that a module is settled. Not durable by itself: lost in a power cut, the module is put back once more,
    /// which is allowed, and costs less than a sync for each module.
    pub fn end_module(&self, module: &ModuleName) -> Result<(), HistoryError> {
        self.connection
            .prepare_cached("DELETE FROM in_flight WHERE module = ?1")
            .and_then(|mut statement| statement.execute([module.as_str()]))
            .map(drop)
            .map_err(|error| self.sqlite(error))
    }

    /// Every module that is running or was interrupted, by name.
    pub fn in_flight(&self) -> Result<Vec<InFlight>, HistoryError> {
        let read = || {
            self.connection
                .prepare_cached("SELECT module, run_id, tries FROM in_flight ORDER BY module")?
                .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, u32>(2)?)))?
                .collect::<Result<Vec<_>, _>>()
        };
        let rows = read().map_err(|error| self.sqlite(error))?;
        rows.into_iter()
            .map(|(module, run_id, tries)| {
                let module = module.parse().map_err(|error| self.unreadable(error))?;
                let run_id = run_id.parse().map_err(|error| self.unreadable(error))?;
                Ok(InFlight { module, run_id, tries })
            })
            .collect()
    }

    // In WAL mode, synchronous = FULL syncs the log at each commit; see sqlite.org/pragma.html#pragma_synchronous.
    fn durably(&self, write: impl FnOnce(&Self) -> rusqlite::Result<usize>) -> Result<(), HistoryError> {
        let set = |level: &str| self.connection.pragma_update(None, "synchronous", level);
        let written = set("full").and_then(|()| write(self));
        let restored = set("normal");
        written.and(restored.map(|()| 0)).map(drop).map_err(|error| self.sqlite(error))
    }
}
