//! What is remembered of a run: outcomes, verdicts and the record that history keeps and `--json` prints.

mod denial;
mod moment;
mod outcome;
mod run;

pub use denial::{Denial, Denials};
pub use moment::local;
pub use outcome::{Outcome, Verdict};
pub use run::{
    Attempt, Change, ExitStatus, LogLine, ModuleRecord, ModuleStatus, OutsideWindow, RequestCount, RollbackRecord,
    RunKind, RunRecord, SyncRecord, UpdateRecord,
};
