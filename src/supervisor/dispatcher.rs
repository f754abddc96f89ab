//! The one hand on the world: what happens arrives here and is written to screen and database in one order.

use std::time::SystemTime;

use jiff::Timestamp;
use updates_protocol::{Level, LogSource, ModuleName, Phase, RunId};

use super::error::RunError;
use super::event::{Event, Observer};
use super::note::Note;
use crate::history::{History, HistoryError};
use crate::record::{ExitStatus, LogLine, ModuleRecord, RunKind, RunRecord};

/// Log lines that are kept before they are written in one transaction.
const BATCH: usize = 256;

/// Owns the database and the screen for one run.
pub(super) struct Dispatcher<'o> {
    observer: &'o mut dyn Observer,
    history: Option<History>,
    record: RunRecord,
    lines: Vec<LogLine>,
}

impl<'o> Dispatcher<'o> {
    /// A dispatcher of a run that begins now. Without `history` nothing is remembered.
    pub(super) fn new(
        kind: RunKind,
        run_id: RunId,
        mut history: Option<History>,
        observer: &'o mut dyn Observer,
    ) -> Result<Self, HistoryError> {
        let record = RunRecord {
            run_id,
            kind,
            started: Timestamp::now().to_string(),
            ended: None,
            status: None,
            sync: None,
            recovered: Vec::new(),
            program: None,
            updates: Vec::new(),
            modules: Vec::new(),
            problems: Vec::new(),
        };
        let mut notes = Vec::new();
        if let Some(history) = &mut history {
            notes.extend_from_slice(history.notes());
            // A full disk must not keep anybody from being put back, which may well be what frees it.
            if let Err(error) = history.begin_run(&record) {
                notes.push(error.to_string());
            }
        }
        let mut dispatcher = Self { observer, history, record, lines: Vec::new() };
        for note in notes {
            dispatcher.event(Event::Problem(note));
        }
        Ok(dispatcher)
    }

    /// The run that it is for.
    pub(super) fn run_id(&self) -> &RunId {
        &self.record.run_id
    }

    /// The database, for what is done before and after the modules run.
    pub(super) fn history(&mut self) -> Option<&mut History> {
        self.history.as_mut()
    }

    /// Whether anything was to be put back.
    pub(super) fn has_recovered(&self) -> bool {
        !self.record.recovered.is_empty()
    }

    /// Writes down and shows one event.
    pub(super) fn event(&mut self, event: Event) {
        self.observer.observe(&event);
        match event {
            Event::Recovered(rollback) => self.record.recovered.push(rollback),
            Event::Synced(sync) => self.record.sync = Some(sync),
            Event::Program(update) => self.record.program = Some(update),
            Event::Update(update) => self.record.updates.push(update),
            Event::Ended(module) => self.record.modules.push(*module),
            Event::Problem(problem) => self.record.problems.push(problem),
            Event::Log(line) => self.line(line),
            Event::Slow { module, limit } => {
                let text = format!("SLOW: half of its time is over; it is stopped after {} s", limit.as_secs());
                self.own_line(module, Level::Warning, text);
            }
            Event::Warning { module, text } => self.own_line(module, Level::Warning, text),
            Event::RollingBack { module, reason } => {
                self.own_line(module, Level::Error, format!("{reason}; putting back what it declared"));
            }
            Event::Restarting { module } => {
                self.own_line(module, Level::Info, "asked to be started afresh".to_owned());
            }
            Event::Syncing { .. }
            | Event::Planned(_)
            | Event::Started { .. }
            | Event::Progress { .. }
            | Event::Working { .. }
            | Event::Stopping { .. }
            | Event::Interrupted => {}
        }
    }

