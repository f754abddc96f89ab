//! Where a run is shown as it happens: on standard error, or in the journal where that is what standard error is.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use tracing_subscriber::fmt::MakeWriter;
use updates::record::RunRecord;
use updates::supervisor::{Event, Observer};

use super::journal::{About, Journal};
use super::observe::{Loudness, Screen};
use super::style::printable;
use super::tell::{Priority, Told, essence, tell};

/// Lines of one module that the journal gets: journald drops what a service writes beyond some 10,000 in half a minute
/// (journald.conf(5), RateLimitBurst=), and what it drops may be that the module was rolled back.
const LINES: u32 = 1000;

/// Shows a run.
pub enum Display {
    /// On standard error.
    Screen(Screen),
    /// In the journal.
    Journal(Entries),
}

/// Writes a run to the journal.
pub struct Entries {
    journal: Arc<Journal>,
    loudness: Loudness,
    lines: BTreeMap<String, u32>,
}

impl Entries {
    /// Entries for this journal.
    pub fn new(journal: Arc<Journal>, loudness: Loudness) -> Self {
        Self { journal, loudness, lines: BTreeMap::new() }
    }

    fn is_wanted(&self, priority: Priority) -> bool {
        let most = match self.loudness {
            Loudness::Quiet => Priority::Warning,
            Loudness::Normal => Priority::Info,
            Loudness::Verbose => Priority::Debug,
        };
        priority.number() <= most.number()
    }

    fn write(&self, told: &Told) {
        // journalctl shows a message with control characters as a blob.
        self.journal.tell(&Told { text: printable(&told.text), ..told.clone() });
    }
}

impl Observer for Entries {
    fn observe(&mut self, event: &Event) {
        if let Event::Began { run_id } = event {
            self.journal.set_run(run_id);
        }
        for told in tell(event) {
            if !self.is_wanted(told.priority) {
                continue;
            }
            if let Event::Log(line) = event {
                let count = self.lines.entry(line.module.to_string()).or_default();
                *count = count.saturating_add(1);
                if *count > LINES {
                    if *count == LINES + 1 {
                        let text = format!(
                            "{0}: it says more than the journal takes; `updates logs last {0}` has it",
                            line.module
                        );
                        self.write(&Told { priority: Priority::Warning, text, ..told });
                    }
                    continue;
                }
            }
            self.write(&told);
        }
    }
}

impl Observer for Display {
    fn observe(&mut self, event: &Event) {
        match self {
            Display::Screen(screen) => screen.observe(event),
            Display::Journal(entries) => entries.observe(event),
        }
    }
}

/// Writes the end of a run to the journal, where there is one.
pub fn finish(journal: Option<&Arc<Journal>>, record: &RunRecord) {
    if let Some(journal) = journal {
        let told = essence(record);
        journal.write(told.priority, &printable(&told.text), About { exit: record.status, ..About::default() });
    }
}

/// Where the program's own diagnostics go, each as one entry of its level.
#[derive(Debug, Clone)]
pub struct Diagnostics(pub Arc<Journal>);

/// One diagnostic, written when it is complete.
#[derive(Debug)]
pub struct Diagnostic {
    journal: Arc<Journal>,
    priority: Priority,
}

impl<'a> MakeWriter<'a> for Diagnostics {
    type Writer = Diagnostic;

    fn make_writer(&'a self) -> Diagnostic {
        Diagnostic { journal: self.0.clone(), priority: Priority::Info }
    }

    fn make_writer_for(&'a self, about: &tracing::Metadata<'_>) -> Diagnostic {
        let priority = match *about.level() {
            tracing::Level::ERROR => Priority::Error,
            tracing::Level::WARN => Priority::Warning,
            tracing::Level::INFO => Priority::Info,
            _ => Priority::Debug,
        };
        Diagnostic { priority, ..self.make_writer() }
    }
}

impl Write for Diagnostic {
    // The subscriber formats an event whole and hands it over in one piece.
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.journal.write(self.priority, &printable(text.trim_end()), About::default());
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
