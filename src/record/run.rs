//! The record of a run: what history stores and `updates run --json` prints, whole.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use updates_protocol::{Enforcement, Level, LogSource, ManifestWarning, ModuleName, Phase, RunId, Usage};

use super::{Denials, Outcome, Verdict};

/// What a run was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// `updates run`.
    Run,
    /// `updates check`.
    Check,
    /// `updates runner`.
    Runner,
    /// `updates recover`.
    Recover,
    /// `updates backup restore`.
    Restore,
    /// `updates rollback`.
    Rollback,
}

/// How a run ended, as exit code and as word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    /// All well: 0.
    Success,
    /// Something inside the supervisor failed: 1.
    InternalError,
    /// The command line or the configuration is wrong: 2.
    Usage,
    /// No module was selected: 3.
    NothingSelected,
    /// Updates are pending: 10.
    Pending,
    /// The doctor has found what keeps runs from doing what they are for: 11.
    ProblemsFound,
    /// A module failed and everything is as before it ran: 20.
    ModuleFailed,
    /// A rollback failed: a person is needed: 21.
    RollbackFailed,
    /// Another run holds the lock: 75.
    Locked,
    /// Interrupted, settled: 130.
    Interrupted,
}

impl ExitStatus {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            ExitStatus::Success => 0,
            ExitStatus::InternalError => 1,
            ExitStatus::Usage => 2,
            ExitStatus::NothingSelected => 3,
            ExitStatus::Pending => 10,
            ExitStatus::ProblemsFound => 11,
            ExitStatus::ModuleFailed => 20,
            ExitStatus::RollbackFailed => 21,
            ExitStatus::Locked => 75,
            ExitStatus::Interrupted => 130,
        }
    }
}

/// One run, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The run's id.
    pub run_id: RunId,
    /// What it was for.
    pub kind: RunKind,
    /// RFC 3339, UTC.
    pub started: String,
    /// RFC 3339, UTC; absent while it runs and after an interruption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// How it ended; absent as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ExitStatus>,
    /// Where it lay outside of the maintenance window, and so did nothing but settle what an earlier run had left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside_window: Option<OutsideWindow>,
    /// What was fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncRecord>,
    /// Modules that were put back first, because an earlier run was interrupted in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recovered: Vec<RollbackRecord>,
    /// What became of a newer version of this program, where the source has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<UpdateRecord>,
    /// What phase 1 did to the installed modules.
    pub updates: Vec<UpdateRecord>,
    /// What became of each module, in the order in which they ended.
    pub modules: Vec<ModuleRecord>,
    /// Problems that belong to no module.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// A run that came at the wrong time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideWindow {
    /// `run.window`, its parts with commas between.
    pub window: String,
    /// When the next one opens: RFC 3339 in local time; absent where none does within two weeks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens: Option<String>,
}

/// What a sync did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRecord {
    /// URL or path, without credentials.
    pub source: String,
    /// Branch.
    pub branch: String,
    /// The commit that was found, as hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Why the fetch failed, or what it brought is not trusted; the run went on with what is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The commit that was found and refused, as hexadecimal; `error` says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Who signed the revision, where the settings ask for a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Days since the source last moved, where that is longer than the settings take for usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_days: Option<u64>,
}

/// What phase 1 made of one module of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateRecord {
    /// The folder's name; kept as text, since an invalid one is reported too.
    pub module: String,
    /// What was done.
    pub change: Change,
    /// The version that was installed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The version in the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why it was skipped, or which local values won over changed shipped ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether it is held because a person wants the installed version to stay, and not because it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_person: bool,
}

/// What was done to a module's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new and was installed.
    Installed,
    /// A newer version was swapped in.
    Updated,
    /// The installed version is newer than the source's; nothing was done.
    Older,
    /// It is disabled locally; its code stays as it is.
    Disabled,
    /// This version failed before and is held, or a person keeps the module at its version.
    Held,
    /// It asks for more than was granted, which the notes list; the installed version stays until a person agrees.
    Waiting,
    /// It can't be used; the notes say why.
    Invalid,
    /// Installing it failed; the installed version stays.
    Failed,
}

/// What became of one module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModuleRecord {
    /// Its name; kept as text, since an invalid one is reported too.
    pub module: String,
    /// The installed version that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// In one word.
    pub status: ModuleStatus,
    /// In one sentence: the error of a failure, the reason of a skip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What its last attempt returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Every attempt, maintenance first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// What was put back, when something was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackRecord>,
    /// Writable paths without a way back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volatile_paths: Vec<String>,
    /// Odd things in its manifest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<ManifestWarning>,
    /// What it asks for beyond what it was granted, each in words; it ran without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ungranted: Vec<String>,
}

/// What became of a module, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModuleStatus {
    /// It ran well and changed something, by its own word.
    Updated,
    /// It ran well.
    Succeeded,
    /// It failed and everything is as before it ran.
    RolledBack,
    /// It failed and putting back failed as well: a person is needed.
    RollbackFailed,
    /// It failed before it changed anything, in a check or because it could not be started.
    Failed,
    /// What is installed can't be used; the message says why. The others ran.
    Unusable,
    /// It was not run: a person had it put back to what a slot holds.
    Restored,
    /// It was not run; the message says why.
    Skipped,
    /// The run was interrupted; everything is as before the module ran.
    Interrupted,
}

/// One runner process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1, or 2 after a restart.
    pub number: u32,
    /// Which part of the module.
    pub phase: Phase,
    /// How it ended.
    pub outcome: Outcome,
    /// What that led to.
    pub verdict: Verdict,
    /// What it used.
    pub usage: Usage,
    /// The limits that it ran into, as `memory_max 64M was reached`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits_hit: Vec<String>,
    /// What the sandbox really enforced.
    pub enforcement: Enforcement,
    /// Log bytes that were dropped past the limit.
    #[serde(default)]
    pub log_bytes_dropped: u64,
    /// What it asked the supervisor for; the log has the single requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<RequestCount>,
    /// What the sandbox refused, when that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denials: Option<Denials>,
}

/// How often a module asked for one thing in one attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCount {
    /// The operation, for example `service.restart`; `unknown` for all that do not exist.
    pub operation: String,
    /// How often it was done.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub granted: u64,
    /// How often it was refused, because the module may not ask for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refused: u64,
    /// How often it was tried and went wrong.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u64,
}

/// A rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackRecord {
    /// Which module.
    pub module: ModuleName,
    /// Whether everything is back.
    pub complete: bool,
    /// Paths that were put back or removed; at most 1,000 are listed.
    pub restored: Vec<String>,
    /// What systemd was told to do for it, as `start nginx.service`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Whether the module's code was put back too.
    pub code: bool,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One line of a module's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Which module.
    pub module: ModuleName,
    /// Which attempt.
    pub attempt: u32,
    /// Which part.
    pub phase: Phase,
    /// Milliseconds since the epoch.
    pub time: u64,
    /// How grave.
    pub level: Level,
    /// Where it came from.
    pub source: LogSource,
    /// The text.
    pub message: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
