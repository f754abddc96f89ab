//! ptrace(2) as typed functions: seizing a process, letting it go on, and what it stopped for.
//!
//! The wrappers of nix can't pass on a real-time signal and lack PTRACE_LISTEN, so the calls are made here. Nothing in
//! this file knows what a system call means.
#![allow(unsafe_code)] // ptrace(2) and process_vm_readv(2) take plain addresses

use nix::libc;
use rustix::io::{Errno, Result};
use rustix::process::Pid;

/// How a stopped process goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resume {
    /// To the next event.
    Continue,
    /// To the next beginning or end of a system call, or event.
    ToSystemCall,
    /// It stays stopped as SIGSTOP asks, until SIGCONT.
    Listen,
}

/// What a process that stopped at a system call is about to do, or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SystemCall {
    /// It enters one.
    Entry {
        /// `AUDIT_ARCH_…` of linux/audit.h: the same number means another call elsewhere.
        arch: u32,
        /// Its number.
        number: u64,
        /// Its arguments, used or not.
        arguments: [u64; 6],
    },
    /// It leaves one, with its result or the negated errno.
    Exit(i64),
    /// Neither.
    Other,
}

/// Makes the calling process the tracer of `pid`, which goes on running until its next event; exec is one. All its
/// descendants are traced from their first instruction, and killed when the tracer dies.
pub(super) fn seize(pid: Pid) -> Result<()> {
    let options = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_EXITKILL;
    request(libc::PTRACE_SEIZE, pid, 0, options as usize).map(drop)
}

/// Lets a stopped process go on; `signal` is delivered to it, 0 for none.
pub(super) fn resume(pid: Pid, how: Resume, signal: i32) -> Result<()> {
    let what = match how {
        Resume::Continue => libc::PTRACE_CONT,
        Resume::ToSystemCall => libc::PTRACE_SYSCALL,
        Resume::Listen => libc::PTRACE_LISTEN,
    };
    request(what, pid, 0, signal as usize).map(drop)
}

/// The message of the event that `pid` stopped for: after an exec, the thread's id before it.
pub(super) fn event_message(pid: Pid) -> Result<u64> {
    let mut message: libc::c_ulong = 0;
    request(libc::PTRACE_GETEVENTMSG, pid, 0, (&raw mut message).addr_for_kernel())?;
    Ok(message)
}

/// The system call that `pid` stopped at. Linux 5.3.
pub(super) fn system_call(pid: Pid) -> Result<SystemCall> {
    // struct ptrace_syscall_info of linux/ptrace.h: op, three bytes of padding and arch; instruction pointer; stack
    // pointer; then number and arguments, or result and whether it is an error.
    let mut info = [0_u64; 11];
    request(libc::PTRACE_GET_SYSCALL_INFO, pid, size_of_val(&info), info.as_mut_ptr().addr_for_kernel())?;
    let head = info[0].to_ne_bytes();
    Ok(match head[0] {
        libc::PTRACE_SYSCALL_INFO_ENTRY => SystemCall::Entry {
            arch: u32::from_ne_bytes([head[4], head[5], head[6], head[7]]),
            number: info[3],
            arguments: [info[4], info[5], info[6], info[7], info[8], info[9]],
        },
        libc::PTRACE_SYSCALL_INFO_EXIT => SystemCall::Exit(info[3] as i64),
        _ => SystemCall::Other,
    })
}

/// Reads the memory of `pid` at `address` into `buffer`; how many bytes there were. Never crosses a page that is not
/// there half read: what lies before it is returned.
pub(super) fn read_memory(pid: Pid, address: u64, buffer: &mut [u8]) -> Result<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: buffer.len() };
    // SAFETY: `local` describes `buffer`, which is borrowed for the call; `remote` is only looked at in the other
    // process, where the kernel checks it.
    let count =
        unsafe { libc::process_vm_readv(pid.as_raw_nonzero().get(), &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(count).map_err(|_| last_error())
}

trait AddressForKernel {
    fn addr_for_kernel(self) -> usize;
}

impl<T> AddressForKernel for *mut T {
    fn addr_for_kernel(self) -> usize {
        self.expose_provenance()
    }
}

fn request(what: libc::c_uint, pid: Pid, address: usize, data: usize) -> Result<libc::c_long> {
    // SAFETY: none of the requests of this file writes to memory of this process, but for the two whose `data` is the
    // address of a local variable of the size that the kernel is told or knows, and which outlives the call.
    let result = unsafe {
        libc::ptrace(what, pid.as_raw_nonzero().get(), address as *mut libc::c_void, data as *mut libc::c_void)
    };
    if result < 0 { Err(last_error()) } else { Ok(result) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
