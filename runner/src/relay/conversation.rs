//! The poll loop of the runner: everything that can happen while a module runs, and the order of its end.
//!
//! Nothing of the module is read before the report of the sandbox is complete, so that the supervisor hears of the
//! sandbox before the first line of the module. A result does not end the run: the module's process does, or the
//! supervisor's deadline, which alone knows how long is too long.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use updates_protocol::{
    Enforcement, Entry, Exit, LogSource, ModuleInvocation, RunnerMessage, SetupFailure, SupervisorMessage, Usage,
};

use super::channel::Channel;
use super::module::Module;
use super::output::Output;
use crate::control::{End, LIMITED, Order, Received, ToInit};
use crate::init::exit_of;
use crate::launch::Launched;
use crate::report::{ReportReader, Setup};
use crate::supervisor::{Lost, Supervisor};
use crate::trace::TraceReader;

/// How long init may take to end everything before it is killed itself.
const LAST_GRACE: Duration = Duration::from_secs(1);
/// How often a stream is read after everybody who should hold it is gone: more than any pipe can hold.
const LAST_READS: usize = 64;

/// How the conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The module ran, and its result was sent.
    Finished,
    /// A step of the set-up failed, and that was sent.
    NotStarted,
}

/// What is hosted.
#[derive(Debug)]
pub struct Hosted {
    /// What was executed.
    pub entry: Entry,
    /// What the module may know of its invocation.
    pub module: ModuleInvocation,
}

/// A module that is being hosted.
#[derive(Debug)]
#[must_use]
pub struct Conversation {
    module: Module,
    channel: Channel,
    stdout: Output,
    stderr: Output,
    /// What was read last from either of the two.
    buffer: Vec<u8>,
    control: ToInit,
    report: Option<ReportReader>,
    trace: Option<TraceReader>,
    init: Pid,
    started: Instant,
    /// When the next harder measure is due, and which.
    measure: Option<(Instant, Measure)>,
    cancelled: bool,
    /// Which folders the module had filled when it ended.
    full: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy)]
enum Measure {
    KillAll,
    KillInit,
}

/// Why the loop ended.
enum Over {
    NotStarted(SetupFailure),
    Ended(Option<Exit>),
}

impl Conversation {
    /// Joins the ends that `launch` opened.
    pub fn new(supervisor: Supervisor, launched: Launched, hosted: &Hosted) -> io::Result<Self> {
        // What a Python module prints is never protocol: its host says everything on the channel.
        let speaks = matches!(hosted.entry, Entry::Executable { .. });
        Ok(Self {
            module: Module::new(supervisor, serde_json::to_value(&hosted.module)?),
            channel: Channel::new(launched.channel),
            stdout: Output::new(launched.stdout, LogSource::Stdout, speaks),
            stderr: Output::new(launched.stderr, LogSource::Stderr, false),
            buffer: Vec::new(),
            control: launched.control,
            report: Some(launched.report),
            trace: launched.trace,
            init: launched.init,
            started: Instant::now(),
            measure: None,
            cancelled: false,
            full: Vec::new(),
        })
    }

    /// Holds the conversation to its end. Whatever it returns, every process of the sandbox is gone.
    pub fn run(mut self) -> Result<Ending, Lost> {
        match self.relay() {
            Ok(over) => self.end(over),
            Err(lost) => {
                self.kill_init();
                self.wait_for_init()?;
                Err(lost)
            }
        }
    }

    fn relay(&mut self) -> Result<Over, Lost> {
        loop {
            while let Some(message) = self.module.supervisor.next_message()? {
                self.obey(message)?;
            }
            self.module.ask()?;
            self.module.replies.write(self.channel.as_fd());
            let now = Instant::now();
            self.module.pass_progress(now)?;
            self.escalate(now)?;
            self.module.supervisor.flush()?;

            for event in self.wait()? {
                match event {
                    Event::Supervisor => self.module.supervisor.read()?,
                    Event::Report => {
                        if let Some(failure) = self.read_report()? {
                            return Ok(Over::NotStarted(failure));
                        }
                    }
                    Event::Trace => drop(self.read_trace()?),
                    Event::Channel => drop(self.channel.read(&mut self.module)?),
                    Event::Stdout => drop(self.stdout.read(&mut self.buffer, &mut self.module)?),
                    Event::Stderr => drop(self.stderr.read(&mut self.buffer, &mut self.module)?),
                    Event::Control => match self.control.end()? {
                        Received::Message(End { exit, full }) => {
                            self.full = LIMITED.iter().zip(full).filter(|(_, full)| *full).map(|(at, _)| *at).collect();
                            return Ok(Over::Ended(Some(exit)));
                        }
                        Received::Gone => return Ok(Over::Ended(None)),
                        Received::Nothing => {}
                    },
                }
            }
        }
    }

