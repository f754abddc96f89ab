//! What the history tells: whether it is sound, which modules are not put back, how the last run went and when that was.

use jiff::{SignedDuration, Timestamp};

use super::Finding;
use crate::history::{HistoryError, HistoryReader};
use crate::record::{ModuleStatus, RunKind, RunRecord, SyncRecord, local};
use crate::supervisor::Supervisor;

/// A timer fires every day; a machine may be off for some.
const OLD: SignedDuration = SignedDuration::from_hours(72);
/// Problems of the last run that are told.
const TOLD: usize = 10;

pub(super) fn look(supervisor: &Supervisor) -> Vec<Finding> {
    let path = supervisor.layout.database();
    let reader = match HistoryReader::open(&path) {
        Ok(Some(reader)) => reader,
        Ok(None) => {
            let mend = "`updates run` is the first; with an enabled timer it comes by itself";
            return vec![Finding::warning("runs", "there has been no run yet", mend)];
        }
        Err(error) => return vec![unreadable(&error)],
    };
    let mut found = Vec::new();
    match reader.damage() {
        Ok(None) => found.push(Finding::ok("history", format!("{} is sound", path.display()))),
        Ok(Some(damage)) => found.push(Finding::problem(
            "history",
            format!("{} is damaged: {damage}", path.display()),
            "the next run moves it aside and begins a new one, if SQLite stumbles over it; to be sure, move it away yourself \
             while no run is under way and `updates recover` has nothing to do",
        )),
        Err(error) => return vec![unreadable(&error)],
    }
    match reader.in_flight() {
        Ok(rows) => found.extend(rows.iter().map(|row| {
            let text = format!("{} was running and is not put back ({} tries)", row.module, row.tries);
            let mend =
                "if no run is under way: `updates recover`; or take it as it is: `updates recover --accept MODULE`";
            Finding::problem("interrupted", text, mend.replace("MODULE", row.module.as_str()))
        })),
        Err(error) => found.push(unreadable(&error)),
    }
    match reader.last_of(RunKind::Run) {
        Ok(Some(record)) => found.extend(judge(&record, Timestamp::now())),
        Ok(None) => {}
        Err(error) => found.push(unreadable(&error)),
    }
    found
}

fn unreadable(error: &HistoryError) -> Finding {
    let mend = "a damaged history is moved aside by the next run; `updates recover` tells at once";
    Finding::problem("history", error.to_string(), mend)
}

/// What the last run says, at `now`.
fn judge(record: &RunRecord, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Ok(started) = record.started.parse::<Timestamp>() {
        let age = now.duration_since(started);
        let started = local(&record.started);
        if age < SignedDuration::from_mins(-5) {
            let text = format!("the last run began at {started}, which is still to come");
            found.push(Finding::problem(
                "clock",
                text,
                "set the clock: `timedatectl` shows whether it is kept in time",
            ));
        } else if age > OLD {
            let text = format!("the last run began {} days ago", age.as_hours() / 24);
            found.push(Finding::problem(
                "runs",
                text,
                "`systemctl list-timers updates.timer` tells whether there are any",
            ));
        } else {
            found.push(Finding::ok("runs", format!("the last run began at {started}")));
        }
    }
    found.extend(record.sync.iter().flat_map(of_source));
    for module in &record.modules {
        let message = module.message.as_deref().and_then(|message| message.lines().next()).unwrap_or_default();
        let name = &module.module;
        match module.status {
            ModuleStatus::RollbackFailed => found.push(Finding::problem(
                "modules",
                format!("{name} failed and could not be put back: {message}"),
                "mend the cause, then: updates recover",
            )),
            ModuleStatus::RolledBack | ModuleStatus::Failed => found.push(Finding::warning(
                "modules",
                format!("{name} failed in the last run: {message}"),
                format!("updates logs last {name}"),
            )),
            ModuleStatus::Unusable => found.push(Finding::warning(
                "modules",
                format!("{name} can't be used: {message}"),
                "`updates config check` says where it is wrong",
            )),
            _ => {}
        }
    }
    for problem in record.problems.iter().take(TOLD) {
        found.push(Finding::warning("last run", problem.clone(), "`updates show last` has the whole run"));
    }
    found
}

/// A source that answers, and of which nothing is installed all the same: the run itself counts as one that went well.
fn of_source(sync: &SyncRecord) -> Vec<Finding> {
    let refused = sync.refused.as_ref().and(sync.error.as_deref()).map(|error| {
        let text = format!("the last run installed nothing of the source: {error}");
        Finding::warning("source", text, "put right what it says; until then the installed modules run as they are")
    });
    let stale = sync.stale_days.map(|days| {
        let text = format!("the source has not moved for {days} days: an old copy of it may be served");
        Finding::warning("source", text, "ask whoever looks after it; `source.stale_after` says how long is usual")
    });
    refused.into_iter().chain(stale).collect()
}
