//! The loop between supervisor and runner: it never blocks for longer than its clock allows.
//!
//! Neither the module nor the runner is trusted to end, to read, or to make sense. Each wait has a bound, each buffer
//! has one, and past its bounds the runner is killed, which takes everything it started with it.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use updates_protocol::{
    CancelReason, Enforcement, FrameReader, Invocation, MAX_LINE, MAX_RESULT, PROTOCOL, SupervisorMessage,
};

use super::facts::Facts;
use super::log_budget::LogBudget;
use super::outbox::Outbox;
use super::runner::Runner;
use super::stage::{Due, Stage};
use super::{CancelToken, Conversation, Deadline, Event, Requests};

/// The longest line of a runner: a result, and what the runner puts around it.
const LONGEST_LINE: usize = MAX_RESULT + MAX_LINE;
/// How many pieces of output, of at most 16 KiB, are read between two looks at the clock.
const READS_AT_ONCE: usize = 8;
/// How many pieces are read when it matters what is there already; more than any pipe holds.
const READS_TO_THE_END: usize = 256;

/// One conversation that goes on.
pub(super) struct Dialogue<'a> {
    pub(super) runner: Runner,
    pub(super) frames: FrameReader,
    pub(super) outbox: Outbox,
    pub(super) stage: Stage,
    pub(super) facts: Facts,
    /// What the runner says it applied, also of a setup that failed.
    pub(super) applied: Enforcement,
    pub(super) log: LogBudget,
    pub(super) heard: Heard,
    pub(super) cancel: &'a CancelToken,
    pub(super) events: &'a mut dyn FnMut(Event),
    pub(super) requests: &'a mut Requests<'a>,
    deadline: Deadline,
    killed: bool,
}

/// Counts of what was heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) unknown: u64,
    pub(super) after_result: u64,
    pub(super) progress_second: Option<Instant>,
    pub(super) progress_in_second: u32,
    /// As the runner says.
    pub(super) log_bytes_dropped: u64,
    /// As the runner says.
    pub(super) full: Vec<String>,
}

/// What a wait found.
#[derive(Debug, Default)]
struct Ready {
    ended: bool,
    stdout: bool,
    stderr: bool,
}

impl<'a> Dialogue<'a> {
    pub(super) fn new(
        runner: Runner,
        deadline: Deadline,
        cancel: &'a CancelToken,
        events: &'a mut dyn FnMut(Event),
        requests: &'a mut Requests<'a>,
    ) -> Self {
        Self {
            runner,
            frames: FrameReader::new(LONGEST_LINE),
            outbox: Outbox::default(),
            stage: Stage::setting_up(Instant::now()),
            facts: Facts::default(),
            applied: Enforcement::default(),
            log: LogBudget::new(),
            heard: Heard::default(),
            cancel,
            events,
            requests,
            deadline,
            killed: false,
        }
    }

    pub(super) fn run(mut self, invocation: Invocation) -> Conversation {
        self.send(&SupervisorMessage::Start { protocol: PROTOCOL, invocation: Box::new(invocation) });
        loop {
            if let Some(due) = self.stage.due(Instant::now())
                && self.act_on(due).is_break()
            {
                break;
            }
            if let Some(reason) = self.cancel.reason() {
                self.stop(reason);
            }
            self.outbox.flush(&mut self.runner.stdin);
            let ready = self.wait();
            if ready.stderr {
                self.runner.read_stderr();
            }
            if ready.stdout {
                self.read(READS_AT_ONCE);
            }
            if ready.ended {
                self.read(READS_TO_THE_END);
                self.runner.read_stderr();
                break;
            }
        }
        self.conclude()
    }

    /// Waits for the runner, for the wish to stop, or for the clock.
    fn wait(&self) -> Ready {
        let left = self.stage.next().saturating_duration_since(Instant::now());
        // Waits are bounded by a deadline of days at most, which always fits.
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut fds = vec![PollFd::new(&self.runner.pidfd, PollFlags::IN)];
        let stdout = self.runner.stdout.as_ref().map(|stdout| {
            fds.push(PollFd::new(stdout, PollFlags::IN));
            fds.len() - 1
        });
        let stderr = self.runner.stderr.as_ref().map(|stderr| {
            fds.push(PollFd::new(stderr, PollFlags::IN));
            fds.len() - 1
        });
        // The token stays readable once it is set: it is waited for only until then.
        if self.cancel.reason().is_none() {
            fds.push(PollFd::from_borrowed_fd(self.cancel.as_fd(), PollFlags::IN));
        }
        if self.outbox.waits() {
            fds.push(PollFd::new(&self.runner.stdin, PollFlags::OUT));
        }
        // An interrupted wait has found nothing; the caller looks at the clock and comes back.
        if poll(&mut fds, Some(&timeout)).is_err() {
            return Ready::default();
        }
        let is_ready = |at: Option<usize>| at.is_some_and(|at| !fds[at].revents().is_empty());
        Ready { ended: is_ready(Some(0)), stdout: is_ready(stdout), stderr: is_ready(stderr) }
    }

