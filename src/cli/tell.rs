//! Events in words, with how grave each is and what it is about: the same for a terminal, a log file and the journal.

use updates::record::{Change, ModuleRecord, ModuleStatus, RollbackRecord, RunRecord, SyncRecord, UpdateRecord};
use updates::supervisor::Event;
use updates_protocol::{CancelReason, Level, Phase};

use super::summary::{first_line, is_failure, outside_window};

/// How grave something is, as syslog(3) counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// 3
    Error,
    /// 4
    Warning,
    /// 5: something has changed, or a run has ended.
    Notice,
    /// 6
    Info,
    /// 7
    Debug,
}

impl Priority {
    /// The number, lower is graver.
    pub fn number(self) -> u8 {
        match self {
            Priority::Error => 3,
            Priority::Warning => 4,
            Priority::Notice => 5,
            Priority::Info => 6,
            Priority::Debug => 7,
        }
    }

    /// The level of log lines.
    pub fn level(self) -> Level {
        match self {
            Priority::Error => Level::Error,
            Priority::Warning => Level::Warning,
            Priority::Notice | Priority::Info => Level::Info,
            Priority::Debug => Level::Debug,
        }
    }
}

impl From<Level> for Priority {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Priority::Error,
            Level::Warning => Priority::Warning,
            Level::Info => Priority::Info,
            Level::Debug => Priority::Debug,
        }
    }
}

/// Something that was told. A module's name stands before the text already.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// How grave.
    pub priority: Priority,
    /// About which module.
    pub module: Option<String>,
    /// In which part of it.
    pub phase: Option<Phase>,
    /// In which attempt, from 1.
    pub attempt: Option<u32>,
    /// The words.
    pub text: String,
}

impl Told {
    fn new(priority: Priority, text: impl Into<String>) -> Self {
        Self { priority, module: None, phase: None, attempt: None, text: text.into() }
    }

    fn of(module: impl ToString, priority: Priority, text: &str) -> Self {
        let module = module.to_string();
        let text = format!("{module}: {text}");
        Self { module: Some(module), ..Self::new(priority, text) }
    }
}

/// An event in words; nothing for one that only moves a bar.
pub fn tell(event: &Event) -> Vec<Told> {
    let one = match event {
        Event::Began { .. } | Event::Working { .. } => return Vec::new(),
        Event::Update(update) => return updated(update),
        Event::Program(update) => return program(update),
        Event::Synced(sync) => return synced(sync),
        Event::Recovered(rollback) => recovered(rollback),
        Event::OutsideWindow(outside) => Told::new(Priority::Info, outside_window(outside)),
        Event::Syncing { source } => Told::new(Priority::Info, format!("asking {source}")),
        Event::Planned(modules) => {
            let names: Vec<_> = modules.iter().map(AsRef::<str>::as_ref).collect();
            Told::new(Priority::Debug, format!("to run: {}", names.join(", ")))
        }
        Event::Started { module, phase, attempt } => Told {
            phase: Some(*phase),
            attempt: Some(*attempt),
            ..Told::of(module, Priority::Info, &started(*phase, *attempt))
        },
        Event::Log(line) => Told {
            phase: Some(line.phase),
            attempt: Some(line.attempt),
            ..Told::of(&line.module, line.level.into(), &line.message)
        },
        Event::Progress { module, step, current, total, unit } => {
            Told::of(module, Priority::Debug, &progress(step, *current, *total, unit.as_deref()))
        }
        Event::Slow { module, limit } => {
            let text = format!("SLOW: half of its time is over; it is stopped after {} s", limit.as_secs());
            Told::of(module, Priority::Warning, &text)
        }
        Event::Stopping { module, reason } => {
            let why = match reason {
                CancelReason::Deadline => "its time is over",
                CancelReason::User | CancelReason::Shutdown => "the run was interrupted",
            };
            Told::of(module, Priority::Warning, &format!("being stopped: {why}"))
        }
        Event::Warning { module, text } => Told::of(module, Priority::Warning, text),
        Event::Restarting { module } => Told::of(module, Priority::Info, "asked to be started afresh"),
        Event::RollingBack { module, reason } => {
            let text = format!("{}; putting back what it declared", first_line(reason, 400));
            Told::of(module, Priority::Warning, &text)
        }
        Event::Ended(record) => ended(record),
        Event::Problem(problem) => Told::new(Priority::Error, problem),
        Event::Interrupted => {
            Told::new(Priority::Warning, "interrupted: settling the running modules; this takes seconds")
        }
    };
    vec![one]
}

/// What begins.
pub fn started(phase: Phase, attempt: u32) -> String {
    let what = if phase == Phase::Maintenance { "maintenance" } else { "started" };
    format!("{what}{}", if attempt > 1 { ", once more" } else { "" })
}

/// How far a module says that it is.
pub fn progress(step: &str, current: Option<f64>, total: Option<f64>, unit: Option<&str>) -> String {
    let unit = unit.map(|unit| format!(" {unit}")).unwrap_or_default();
    match (current, total) {
        (Some(current), Some(total)) => format!("{step} ({current}/{total}{unit})"),
        (Some(current), None) => format!("{step} ({current}{unit})"),
        _ => step.to_owned(),
    }
}

