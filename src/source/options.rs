//! libgit2's process-wide switches, which have no safe wrapper.
//!
//! They are plain C globals. Only this file sets them, under one lock, and each is read by libgit2 when a connection or
//! a repository is opened, which every caller here does after setting them.
#![allow(unsafe_code)]

use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

static OWNERS: Once = Once::new();
static TIMEOUTS: Mutex<Option<i32>> = Mutex::new(None);

/// Lets a repository that another user owns be read.
///
/// git refuses those because of the hooks and programs that their configuration can name. Nothing here runs any: a source
/// is only read from, and the administrator named it.
pub(super) fn allow_foreign_owners() {
    OWNERS.call_once(|| {
        // SAFETY: a store to a C int that libgit2 only reads when a repository is opened; `Once` makes this the only
        // writer, and it completes before the first repository is opened by this crate.
        let set = unsafe { git2::opts::set_verify_owner_validation(false) };
        debug_assert!(set.is_ok(), "the option takes any value");
    });
}

/// Bounds connecting and every later wait for the server by `timeout`.
pub(super) fn set_timeouts(timeout: Duration) {
    let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX).max(1);
    let mut current = TIMEOUTS.lock().unwrap_or_else(PoisonError::into_inner);
    if *current == Some(milliseconds) {
        return;
    }
    // SAFETY: stores to two C ints, one writer at a time because of the lock; libgit2 reads them once when a connection
    // is made, and a connection that reads an older value is only bounded by that one.
    let set = unsafe {
        git2::opts::set_server_connect_timeout_in_milliseconds(milliseconds)
            .and_then(|()| git2::opts::set_server_timeout_in_milliseconds(milliseconds))
    };
    debug_assert!(set.is_ok(), "the options take any value that is not negative");
    *current = Some(milliseconds);
}
