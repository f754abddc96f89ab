//! libgit2's process-wide switches, which have no safe wrapper.
//!
//! They are plain C globals. Only this file sets them, under one lock, and each is read by libgit2 when a connection or
//! a repository is opened, which every caller here does after setting them.
#![allow(unsafe_code)]

use std::ffi::{CString, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

const CERTIFICATES: &str = "SSL_CERT_FILE";

static START: Once = Once::new();
static TRUST: Once = Once::new();
static HOME: Mutex<()> = Mutex::new(());
static TIMEOUTS: Mutex<Option<i32>> = Mutex::new(None);

/// Starts libgit2. To be called before anything else of it, and best before other threads are started.
///
/// A repository that another user owns may be read: git refuses those because of the hooks and programs that their
/// configuration can name, and nothing here runs any. The administrator named the source, and it is only read.
pub(super) fn start() {
    START.call_once(|| {
        // libgit2 reads every trusted certificate when it starts, a tenth of a second that only https needs. So it is
        // shown an empty file, and `trust_certificates` makes up for it.
        let before = std::env::var_os(CERTIFICATES);
        set(Some("/dev/null".into()));
        libgit2_sys::init();
        set(before);
        // SAFETY: a store to a C int that libgit2 only reads when a repository is opened; `Once` makes this the only
        // writer, and it completes before the first repository is opened by this crate.
        let owners = unsafe { git2::opts::set_verify_owner_validation(false) };
        debug_assert!(owners.is_ok(), "the option takes any value");
    });
}

fn set(certificates: Option<OsString>) {
    // SAFETY: git2 itself sets this variable in the same way right after, when it looks for certificates; and std's own
    // readers are locked out by its lock. What is left is a C library's getenv in another thread at the very start.
    unsafe {
        match certificates {
            Some(file) => std::env::set_var(CERTIFICATES, file),
            None => std::env::remove_var(CERTIFICATES),
        }
    }
}

/// Reads the certificates that https needs: those of `SSL_CERT_FILE`, which git2 points to the system's where it is unset.
pub(super) fn trust_certificates() -> Result<(), git2::Error> {
    let mut result = Ok(());
    TRUST.call_once(|| {
        if let Some(file) = std::env::var_os(CERTIFICATES).filter(|file| Path::new(file).is_file()) {
            // SAFETY: adds to OpenSSL's store, which has a lock of its own; `Once` makes this the only caller.
            result = unsafe { git2::opts::set_ssl_cert_file(Path::new(&file)) };
        }
    });
    result
}

/// While it lives, libgit2 takes a folder for the home of the user, in which it looks for `.ssh/known_hosts`.
pub(super) struct Home {
    // Others wait until the folder is no longer in use.
    _turn: MutexGuard<'static, ()>,
}

impl Home {
    /// Makes `folder` the home.
    pub(super) fn at(folder: &Path) -> Self {
        let turn = HOME.lock().unwrap_or_else(PoisonError::into_inner);
        // A temporary folder's path holds no NUL.
        if let Ok(path) = CString::new(folder.as_os_str().as_bytes()) {
            set_home(path.as_ptr());
        }
        Self { _turn: turn }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        set_home(std::ptr::null());
    }
}

fn set_home(path: *const c_char) {
    // SAFETY: libgit2 copies the text; null has it guess again. Its copy is read only when an ssh connection is made, which
    // happens under the lock that the caller, `Home`, holds.
    let set = unsafe { libgit2_sys::git_libgit2_opts(libgit2_sys::GIT_OPT_SET_HOMEDIR as c_int, path) };
    debug_assert!(set == 0 || path.is_null(), "the option takes any folder");
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
