//! Opens everything that runner, init and module share, and forks init.

use std::os::fd::OwnedFd;

use rustix::fs::OFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;
use updates_protocol::SetupFailure;

use crate::control::{self, ToInit};
use crate::host::Command;
use crate::init::{self, ModuleEnds};
use crate::kernel::Forked;
use crate::report::{self, ReportReader};
use crate::sandbox::{OrFail, Sandbox};
use crate::trace::{TraceReader, trace};

/// A sandbox that is being set up or lives, seen from the runner. Its descriptors don't block.
#[derive(Debug)]
#[must_use]
pub struct Launched {
    /// Init, a child of the runner that has not been waited for.
    pub init: Pid,
    /// The line to init.
    pub control: ToInit,
    /// What the set-up came to.
    pub report: ReportReader,
    /// What the module tries, when that is traced.
    pub trace: Option<TraceReader>,
    /// The module's channel.
    pub channel: OwnedFd,
    /// The module's standard output.
    pub stdout: OwnedFd,
    /// The module's standard error.
    pub stderr: OwnedFd,
}

/// Which process this is after the fork.
#[derive(Debug)]
pub enum Side {
    /// The runner.
    Outside(Launched),
    /// Init at its end, with its exit code.
    Inside(u8),
}

/// Starts the module. Returns in the runner at once and in init when everything is over.
pub fn launch(sandbox: Sandbox, command: Command) -> Result<Side, SetupFailure> {
    let about = || "pipes and sockets".to_owned();
    let (control, to_runner) = control::pair().or_fail("launch", about)?;
    let (report, report_writer) = report::report().or_fail("launch", about)?;
    let (trace, trace_writer) = sandbox.is_traced().then(trace).transpose().or_fail("launch", about)?.unzip();
    let (channel, module_channel) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .or_fail("launch", about)?;
    let (stdout, module_stdout) = pipe_with(PipeFlags::CLOEXEC).or_fail("launch", about)?;
    let (stderr, module_stderr) = pipe_with(PipeFlags::CLOEXEC).or_fail("launch", about)?;
    // Set on one end alone: whoever is at the other end of a pipe or socket has a flag of its own.
    for end in [&channel, &stdout, &stderr] {
        rustix::fs::fcntl_setfl(end, OFlags::NONBLOCK).or_fail("launch", about)?;
    }
    match sandbox.fork_init()? {
        Forked::Parent(init) => Ok(Side::Outside(Launched { init, control, report, trace, channel, stdout, stderr })),
        Forked::Child => {
            drop((control, report, trace, channel, stdout, stderr));
            let ends = ModuleEnds { channel: module_channel, stdout: module_stdout, stderr: module_stderr };
            Ok(Side::Inside(init::live(sandbox, command, to_runner, report_writer, trace_writer, ends)))
        }
    }
}
