//! Init, pid 1 of the sandbox: sets it up, starts the module, reaps, passes on orders, and ends everything when the
//! module's first process ends.
//!
//! It dies with the runner, and the kernel kills whatever is left of a pid namespace whose init dies; that holds for
//! processes that fork twice, open sessions of their own or clear their parent death signal. Nothing here trusts the
//! module: init takes no input from it but the way its processes end.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid as Target;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{DumpableBehavior, Pid, WaitOptions, WaitStatus};
use updates_protocol::{Exit, SetupFailure};

use crate::control::{End, LIMITED, Order, Received, ToRunner};
use crate::host::Command;
use crate::kernel::{self, Forked};
use crate::report::{Prepared, ReportWriter};
use crate::sandbox::{Entered, OrFail, Sandbox, keep_what_init_needs};
use crate::trace::{TraceWriter, Tracer};

/// The module's ends of what connects it to the runner.
#[derive(Debug)]
pub struct ModuleEnds {
    /// Becomes descriptor 3.
    pub channel: OwnedFd,
    /// Becomes descriptor 1.
    pub stdout: OwnedFd,
    /// Becomes descriptor 2.
    pub stderr: OwnedFd,
}

/// All of init's life. A failure reaches the runner through `report`; with `trace` the module is traced.
pub fn live(
    sandbox: Sandbox,
    command: Command,
    runner: ToRunner,
    report: ReportWriter,
    trace: Option<TraceWriter>,
    ends: ModuleEnds,
) -> u8 {
    // Freed with the process: taking it apart now would only copy pages that are shared with the runner.
    let command = ManuallyDrop::new(command);
    let set_up = set_up(sandbox, &runner).and_then(|(entered, signals)| {
        let started = match trace {
            None => start(entered, &command, &report, &ends)?,
            Some(writer) => start_traced(entered, &command, &report, &ends, writer)?,
        };
        Ok((started, signals))
    });
    match set_up {
        Ok((Started::Module(code), _)) => code,
        Ok((Started::Init(module, tracer), signals)) => {
            // What the module holds must not be held here as well: the runner waits for the last holder to go.
            drop((report, ends));
            tend(module, tracer, &runner, &signals)
        }
        Err(failure) => fail(&report, failure),
    }
}

/// Which process this is once the module's exists.
enum Started {
    Init(Pid, Option<Tracer>),
    /// The module's own, which could not become the module, with its exit code.
    Module(u8),
}

fn start(
    entered: Entered,
    command: &Command,
    report: &ReportWriter,
    ends: &ModuleEnds,
) -> Result<Started, SetupFailure> {
    let mut entered = Some(entered);
    let module = kernel::spawn_borrowing(|| match entered.take() {
        Some(entered) => become_module(entered, command, report, ends).into(),
        None => 1,
    });
    Ok(Started::Init(module.or_fail("launch", || "forking the module's process".to_owned())?, None))
}

// A plain fork, because init must not stand still until exec: it has to seize the process before.
fn start_traced(
    entered: Entered,
    command: &Command,
    report: &ReportWriter,
    ends: &ModuleEnds,
    writer: TraceWriter,
) -> Result<Started, SetupFailure> {
    let about = || "forking the module's process".to_owned();
    let (seized, seize) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).or_fail("trace", about)?;
    let show =
        |behavior| rustix::process::set_dumpable_behavior(behavior).or_fail("trace", || "PR_SET_DUMPABLE".to_owned());
    // In a user namespace the memory before exec belongs to the one outside, whose processes init may only trace when
    // they don't hide. Nothing of the module exists yet to make use of it, and init hides again before it does.
    show(DumpableBehavior::Dumpable)?;
    match kernel::fork_into(0, None).or_fail("launch", about)? {
        Forked::Parent(module) => {
            let tracer = Tracer::seize(module, writer).or_fail("trace", || "PTRACE_SEIZE".to_owned())?;
            show(DumpableBehavior::NotDumpable)?;
            rustix::io::write(&seize, b"s").or_fail("trace", || "starting the traced process".to_owned())?;
            Ok(Started::Init(module, Some(tracer)))
        }
        Forked::Child => {
            drop((seize, writer));
            // The end without a word: init failed, and is reporting that.
            match rustix::io::retry_on_intr(|| rustix::io::read(&seized, &mut [0; 1])) {
                Ok(1) => Ok(Started::Module(become_module(entered, command, report, ends))),
                _ => Ok(Started::Module(1)),
            }
        }
    }
}

fn set_up(sandbox: Sandbox, runner: &ToRunner) -> Result<(Entered, SignalFd), SetupFailure> {
    die_with(runner)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let null = null.or_fail("launch", || "/dev/null".to_owned())?;
    // The supervisor's pipes are the runner's alone.
    rustix::stdio::dup2_stdin(&null)
        .and_then(|()| rustix::stdio::dup2_stdout(&null))
        .and_then(|()| rustix::stdio::dup2_stderr(&null))
        .or_fail("launch", || "standard descriptors of init".to_owned())?;
    // Blocked before the first child exists, so that no end of one is missed.
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    let signals = children
        .thread_block()
        .and_then(|()| SignalFd::with_flags(&children, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC))
        .or_fail("launch", || "signals of init".to_owned())?;
    let entered = sandbox.enter()?;
    // After `enter`, which writes to files below /proc/self that a process which is not dumpable does not own; before
    // the module exists, which must not reach init's memory or the runner's binary (CVE-2019-5736).
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .or_fail("launch", || "hiding init from the module".to_owned())?;
    Ok((entered, signals))
}

