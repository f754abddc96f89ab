//! System calls by their number, past every wrapper of the C library: an attacker is not bound to what a library
//! offers, and a filter sees numbers and registers only. Holds nothing that knows what an attempt is about.
#![allow(unsafe_code)] // this file exists for it

use std::ffi::CString;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;

/// The number that the kernel returned, or its error.
pub type Answer = Result<i64, Errno>;

/// Makes the call with up to six arguments, each as it would stand in its register.
///
/// Callers pass numbers, addresses of buffers that outlive the call, or addresses that are invalid on purpose and that
/// the kernel answers with EFAULT.
pub fn call(number: i64, arguments: &[usize]) -> Answer {
    let argument = |position: usize| arguments.get(position).copied().unwrap_or(0);
    // SAFETY: the kernel checks each argument; what it writes to is a live buffer of the caller, see above. The process
    // is a child made for this one attempt, so that even a call that changes the process hurts nobody else.
    let answer =
        unsafe { libc::syscall(number, argument(0), argument(1), argument(2), argument(3), argument(4), argument(5)) };
    if answer == -1 { Err(Errno::last()) } else { Ok(answer) }
}

/// The address of a value, as the kernel takes it.
pub fn at<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).cast::<u8>() as usize
}

/// The address of a value that the kernel fills in.
pub fn into<T: ?Sized>(value: &mut T) -> usize {
    std::ptr::from_mut(value).cast::<u8>() as usize
}

/// A path as the kernel takes it; one with a zero byte inside becomes empty, which no call accepts.
pub fn text(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_encoded_bytes()).unwrap_or_default()
}

/// `sys!(SYS_name, arguments…)`: each argument is cast to the width of a register.
macro_rules! sys {
    ($number:expr $(, $argument:expr)* $(,)?) => {
        $crate::raw::call($number as i64, &[$($argument as usize),*])
    };
}
pub(crate) use sys;

/// Opens by openat(2), without any flag of its own but close-on-exec.
pub fn open(path: impl AsRef<Path>, flags: i32) -> Answer {
    let path = text(path);
    sys!(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags | libc::O_CLOEXEC, 0o600)
}

/// Closes a descriptor that an attempt has opened.
pub fn close(descriptor: i64) {
    // Nothing depends on it: the process ends right after the attempt.
    sys!(libc::SYS_close, descriptor).ok();
}

/// Asks the kernel for this process's id, which needs no buffer and changes nothing: by `int 0x80`, the way into the
/// kernel for 32-bit programs, where number 20 is getpid. `None` on machines without it.
pub fn getpid_by_int80() -> Option<i64> {
    #[cfg(target_arch = "x86_64")]
    {
        let answer: i64;
        // SAFETY: getpid takes no argument and touches no memory; the kernel zeroes r8 to r11 on this way, which are
        // declared as lost.
        unsafe {
            std::arch::asm!("int 0x80", inlateout("rax") 20_i64 => answer,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _);
        }
        Some(i64::from(answer as i32))
    }
    #[cfg(not(target_arch = "x86_64"))]
    None
}

/// Whether a descriptor is open in this process.
pub fn is_open(descriptor: i32) -> bool {
    sys!(libc::SYS_fcntl, descriptor, libc::F_GETFD).is_ok()
}

/// Runs `body` in a child, and hands back its exit code; `None` when a signal ended it.
pub fn in_child(body: impl FnOnce() -> i32) -> Option<i32> {
    // SAFETY: this process has one thread, so that the child may do whatever the parent could.
    match unsafe { libc::fork() } {
        0 => leave(body()),
        child if child > 0 => {
            let mut status = 0;
            // SAFETY: `status` lives through the call.
            while unsafe { libc::waitpid(child, &raw mut status, 0) } < 0 && Errno::last() == Errno::EINTR {}
            libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status))
        }
        _ => None,
    }
}

/// Ends a child at once, without anything that the parent has left to do at its exit.
pub fn leave(code: i32) -> ! {
    // SAFETY: ends the process; nothing runs afterwards.
    unsafe { libc::_exit(code) }
}
