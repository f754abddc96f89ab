//! A run as it happens, on standard error: plain log lines, or on a terminal one line a module that is erased when the
//! module is done.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use updates::record::{Change, LogLine, ModuleRecord, ModuleStatus, RollbackRecord, SyncRecord, UpdateRecord};
use updates::state::{Progress, Step};
use updates::supervisor::{Event, Observer};
use updates_protocol::{CancelReason, Level, Phase};

use super::style::{Painter, Tone, log_time, printable};
use super::summary::first_line;

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loudness {
    /// Warnings and errors.
    Quiet,
    /// The course of things.
    Normal,
    /// Everything.
    Verbose,
}

/// Shows a run on standard error.
pub struct Screen {
    painter: Painter,
    loudness: Loudness,
    live: Option<Live>,
}

struct Live {
    bars: MultiProgress,
    lines: BTreeMap<String, ProgressBar>,
}

impl Screen {
    /// A screen for this process's standard error.
    pub fn new(painter: Painter, loudness: Loudness) -> Self {
        let terminal = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let live = (terminal && loudness == Loudness::Normal)
            .then(|| Live { bars: MultiProgress::new(), lines: BTreeMap::new() });
        Self { painter, loudness, live }
    }

    fn log(&mut self, time: u64, level: Level, text: &str) {
        let enough = match self.loudness {
            Loudness::Quiet => level >= Level::Warning,
            Loudness::Normal => level >= Level::Info,
            Loudness::Verbose => true,
        };
        if !enough {
            return;
        }
        let tone = match level {
            Level::Debug => Tone::Dim,
            Level::Info => Tone::Strong,
            Level::Warning => Tone::Warn,
            Level::Error => Tone::Bad,
        };
        let level = self.painter.paint(tone, &format!("[{}]", level.as_str()));
        self.print(&format!("[{}] {level} {}", log_time(time), printable(text)));
    }

    fn print(&mut self, line: &str) {
        match &self.live {
            Some(live) => drop(live.bars.println(line)),
            // A closed standard error is no reason to stop a run.
            None => drop(writeln!(std::io::stderr().lock(), "{line}")),
        }
    }

    fn say(&mut self, level: Level, text: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.log(now.as_millis() as u64, level, text);
    }

    fn module_log(&mut self, line: &LogLine) {
        if self.live.is_some() && line.level <= Level::Info {
            self.status(line.module.as_str(), &first_line(&line.message, 100));
            return;
        }
        self.log(line.time, line.level, &format!("{}: {}", line.module, line.message));
    }

    fn status(&mut self, module: &str, text: &str) {
        if let Some(live) = &mut self.live {
            let bar = live.lines.entry(module.to_owned()).or_insert_with(|| {
                let style = ProgressStyle::with_template("{spinner} {prefix:.bold}  {wide_msg}");
                let bar = ProgressBar::new_spinner()
                    .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
                    .with_prefix(self.painter.paint(Tone::Strong, &printable(module)));
                let bar = live.bars.add(bar);
                bar.enable_steady_tick(Duration::from_millis(120));
                bar
            });
            bar.set_message(text.to_owned());
        }
    }

    fn ended(&mut self, record: &ModuleRecord) {
        if let Some(live) = &mut self.live
            && let Some(bar) = live.lines.remove(&record.module)
        {
            bar.finish_and_clear();
        }
        let name = record.module.as_str();
        let message = record.message.as_deref().map(|message| first_line(message, 400)).unwrap_or_default();
        match record.status {
            ModuleStatus::Updated => self.say(Level::Info, &format!("{name}: done, updated")),
            ModuleStatus::Succeeded => self.say(Level::Info, &format!("{name}: done")),
            ModuleStatus::Restored => self.say(Level::Info, &format!("{name}: restored")),
            ModuleStatus::Skipped => self.say(Level::Info, &format!("{name}: skipped: {message}")),
            ModuleStatus::Unusable => self.say(Level::Warning, &format!("{name}: unusable: {message}")),
            ModuleStatus::RolledBack => {
                self.say(Level::Error, &format!("{name}: failed and was rolled back: {message}"))
            }
            ModuleStatus::Failed => self.say(Level::Error, &format!("{name}: failed: {message}")),
            ModuleStatus::Interrupted => self.say(Level::Warning, &format!("{name}: interrupted and rolled back")),
            ModuleStatus::RollbackFailed => {
                self.say(Level::Error, &format!("{name}: failed, and putting it back failed too: {message}"));
            }
        }
    }