    /// Handles what a worker sent. A finished module is returned by name.
    pub(super) fn note(&mut self, note: Note) -> Option<ModuleName> {
        match note {
            Note::Event(event) => self.event(*event),
            Note::Begin { module, phase, payload, done } => {
                let written = match &mut self.history {
                    Some(history) => history.begin_module(&self.record.run_id, &module, phase, 1, &payload),
                    None => Ok(()),
                };
                // A worker that no longer waits has given up; the row then only means a restore too many.
                done.send(written.map_err(|error| error.to_string())).ok();
            }
            Note::Remember { module, payload, done } => {
                let written = match &mut self.history {
                    Some(history) => history.note_payload(&module, &payload),
                    None => Ok(()),
                };
                done.send(written.map_err(|error| error.to_string())).ok();
            }
            Note::Settled { module, done } => {
                let written = match &mut self.history {
                    Some(history) => {
                        let ended = history.end_module(&module);
                        if done.is_some() { ended.and_then(|()| history.sync()) } else { ended }
                    }
                    None => Ok(()),
                };
                let written = written.map_err(|error| error.to_string());
                if let Err(error) = &written {
                    self.event(Event::Problem(format!("{module}: {error}")));
                }
                if let Some(done) = done {
                    // Whoever no longer waits leaves more behind than it had to, and no less.
                    done.send(written).ok();
                }
            }
            Note::Done(record) => {
                let module = record.module.parse().ok();
                self.flush();
                if let Some(history) = &mut self.history
                    && let Err(error) = history.record_module(&self.record.run_id, &record)
                {
                    self.event(Event::Problem(format!("{}: {error}", record.module)));
                }
                self.event(Event::Ended(record));
                return module;
            }
        }
        None
    }

    /// Ends a run that could not go on. One that was only asked for wrongly is not remembered at all: it must not take the
    /// place of the run before in what a person is told.
    pub(super) fn fail(self, error: RunError) -> RunError {
        self.give_up(error.to_string(), error.status());
        error
    }

    /// The same for whatever could not go on.
    pub(super) fn give_up(mut self, problem: String, status: ExitStatus) {
        if status != ExitStatus::Usage {
            self.record.problems.push(problem);
            self.finish(|_| status);
        } else {
            self.forget();
        }
    }

    /// Ends a run in which there was nothing to do, as if it had not been.
    pub(super) fn forget(mut self) {
        if let Some(history) = &mut self.history
            && let Err(error) = history.forget_run(&self.record.run_id)
        {
            self.observer.observe(&Event::Problem(error.to_string()));
        }
    }

    /// Ends the run: the record is complete, stored and returned.
    pub(super) fn finish(mut self, status: impl FnOnce(&RunRecord) -> ExitStatus) -> RunRecord {
        self.flush();
        self.record.ended = Some(Timestamp::now().to_string());
        self.record.status = Some(status(&self.record));
        if let Some(mut history) = self.history.take()
            && let Err(error) = history.finish_run(&self.record)
        {
            let problem = format!("the run could not be written to the database: {error}");
            self.observer.observe(&Event::Problem(problem.clone()));
            self.record.problems.push(problem);
        }
        self.record
    }

    fn line(&mut self, line: LogLine) {
        self.lines.push(line);
        if self.lines.len() >= BATCH {
            self.flush();
        }
    }

    // What the supervisor has to say about a module belongs into the module's log.
    fn own_line(&mut self, module: ModuleName, level: Level, message: String) {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        self.line(LogLine { module, attempt: 0, phase: Phase::Main, time, level, source: LogSource::Module, message });
    }

    fn flush(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() {
            return;
        }
        if let Some(history) = &mut self.history
            && let Err(error) = history.append_logs(&self.record.run_id, &lines)
        {
            self.event(Event::Problem(format!("{} log lines are lost: {error}", lines.len())));
        }
    }
}

/// A module that never came to a worker.
pub(super) fn without_run(module: String, version: Option<String>, message: String) -> ModuleRecord {
    ModuleRecord {
        module,
        version,
        status: crate::record::ModuleStatus::Skipped,
        message: Some(message),
        result: None,
        attempts: Vec::new(),
        rollback: None,
        volatile_paths: Vec::new(),
        warnings: Vec::new(),
        ungranted: Vec::new(),
    }
}
