//! What is remembered of a run: outcomes, verdicts and the record that history keeps and `--json` prints.

mod outcome;
mod run;

pub use outcome::{Outcome, Verdict};
pub use run::{
    Attempt, Change, ExitStatus, LogLine, ModuleRecord, ModuleStatus, RequestCount, RollbackRecord, RunKind, RunRecord,
    SyncRecord, UpdateRecord,
};