fn ended(record: &ModuleRecord) -> Told {
    let message = record.message.as_deref().map(|message| first_line(message, 400)).unwrap_or_default();
    let (priority, text) = match record.status {
        ModuleStatus::Updated => (Priority::Notice, "done, updated".to_owned()),
        ModuleStatus::Succeeded => (Priority::Info, "done".to_owned()),
        ModuleStatus::Restored => (Priority::Notice, "restored".to_owned()),
        ModuleStatus::Skipped => (Priority::Info, format!("skipped: {message}")),
        ModuleStatus::Unusable => (Priority::Warning, format!("unusable: {message}")),
        ModuleStatus::RolledBack => (Priority::Error, format!("failed and was rolled back: {message}")),
        ModuleStatus::Failed => (Priority::Error, format!("failed: {message}")),
        ModuleStatus::Interrupted => (Priority::Warning, "interrupted and rolled back".to_owned()),
        ModuleStatus::RollbackFailed => (Priority::Error, format!("failed, and putting it back failed too: {message}")),
    };
    let last = record.attempts.last();
    Told {
        phase: last.map(|attempt| attempt.phase),
        attempt: last.map(|attempt| attempt.number),
        ..Told::of(&record.module, priority, &text)
    }
}

fn updated(update: &UpdateRecord) -> Vec<Told> {
    let (from, to) = (update.from.as_deref().unwrap_or("?"), update.to.as_deref().unwrap_or("?"));
    let notes = update.notes.join("; ");
    let (priority, text) = match update.change {
        Change::Installed => (Priority::Notice, format!("new in the source: {to}")),
        Change::Updated => (Priority::Notice, format!("{from} -> {to}")),
        Change::Older => (Priority::Info, format!("the source has {to}, older than {from}; kept")),
        Change::Disabled => (Priority::Info, format!("{to} is in the source, but it is disabled; kept")),
        Change::Held if update.by_person => {
            (Priority::Info, format!("{to} is in the source, but {from} stays: {notes}"))
        }
        Change::Held => (Priority::Warning, format!("{to} is held, and not installed")),
        Change::Waiting => (Priority::Warning, format!("{to} asks for more than was granted, and waits")),
        Change::Invalid | Change::Failed => (Priority::Error, notes.clone()),
    };
    let mut told = vec![Told::of(&update.module, priority, &text)];
    if matches!(update.change, Change::Installed | Change::Updated) && !notes.is_empty() {
        told.push(Told::of(&update.module, Priority::Info, &notes));
    }
    told
}

/// The program is no module, so that no line about it says that it is about one.
fn program(update: &UpdateRecord) -> Vec<Told> {
    let (from, to) = (update.from.as_deref().unwrap_or("?"), update.to.as_deref().unwrap_or("?"));
    let priority = match update.change {
        Change::Disabled => Priority::Info,
        Change::Held if update.by_person => Priority::Info,
        Change::Held => Priority::Warning,
        _ => return updated(update).into_iter().map(|told| Told { module: None, ..told }).collect(),
    };
    let notes = update.notes.join("; ");
    vec![Told::new(priority, format!("updates: {to} is in the source, and {from} stays: {notes}"))]
}

fn synced(sync: &SyncRecord) -> Vec<Told> {
    let still = sync.stale_days.map(|days| format!("the source has not moved for {days} days"));
    let told = match (&sync.error, &sync.revision) {
        (Some(error), _) => Some((Priority::Warning, format!("sync failed, going on with what is installed: {error}"))),
        (None, Some(revision)) => Some((Priority::Info, format!("source at {}", &revision[..revision.len().min(12)]))),
        (None, None) => None,
    };
    let still = still.map(|text| (Priority::Warning, text));
    still.into_iter().chain(told).map(|(priority, text)| Told::new(priority, text)).collect()
}

fn recovered(rollback: &RollbackRecord) -> Told {
    match &rollback.error {
        None => {
            let services = match rollback.services.as_slice() {
                [] => String::new(),
                services => format!(", services: {}", services.join(", ")),
            };
            let text = format!(
                "an earlier run was interrupted in it; it is put back, {} paths changed{services}",
                rollback.restored.len()
            );
            Told::of(&rollback.module, Priority::Warning, &text)
        }
        Some(error) => {
            let text = format!("an earlier run was interrupted in it, and putting it back failed: {error}");
            Told::of(&rollback.module, Priority::Error, &text)
        }
    }
}

/// A whole run in one line.
pub fn essence(record: &RunRecord) -> Told {
    let status = record.status.map_or(1, |status| status.code());
    let well = record.modules.iter().filter(|m| matches!(m.status, ModuleStatus::Updated | ModuleStatus::Succeeded));
    let failed: Vec<&str> =
        record.modules.iter().filter(|m| is_failure(m.status)).map(|module| module.module.as_str()).collect();
    let mut parts = vec![format!("{} ran well", well.count())];
    if !failed.is_empty() {
        parts.push(format!("{} failed ({})", failed.len(), failed.join(", ")));
    }
    for (count, what) in [(record.recovered.len(), "put back first"), (record.problems.len(), "problems")] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let priority = match status {
        0 | 3 => Priority::Notice,
        130 => Priority::Warning,
        _ => Priority::Error,
    };
    let kind = serde_json::to_value(record.kind).ok();
    let kind = kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or("run");
    Told::new(priority, format!("{kind} {} has ended: {}; exit status {status}", record.run_id, parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_about_the_program_is_about_no_module_and_says_why_it_stays() {
        for change in [Change::Updated, Change::Disabled, Change::Held, Change::Failed] {
            let update = UpdateRecord {
                module: "updates".to_owned(),
                change,
                from: Some("0.1.0".to_owned()),
                to: Some("0.2.0".to_owned()),
                by_person: false,
                notes: vec!["pinned to 0.1.0".to_owned()],
            };
            let told = tell(&Event::Program(update));
            assert!(told.iter().all(|told| told.module.is_none()), "{told:?}");
            assert!(told.iter().any(|told| told.text.contains("pinned to 0.1.0")), "{told:?}");
        }
    }
}