    fn obey(&mut self, message: Option<SupervisorMessage>) -> Result<(), Lost> {
        match message {
            Some(SupervisorMessage::Reply(reply)) => self.module.replies.answered(reply)?,
            Some(SupervisorMessage::Cancel { grace_ms, .. }) => {
                self.cancelled = true;
                self.control.order(Order::Terminate).map_err(io::Error::from)?;
                let due = Instant::now() + Duration::from_millis(grace_ms);
                // A second cancel may shorten the grace, never lengthen it.
                if self.measure.is_none_or(|(earlier, _)| due < earlier) {
                    self.measure = Some((due, Measure::KillAll));
                }
            }
            // A second start is as meaningless as a message of unknown type.
            Some(SupervisorMessage::Start { .. }) | None => {}
        }
        Ok(())
    }

    fn escalate(&mut self, now: Instant) -> Result<(), Lost> {
        match self.measure {
            Some((due, Measure::KillAll)) if due <= now => {
                // Through init, which counts what its children used; killing it directly would lose that.
                self.control.order(Order::Kill).map_err(io::Error::from)?;
                self.measure = Some((now + LAST_GRACE, Measure::KillInit));
            }
            Some((due, Measure::KillInit)) if due <= now => {
                self.kill_init();
                self.measure = None;
            }
            _ => {}
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<Vec<Event>, Lost> {
        let mut events = Vec::with_capacity(6);
        let mut fds = Vec::with_capacity(6);
        for (event, fd, flags) in self.interests() {
            events.push(event);
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        }
        let timeout = [self.measure.map(|(due, _)| due), self.module.progress_due()].into_iter().flatten().min();
        let timeout = timeout.map(|due| timespec(due.saturating_duration_since(Instant::now())));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(io::Error::from(error).into()),
        }
        let ready = |fd: &PollFd<'_>| fd.revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
        Ok(events.into_iter().zip(fds).filter(|(_, fd)| ready(fd)).map(|(event, _)| event).collect())
    }

    // What is waited for, in the order in which it is attended to. Of the report only the end is of interest, which poll
    // tells without being asked.
    fn interests(&self) -> impl Iterator<Item = (Event, BorrowedFd<'_>, PollFlags)> {
        let congested = self.module.replies.are_congested();
        let when = |condition: bool, flag: PollFlags| if condition { flag } else { PollFlags::empty() };
        let channel = when(self.channel.is_open() && !congested, PollFlags::IN)
            | when(self.module.replies.are_pending(), PollFlags::OUT);
        let stdout = when(self.stdout.is_open() && !(congested && self.stdout.carries_requests()), PollFlags::IN);
        let stderr = when(self.stderr.is_open(), PollFlags::IN);
        let streams = [
            (Event::Channel, self.channel.as_fd(), channel),
            (Event::Stdout, self.stdout.as_fd(), stdout),
            (Event::Stderr, self.stderr.as_fd(), stderr),
        ];
        // Before the streams, so that a refusal is mostly told of before the module's own words about it.
        let trace = self.trace.iter().filter(|trace| trace.is_open());
        let trace = trace.map(|trace| (Event::Trace, trace.as_fd(), PollFlags::IN));
        let streams = trace.chain(streams).filter(|(_, _, flags)| self.report.is_none() && !flags.is_empty());
        let report = self.report.iter().map(|report| (Event::Report, report.as_fd(), PollFlags::empty()));
        [(Event::Supervisor, rustix::stdio::stdin(), PollFlags::IN)].into_iter().chain(report).chain(streams).chain([(
            Event::Control,
            self.control.as_fd(),
            PollFlags::IN,
        )])
    }

    fn read_report(&mut self) -> Result<Option<SetupFailure>, Lost> {
        let Some(report) = &mut self.report else { return Ok(None) };
        let failure = match report.read()? {
            Setup::Pending => return Ok(None),
            Setup::Executed(enforcement) => {
                self.report = None;
                self.started = Instant::now();
                self.module.supervisor.send(&RunnerMessage::Sandbox { enforcement, failure: None })?;
                return Ok(None);
            }
            Setup::Failed(failure) => failure,
            Setup::Silent if self.cancelled => {
                SetupFailure { step: "cancel".to_owned(), reason: "stopped during the set-up".to_owned() }
            }
            Setup::Silent => SetupFailure {
                step: "launch".to_owned(),
                reason: "killed during the set-up (out of memory?)".to_owned(),
            },
        };
        Ok(Some(failure))
    }

    fn read_trace(&mut self) -> Result<bool, Lost> {
        let supervisor = &mut self.module.supervisor;
        match &mut self.trace {
            Some(trace) if trace.is_open() => trace.read(|call| supervisor.send(&RunnerMessage::Access(call))),
            _ => Ok(false),
        }
    }

    fn end(mut self, over: Over) -> Result<Ending, Lost> {
        let wall = self.started.elapsed();
        let exit = match over {
            Over::NotStarted(failure) => {
                self.kill_init();
                self.wait_for_init()?;
                let failure = Some(failure);
                self.module
                    .supervisor
                    .send(&RunnerMessage::Sandbox { enforcement: Enforcement::default(), failure })?;
                self.module.supervisor.flush()?;
                return Ok(Ending::NotStarted);
            }
            Over::Ended(exit) => exit,
        };
        // First everybody who writes has to be gone, then what they wrote is read: in this order nothing is missed.
        let of_init = self.wait_for_init()?;
        if let Some(failure) = self.report.is_some().then(|| self.read_report()).transpose()?.flatten() {
            return self.end(Over::NotStarted(failure));
        }
        for _ in 0..LAST_READS {
            if !self.read_trace()? {
                break;
            }
        }
        for _ in 0..LAST_READS {
            let more = [
                self.channel.is_open() && self.channel.read(&mut self.module)?,
                self.stdout.is_open() && self.stdout.read(&mut self.buffer, &mut self.module)?,
                self.stderr.is_open() && self.stderr.read(&mut self.buffer, &mut self.module)?,
            ];
            if !more.contains(&true) {
                break;
            }
        }
        self.stdout.finish(&mut self.module)?;
        self.stderr.finish(&mut self.module)?;
        let exit = exit.or(of_init).unwrap_or(Exit::Signal(Signal::KILL.as_raw()));
        self.module.conclude(usage(wall), exit, &self.full)?;
        Ok(Ending::Finished)
    }

    // With init the kernel kills every process of its namespace. That it has ended already is as good.
    fn kill_init(&self) {
        match kill_process(self.init, Signal::KILL) {
            Ok(()) | Err(_) => {}
        }
    }

    fn wait_for_init(&self) -> Result<Option<Exit>, Lost> {
        loop {
            match waitpid(Some(self.init), WaitOptions::empty()) {
                Ok(Some((_, status))) => return Ok(exit_of(status)),
                Ok(None) | Err(Errno::INTR) => {}
                Err(Errno::CHILD) => return Ok(None),
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Supervisor,
    Report,
    Trace,
    Channel,
    Stdout,
    Stderr,
    Control,
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: i64::from(duration.subsec_nanos()) }
}

// Init is the runner's only child and waits for every process of the sandbox, so this is the whole tree.
fn usage(wall: Duration) -> Usage {
    let Ok(children) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return Usage::default() };
    let milliseconds = |time: nix::sys::time::TimeVal| u64::try_from(time.num_milliseconds()).unwrap_or(0);
    Usage {
        wall_ms: wall.as_millis().try_into().unwrap_or(u64::MAX),
        user_ms: milliseconds(children.user_time()),
        system_ms: milliseconds(children.system_time()),
        max_rss_kib: u64::try_from(children.max_rss()).unwrap_or(0),
    }
}