    fn update(&mut self, update: &UpdateRecord) {
        let name = &update.module;
        let (from, to) = (update.from.as_deref().unwrap_or("?"), update.to.as_deref().unwrap_or("?"));
        let notes = update.notes.join("; ");
        match update.change {
            Change::Installed => self.say(Level::Info, &format!("{name}: new in the source: {to}")),
            Change::Updated => self.say(Level::Info, &format!("{name}: {from} -> {to}")),
            Change::Older => self.say(Level::Info, &format!("{name}: the source has {to}, older than {from}; kept")),
            Change::Disabled => {
                self.say(Level::Info, &format!("{name}: {to} is in the source, but it is disabled; kept"))
            }
            Change::Held => self.say(Level::Warning, &format!("{name}: {to} failed before and is held")),
            Change::Waiting => {
                self.say(Level::Warning, &format!("{name}: {to} asks for more than was granted, and waits"))
            }
            Change::Invalid | Change::Failed => self.say(Level::Error, &format!("{name}: {notes}")),
        }
        if matches!(update.change, Change::Installed | Change::Updated) && !notes.is_empty() {
            self.say(Level::Info, &format!("{name}: {notes}"));
        }
    }

    fn synced(&mut self, sync: &SyncRecord) {
        if let Some(days) = sync.stale_days {
            self.say(Level::Warning, &format!("the source has not moved for {days} days"));
        }
        match (&sync.error, &sync.revision) {
            (Some(error), _) => {
                self.say(Level::Warning, &format!("sync failed, going on with what is installed: {error}"))
            }
            (None, Some(revision)) => {
                self.say(Level::Info, &format!("source at {}", &revision[..revision.len().min(12)]));
            }
            (None, None) => {}
        }
    }

    fn recovered(&mut self, rollback: &RollbackRecord) {
        match &rollback.error {
            None => self.say(
                Level::Warning,
                &format!(
                    "{}: an earlier run was interrupted in it; it is put back, {} paths changed{}",
                    rollback.module,
                    rollback.restored.len(),
                    match rollback.services.as_slice() {
                        [] => String::new(),
                        services => format!(", services: {}", services.join(", ")),
                    }
                ),
            ),
            Some(error) => self.say(
                Level::Error,
                &format!(
                    "{}: an earlier run was interrupted in it, and putting it back failed: {error}",
                    rollback.module
                ),
            ),
        }
    }
}

impl Observer for Screen {
    fn observe(&mut self, event: &Event) {
        match event {
            Event::Recovered(rollback) => self.recovered(rollback),
            Event::Syncing { source } => self.say(Level::Info, &format!("asking {source}")),
            Event::Synced(sync) => self.synced(sync),
            Event::Update(update) => self.update(update),
            Event::Planned(modules) => {
                let names: Vec<_> = modules.iter().map(AsRef::<str>::as_ref).collect();
                self.say(Level::Debug, &format!("to run: {}", names.join(", ")));
            }
            Event::Started { module, phase, attempt } => {
                let again = if *attempt > 1 { ", once more" } else { "" };
                let what = if *phase == Phase::Maintenance { "maintenance" } else { "started" };
                self.status(module.as_str(), &format!("{what}{again}"));
                if self.live.is_none() {
                    self.say(Level::Info, &format!("{module}: {what}{again}"));
                }
            }
            Event::Log(line) => self.module_log(line),
            Event::Progress { module, step, current, total, unit } => {
                let text = progress(step, *current, *total, unit.as_deref());
                self.status(module.as_str(), &first_line(&text, 100));
                if self.live.is_none() {
                    self.say(Level::Debug, &format!("{module}: {text}"));
                }
            }
            Event::Working { module, progress } => {
                let Progress { step, done, total, .. } = progress;
                let total = total.map(|total| format!("/{total}")).unwrap_or_default();
                self.status(module.as_str(), &format!("{} {done}{total}", working(*step)));
            }
            Event::Slow { module, limit } => self.say(
                Level::Warning,
                &format!("{module}: SLOW: half of its time is over; it is stopped after {} s", limit.as_secs()),
            ),
            Event::Stopping { module, reason } => {
                let why = match reason {
                    CancelReason::Deadline => "its time is over",
                    CancelReason::User | CancelReason::Shutdown => "the run was interrupted",
                };
                self.say(Level::Warning, &format!("{module}: being stopped: {why}"));
            }
            Event::Warning { module, text } => self.say(Level::Warning, &format!("{module}: {text}")),
            Event::Restarting { module } => self.say(Level::Info, &format!("{module}: asked to be started afresh")),
            Event::RollingBack { module, reason } => {
                self.say(
                    Level::Warning,
                    &format!("{module}: {}; putting back what it declared", first_line(reason, 400)),
                );
            }
            Event::Ended(record) => self.ended(record),
            Event::Problem(problem) => self.say(Level::Error, problem),
            Event::Interrupted => {
                self.say(Level::Warning, "interrupted: settling the running modules; this takes seconds")
            }
        }
    }
}

fn progress(step: &str, current: Option<f64>, total: Option<f64>, unit: Option<&str>) -> String {
    let unit = unit.map(|unit| format!(" {unit}")).unwrap_or_default();
    match (current, total) {
        (Some(current), Some(total)) => format!("{step} ({current}/{total}{unit})"),
        (Some(current), None) => format!("{step} ({current}{unit})"),
        _ => step.to_owned(),
    }
}

/// What is being done, before what it is done to.
pub fn working(step: Step) -> &'static str {
    match step {
        Step::Walk => "looking at",
        Step::Copy => "saving",
        Step::Verify => "verifying",
        Step::Restore => "restoring",
    }
}
