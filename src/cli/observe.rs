//! A run as it happens, on standard error: plain log lines, or on a terminal one line a module that is erased when the
//! module is done.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use updates::record::LogLine;
use updates::state::{Progress, Step};
use updates::supervisor::{Event, Observer};
use updates_protocol::Level;

use super::style::{Painter, Tone, log_time, printable};
use super::summary::first_line;
use super::tell::{progress, started, tell};

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

    fn clear(&mut self, module: &str) {
        if let Some(live) = &mut self.live
            && let Some(bar) = live.lines.remove(module)
        {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Screen {
    fn observe(&mut self, event: &Event) {
        match event {
            Event::Log(line) => return self.module_log(line),
            Event::Started { module, phase, attempt } if self.live.is_some() => {
                return self.status(module.as_str(), &started(*phase, *attempt));
            }
            Event::Progress { module, step, current, total, unit } if self.live.is_some() => {
                let text = progress(step, *current, *total, unit.as_deref());
                return self.status(module.as_str(), &first_line(&text, 100));
            }
            Event::Working { module, progress } => {
                let Progress { step, done, total, .. } = progress;
                let total = total.map(|total| format!("/{total}")).unwrap_or_default();
                self.status(module.as_str(), &format!("{} {done}{total}", working(*step)));
            }
            Event::Ended(record) => self.clear(&record.module),
            _ => {}
        }
        for told in tell(event) {
            self.say(told.priority.level(), &told.text);
        }
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