// The parent death signal is lost when the parent dies before it is set; the socket tells that this has happened.
fn die_with(runner: &ToRunner) -> Result<(), SetupFailure> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .or_fail("launch", || "parent death signal".to_owned())?;
    if runner.is_connected() {
        return Ok(());
    }
    Err(SetupFailure { step: "launch".to_owned(), reason: "the runner is gone".to_owned() })
}

fn fail(report: &ReportWriter, failure: SetupFailure) -> u8 {
    match report.failed(failure) {
        Ok(()) => 1,
        Err(_) => 2, // nobody listens any more
    }
}

// From here to exec in the module's own process. It needs no parent death signal: it can't outlive its namespace.
fn become_module(entered: Entered, command: &Command, report: &ReportWriter, ends: &ModuleEnds) -> u8 {
    let confined = (|| {
        kernel::default_all_signals().or_fail("launch", || "signal actions".to_owned())?;
        // All of these are above 3, the number that `settle` reserved, so none is overwritten before it is copied.
        for (target, source) in
            (0..).zip([command.stdin(), ends.stdout.as_fd(), ends.stderr.as_fd(), ends.channel.as_fd()])
        {
            kernel::place(source, target).or_fail("descriptors", || format!("number {target}"))?;
        }
        let mut confined = entered.confine()?;
        kernel::close_on_exec_from(4).or_fail("descriptors", || "close_range".to_owned())?;
        let enforcement = confined.enforcement();
        enforcement.enforced("descriptors", "all but 0 to 3 are closed");
        enforcement.enforced("environment", format!("{} variables, nothing inherited", command.variables()));
        SigSet::empty().thread_set_mask().or_fail("launch", || "signal mask".to_owned())?;
        let about = || "reporting".to_owned();
        let prepared = confined.close(Prepared::confined)?.or_fail("launch", about)?;
        report.confined(&prepared).or_fail("launch", about)
    })();
    let failure = match confined {
        Ok(()) => command.exec(),
        Err(failure) => failure,
    };
    fail(report, failure)
}

fn tend(module: Pid, mut tracer: Option<Tracer>, runner: &ToRunner, signals: &SignalFd) -> u8 {
    // Without its capabilities init is no prize; should this fail, the module must not run either.
    let mut ended = keep_what_init_needs(tracer.is_some()).err().map(|_| Exit::Signal(Signal::SIGKILL as i32));
    while ended.is_none() {
        let mut fds = [PollFd::new(signals, PollFlags::IN), PollFd::new(runner, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return 3,
        }
        while let Ok(Some(_)) = signals.read_signal() {}
        ended = reap(module, &mut tracer, WaitOptions::NOHANG);
        match runner.order() {
            Received::Message(Order::Terminate) => {
                signal_all(Signal::SIGTERM);
                // A stopped process could not act upon it.
                signal_all(Signal::SIGCONT);
            }
            Received::Message(Order::Kill) => signal_all(Signal::SIGKILL),
            Received::Gone => return 4,
            Received::Nothing => {}
        }
    }
    // Now, since files that are open and nowhere else vanish with whoever holds them.
    let full = LIMITED.map(is_full);
    // The kernel would kill the rest when init ends, but only what init waits for is counted in the resource usage.
    signal_all(Signal::SIGKILL);
    let rest = reap(module, &mut tracer, WaitOptions::empty());
    match ended.or(rest).map(|exit| runner.report(&End { exit, full })) {
        Some(Ok(())) => 0,
        _ => 5,
    }
}

// Of a file system of the sandbox's own: a full disk of the machine is nothing that a bound of the module's has to do with.
fn is_full(folder: &str) -> bool {
    const TMPFS_MAGIC: u64 = 0x0102_1994; // linux/magic.h
    rustix::fs::statfs(folder).is_ok_and(|found| {
        // One page of the last that was asked for may be left.
        found.f_type as u64 == TMPFS_MAGIC && found.f_blocks > 0 && (found.f_bavail <= 1 || found.f_ffree == 0)
    })
}

// To every process of the namespace but init itself. That there is none left is not worth a word.
fn signal_all(signal: Signal) {
    match kill(Target::from_raw(-1), signal) {
        Ok(()) | Err(_) => {}
    }
}

// Waits for children until none is left, or with NOHANG until none has ended; tells how `module` ended if it did.
fn reap(module: Pid, tracer: &mut Option<Tracer>, options: WaitOptions) -> Option<Exit> {
    let mut ended = None;
    loop {
        match rustix::process::wait(options) {
            Ok(Some((pid, status))) => match tracer {
                Some(tracer) if status.stopped() => tracer.stopped(pid, status),
                _ => {
                    tracer.iter_mut().for_each(|tracer| tracer.gone(pid, status));
                    if pid == module {
                        ended = exit_of(status);
                    }
                }
            },
            Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return ended,
        }
    }
}

/// How a process ended that was waited for.
pub fn exit_of(status: WaitStatus) -> Option<Exit> {
    status.exit_status().map(Exit::Code).or_else(|| status.terminating_signal().map(Exit::Signal))
}