    fn act_on(&mut self, due: Due) -> ControlFlow<()> {
        match due {
            Due::Slow(elapsed) => (self.events)(Event::Slow { elapsed }),
            Due::Deadline => self.stop(CancelReason::Deadline),
            Due::SetupOver => {
                self.facts.setup_over = true;
                self.kill();
            }
            Due::Kill => {
                if matches!(self.stage, Stage::Ending { .. }) && !self.facts.is_over() {
                    self.violate("closed its output without a result and did not end".to_owned());
                }
                self.kill();
            }
            Due::Leave => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    /// Tells the module to end, unless it has ended already.
    fn stop(&mut self, reason: CancelReason) {
        if matches!(self.stage, Stage::Running { .. }) {
            // A result that is in the pipe by now was there in time.
            self.read(READS_TO_THE_END);
        }
        match self.stage {
            // The module has not begun, or its first instruction has yet to be told of: nothing to be gentle with.
            Stage::SettingUp { .. } => {
                self.facts.cancelled = Some(reason);
                self.kill();
            }
            Stage::Running { .. } => {
                self.facts.cancelled = Some(reason);
                self.stage = Stage::stopping(Instant::now(), self.deadline);
                let grace_ms = u64::try_from(self.deadline.timeout_stop.as_millis()).unwrap_or(u64::MAX);
                self.send(&SupervisorMessage::Cancel { reason, grace_ms });
                (self.events)(Event::Terminating { reason });
            }
            Stage::Stopping { .. } | Stage::Ending { .. } | Stage::Killed { .. } => {}
        }
    }

    /// Reads at most `times` pieces of the runner's output, and acts on the lines.
    fn read(&mut self, times: usize) {
        for _ in 0..times {
            let Some(stdout) = &mut self.runner.stdout else { return };
            match self.frames.fill(stdout) {
                Ok(true) => self.hear_all(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(false) | Err(_) => {
                    self.runner.stdout = None;
                    self.hear_all();
                    self.end_soon();
                }
            }
        }
    }

    pub(super) fn start_clock(&mut self) {
        if matches!(self.stage, Stage::SettingUp { .. }) {
            self.stage = Stage::running(Instant::now(), self.deadline);
        }
    }

    /// Nothing more is to come: the runner has only to exit.
    pub(super) fn end_soon(&mut self) {
        if !matches!(self.stage, Stage::Ending { .. } | Stage::Killed { .. }) {
            self.stage = Stage::ending(Instant::now());
        }
    }

    pub(super) fn send(&mut self, message: &SupervisorMessage) {
        if !self.outbox.push(message) {
            self.violate("does not read what it is sent".to_owned());
        }
    }

    /// Ends a runner that broke the protocol. After its last word that no longer matters.
    pub(super) fn violate(&mut self, what: String) {
        if !self.facts.is_over() && self.facts.violation.is_none() {
            self.facts.violation = Some(what);
            self.kill();
        }
    }

    fn kill(&mut self) {
        if !self.killed {
            self.killed = true;
            self.runner.kill();
            self.stage = Stage::killed(Instant::now());
        }
    }

    fn conclude(mut self) -> Conversation {
        let (rest, log_bytes_dropped) = self.log.finish();
        for entry in rest {
            (self.events)(Event::Log(entry));
        }
        self.facts.runner_status = if self.killed { None } else { self.runner.status() };
        self.facts.stderr_tail = self.runner.stderr_tail();
        Conversation {
            outcome: self.facts.outcome(whole_seconds(self.deadline.runtime_max)),
            usage: self.facts.result.as_ref().map(|result| result.usage).unwrap_or_default(),
            enforcement: self.applied,
            log_bytes_dropped: log_bytes_dropped.saturating_add(self.heard.log_bytes_dropped),
            protocol_notes: self.heard.notes(),
            full: self.heard.full,
        }
    }
}

impl Heard {
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.unknown > 0 {
            notes.push(format!("{} messages of an unknown type were passed over", self.unknown));
        }
        if self.after_result > 0 {
            notes.push(format!("{} messages came after the result", self.after_result));
        }
        notes
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
