//! A descriptor that this process was given by number when it was executed: the one place where a number becomes a file.
#![allow(unsafe_code)] // there is no safe way to own a descriptor that is only known by its number

use std::fs::File;
use std::os::fd::{FromRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_setfd};

/// Takes the descriptor, once in the life of this process; it is closed to whatever is executed later. `None` where it is
/// not open, or was taken before.
pub(super) fn take(descriptor: RawFd) -> Option<File> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    // 0 to 2 are everybody's. One that is not open has no entry.
    if descriptor <= 2 || !std::path::Path::new(&format!("/proc/self/fd/{descriptor}")).exists() {
        return None;
    }
    if TAKEN.swap(true, Ordering::SeqCst) {
        return None;
    }
    // SAFETY: the number comes from the program that this process was before exec(2), which left exactly this descriptor
    // open for this purpose and is gone; nothing here opened it, so that nothing here owns it, and TAKEN keeps this from
    // happening twice.
    let file = unsafe { File::from_raw_fd(descriptor) };
    fcntl_setfd(&file, FdFlags::CLOEXEC).ok()?;
    Some(file)
}
