//! System calls that no library offers as safe functions: clone3, mount_setattr, keyctl, seccomp, the type of a
//! namespace, and the two that rearrange the descriptors and signal actions of the whole process.
//!
//! Everything `unsafe` of the runner is in this file, but for ptrace(2). It knows nothing of sandboxes; each function is one call with
//! typed arguments.
#![allow(unsafe_code)] // the calls below have no safe wrapper in nix or rustix

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use nix::libc;
use rustix::io::{Errno, Result};
use rustix::process::Pid;

/// What clone3(2) returned, seen from each side.
#[derive(Debug)]
pub enum Forked {
    /// In the process that called.
    Parent(Pid),
    /// In the new process.
    Child,
}

// clone3(2), first published size of 88 bytes with `cgroup`; the C library has no declaration of it.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks into new namespaces (`CLONE_NEW…` of clone(2)) and, when given, into the version 2 cgroup whose directory is
/// `cgroup`: that is far cheaper than a migration, which makes the kernel wait for every processor.
pub fn fork_into(namespaces: libc::c_int, cgroup: Option<BorrowedFd<'_>>) -> Result<Forked> {
    let mut args = CloneArgs { flags: namespaces as u64, exit_signal: libc::SIGCHLD as u64, ..CloneArgs::default() };
    if let Some(directory) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = directory.as_raw_fd() as u64;
    }
    // SAFETY: `args` is a valid clone_args of the size given. No memory is shared and no stack is set, so the child
    // goes on with a copy of this one, as after fork(2). The runner has one thread, so no lock can be held by a thread
    // that the child lacks, and the child may allocate.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    match checked(result)? {
        0 => Ok(Forked::Child),
        pid => Pid::from_raw(pid as i32).map(Forked::Parent).ok_or(Errno::INVAL),
    }
}

/// Runs `child` in a new process that shares this one's memory, while this one stands still until the other has called
/// exec or ended; see CLONE_VFORK in clone(2). Copies no page tables, and so costs a fraction of a fork. What `child`
/// returns becomes its exit code. It has descriptors of its own, but whatever it drops is gone here as well: it should
/// borrow what has to be closed on both sides.
pub fn spawn_borrowing(child: impl FnMut() -> isize) -> nix::Result<Pid> {
    let mut stack = vec![0; 256 << 10];
    let flags = nix::sched::CloneFlags::CLONE_VM | nix::sched::CloneFlags::CLONE_VFORK;
    // SAFETY: the runner has one thread, which is suspended while `child` runs, so they never touch memory at the same
    // time; `child` has a stack of its own that lives until it is done, and ends without running destructors of this
    // side, because the C library calls _exit for it.
    let pid = unsafe { nix::sched::clone(Box::new(child), &mut stack, flags, Some(libc::SIGCHLD))? };
    Pid::from_raw(pid.as_raw()).ok_or(nix::errno::Errno::EINVAL)
}

/// Sets attributes (`MOUNT_ATTR_…`) on the mount behind `mount`, and on everything below it when `recursive`. See
/// mount_setattr(2), Linux 5.12.
pub fn mount_setattr(mount: BorrowedFd<'_>, set: u64, recursive: bool) -> Result<()> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string, `attributes` a valid mount_attr of the size given; both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    checked(result).map(drop)
}

/// Gives the process an empty session keyring instead of the inherited one. See keyctl(2).
pub fn join_new_session_keyring() -> Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: a null name asks for an anonymous keyring; nothing is read from or written to memory.
    let result = unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>(), 0, 0, 0)
    };
    checked(result).map(drop)
}

/// The type of the namespace behind `file`, as `CLONE_NEWNET`; see ioctl_nsfs(2).
pub fn namespace_type(file: BorrowedFd<'_>) -> Result<libc::c_int> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703; // _IO(0xb7, 3), linux/nsfs.h
    // SAFETY: this request takes no argument and writes nowhere.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE as libc::Ioctl) };
    checked(kind.into()).map(|kind| kind as libc::c_int)
}

/// Whether [`filter_system_calls`] can work at all.
pub fn can_filter_system_calls() -> Result<()> {
    let action: u32 = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: the operation reads the one number that its argument points to, which outlives the call.
    checked(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) }).map(drop)
}

/// Binds this process and its descendants to `program`, a filter as seccomp(2) describes it. There is no way back.
pub fn filter_system_calls(program: &[libc::sock_filter]) -> Result<()> {
    let len = program.len().try_into().map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: `program` counts the instructions that it points to; the kernel copies them and writes to none.
    checked(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) }).map(drop)
}

/// Closes every descriptor from 3 on. Only for the very start of the process, before it opened any of its own.
pub fn close_inherited() -> Result<()> {
    // SAFETY: called before this process opened a descriptor, so none of its own objects loses one.
    checked(unsafe { libc::close_range(3, libc::c_uint::MAX, 0) }.into()).map(drop)
}

/// Makes descriptor `target` a copy of `source` that survives exec; what was `target` before is closed. Only for a
/// process that is about to call exec and owns nothing at `target` any more.
pub fn place(source: BorrowedFd<'_>, target: RawFd) -> Result<()> {
    // SAFETY: the caller keeps `source` away from `target` and gives up what was there, so no owner is left whose
    // descriptor changes under it.
    checked(unsafe { libc::dup2(source.as_raw_fd(), target) }.into()).map(drop)
}

/// Marks every descriptor from `first` on to be closed by exec.
pub fn close_on_exec_from(first: RawFd) -> Result<()> {
    // SAFETY: only a flag is set; every descriptor stays open until exec.
    let result = unsafe {
        libc::close_range(first as libc::c_uint, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int)
    };
    checked(result.into()).map(drop)
}

/// Ignores `signal` from now on.
pub fn ignore_signal(signal: libc::c_int) -> Result<()> {
    set_action(signal, libc::SIG_IGN)
}

/// Gives every signal its default action. What was ignored stays ignored over exec, so a module would otherwise
/// inherit what the runner and whoever started it chose to ignore.
pub fn default_all_signals() -> Result<()> {
    for signal in 1..=64 {
        match set_action(signal, libc::SIG_DFL) {
            // SIGKILL and SIGSTOP can't be changed, and the C library keeps two signals for itself.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn set_action(signal: libc::c_int, handler: libc::sighandler_t) -> Result<()> {
    // SAFETY: all zero bits are a valid sigaction: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    // SAFETY: `action` is valid and its handler is SIG_IGN or SIG_DFL, so no code of ours runs on a signal.
    checked(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) }.into()).map(drop)
}

fn checked(result: libc::c_long) -> Result<libc::c_long> {
    if result < 0 {
        return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    Ok(result)
}
