//! A child held by ptrace(2), so that it can be struck at any one of its system calls, in all of its threads.
//!
//! The calls that touch files are numbered from 1 in the order in which the kernel sees them, beginning when the child
//! begins its work. A rule looks at each before it happens and may kill the child there or have the call fail.

use std::collections::HashMap;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use syscalls::Sysno;

use crate::child::{Ended, Work, command};
use crate::ground::Ground;

/// A system call about to happen.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// From 1.
    pub index: usize,
    pub number: Sysno,
    pub arguments: [u64; 6],
}

/// What befalls a child at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    Kill,
    /// The call does nothing and returns this.
    Fail(Errno),
}

/// Calls that touch no file; a child struck there is one that was struck at its next call.
const ASIDE: &[Sysno] = &[
    Sysno::brk,
    Sysno::clock_gettime,
    Sysno::clock_nanosleep,
    Sysno::clone,
    Sysno::clone3,
    Sysno::close,
    Sysno::exit,
    Sysno::exit_group,
    Sysno::fcntl,
    Sysno::futex,
    Sysno::getpid,
    Sysno::getrandom,
    Sysno::gettid,
    Sysno::madvise,
    Sysno::membarrier,
    Sysno::mmap,
    Sysno::mprotect,
    Sysno::mremap,
    Sysno::munmap,
    Sysno::poll,
    Sysno::prctl,
    Sysno::recvfrom,
    Sysno::restart_syscall,
    Sysno::rseq,
    Sysno::rt_sigaction,
    Sysno::rt_sigprocmask,
    Sysno::rt_sigreturn,
    Sysno::sched_getaffinity,
    Sysno::sched_yield,
    Sysno::sendto,
    Sysno::set_robust_list,
    Sysno::sigaltstack,
];

/// Calls that look and change nothing.
const LOOKS: &[Sysno] = &[
    Sysno::access,
    Sysno::faccessat,
    Sysno::faccessat2,
    Sysno::fgetxattr,
    Sysno::flistxattr,
    Sysno::fstat,
    Sysno::fstatfs,
    Sysno::getdents64,
    Sysno::getxattr,
    Sysno::lgetxattr,
    Sysno::listxattr,
    Sysno::llistxattr,
    Sysno::lseek,
    Sysno::newfstatat,
    Sysno::pread64,
    Sysno::read,
    Sysno::readlink,
    Sysno::readlinkat,
    Sysno::stat,
    Sysno::statfs,
    Sysno::statx,
];

impl Call {
    /// Whether it takes a descriptor.
    pub fn opens(&self) -> bool {
        matches!(self.number, Sysno::open | Sysno::openat | Sysno::openat2)
    }

    /// Whether it makes something durable.
    pub fn syncs(&self) -> bool {
        matches!(self.number, Sysno::fsync | Sysno::fdatasync | Sysno::syncfs)
    }

    /// Whether it may change a file or a directory.
    pub fn changes(&self) -> bool {
        let creates = |flags: u64| flags & 0o100 != 0;
        match self.number {
            Sysno::openat => creates(self.arguments[2]),
            Sysno::open => creates(self.arguments[1]),
            // The engine walks by it alone.
            Sysno::openat2 => false,
            number => !LOOKS.contains(&number),
        }
    }

    /// Whether it is a renameat2(2) with flags, which not every file system knows.
    pub fn renames_by_flags(&self) -> bool {
        self.number == Sysno::renameat2 && self.arguments[4] != 0
    }
}

/// Runs a child to its end, with `rule` asked at each call.
pub fn trace(ground: &Ground, work: Work, rule: impl FnMut(&Call) -> Option<Strike>) -> Ended {
    let (mut command, control) = command(ground, work);
    Tracer::start(&mut command, &control).follow(&control, rule)
}

struct Tracer {
    child: std::process::Child,
    begun: bool,
    calls: usize,
    /// What the call that a thread is in shall return.
    failing: HashMap<Pid, Errno>,
}

impl Tracer {
    fn start(command: &mut Command, control: &UnixDatagram) -> Self {
        let child = command.spawn().unwrap();
        control.recv(&mut [0; 8]).unwrap();
        // It waits now, so no thread comes or goes.
        let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
        for task in std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap() {
            let task = Pid::from_raw(task.unwrap().file_name().to_str().unwrap().parse().unwrap());
            ptrace::seize(task, options).unwrap();
            ptrace::interrupt(task).unwrap();
            waitpid(task, Some(WaitPidFlag::__WALL)).unwrap();
            ptrace::syscall(task, None).unwrap();
        }
        control.send(b"go").unwrap();
        Self { child, begun: false, calls: 0, failing: HashMap::new() }
    }

    fn follow(mut self, control: &UnixDatagram, mut rule: impl FnMut(&Call) -> Option<Strike>) -> Ended {
        let main = Pid::from_raw(self.child.id().try_into().unwrap());
        loop {
            // Of this thread's own children alone: other tests have theirs.
            let (task, signal) = match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)).unwrap() {
                WaitStatus::Exited(task, _) | WaitStatus::Signaled(task, ..) if task == main => break,
                WaitStatus::PtraceSyscall(task) => {
                    // A task that another's end takes with it is gone at any moment.
                    self.at_call(main, task, &mut rule).or_else(gone).unwrap();
                    (task, None)
                }
                WaitStatus::Stopped(task, signal) => (task, Some(signal)),
                WaitStatus::PtraceEvent(task, ..) => (task, None),
                _ => continue,
            };
            ptrace::syscall(task, signal).or_else(gone).unwrap();
        }
        control.set_nonblocking(true).unwrap();
        let mut said = vec![0; 64 << 10];
        Ended::of(control.recv(&mut said).ok().map(|length| &said[..length]))
    }

    fn at_call(&mut self, main: Pid, task: Pid, rule: &mut impl FnMut(&Call) -> Option<Strike>) -> nix::Result<()> {
        const ENTRY: u8 = 1;
        let mut registers = ptrace::getregs(task)?;
        let Some(number) = Sysno::new(usize::try_from(registers.orig_rax).unwrap_or(usize::MAX)) else {
            // The exit of a call that was replaced by none.
            if let Some(errno) = self.failing.remove(&task) {
                registers.rax = -(errno as i64) as u64;
                ptrace::setregs(task, registers)?;
            }
            return Ok(());
        };
        if ptrace::syscall_info(task)?.op != ENTRY {
            self.begun |= number == Sysno::recvfrom;
            return Ok(());
        }
        // What it says at the end is no part of the work.
        self.begun &= number != Sysno::sendto;
        if !self.begun || ASIDE.contains(&number) {
            return Ok(());
        }
        self.calls += 1;
        let arguments = [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9];
        match rule(&Call { index: self.calls, number, arguments }) {
            None => Ok(()),
            Some(Strike::Kill) => nix::sys::signal::kill(main, Signal::SIGKILL),
            Some(Strike::Fail(errno)) => {
                registers.orig_rax = u64::MAX;
                self.failing.insert(task, errno);
                ptrace::setregs(task, registers)
            }
        }
    }
}

fn gone(error: Errno) -> nix::Result<()> {
    if error == Errno::ESRCH { Ok(()) } else { Err(error) }
}
