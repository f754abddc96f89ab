//! A virtual file system for SQLite that stays beneath a directory which is held open.
//!
//! SQLite resolves a path's links as text and opens the result, so whoever can swap a directory for a link chooses what
//! root opens. Here a path is `/proc/self/fd/N/NAME`, is taken as it is, and the kernel leads through the descriptor.
//! Everything else, locks above all, is SQLite's own "unix"; see <https://www.sqlite.org/vfs.html>.
#![allow(unsafe_code, reason = "SQLite's interface for virtual file systems is a table of C functions")]

use std::ffi::{CStr, c_char, c_int};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::OnceLock;

use nix::libc;
use rusqlite::ffi;

/// Its name, for opening a connection with it.
pub(super) const NAME: &CStr = c"updates-beneath";

/// Where every path of it begins.
const PREFIX: &[u8] = b"/proc/self/fd/";

/// The path of `name` in a directory that stays open as long as the path is used.
pub(super) fn path(directory: &impl AsRawFd, name: &std::ffi::OsStr) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name)
}

/// SQLite's own file system, which does the work.
struct Own(&'static ffi::sqlite3_vfs);

// SAFETY: SQLite registers it once for the life of the process, and from then on only reads what is used of it here, from
// any thread.
unsafe impl Sync for Own {}
// SAFETY: as above; it belongs to no thread.
unsafe impl Send for Own {}

static OWN: OnceLock<Option<Own>> = OnceLock::new();

/// Makes it known to SQLite, once. Says whether that worked.
pub(super) fn register() -> bool {
    OWN.get_or_init(make).is_some()
}

fn make() -> Option<Own> {
    // SAFETY: initialising is idempotent and thread-safe; a file system that was found stays registered for ever,
    // because nothing here unregisters one.
    let own = unsafe {
        if ffi::sqlite3_initialize() != ffi::SQLITE_OK {
            return None;
        }
        ffi::sqlite3_vfs_find(c"unix".as_ptr()).as_ref()
    }?;
    let beneath = Box::leak(Box::new(ffi::sqlite3_vfs {
        zName: NAME.as_ptr(),
        pNext: std::ptr::null_mut(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xFullPathname: Some(full_pathname),
        ..*own
    }));
    // SAFETY: a copy of "unix" under another name, as SQLite itself makes its "unix-excl"; leaked, so it outlives every
    // connection. Each system call is replaced by one of the same signature that does the same to regular files.
    let registered = unsafe {
        own.xSetSystemCall.is_some_and(|set| {
            let own = std::ptr::from_ref(own).cast_mut();
            let open = std::mem::transmute::<OpenCall, unsafe extern "C" fn()>(open_without_waiting);
            let give = std::mem::transmute::<GiveCall, unsafe extern "C" fn()>(give_what_is_not_given);
            set(own, c"open".as_ptr(), Some(open)) == ffi::SQLITE_OK
                && set(own, c"fchown".as_ptr(), Some(give)) == ffi::SQLITE_OK
        }) && ffi::sqlite3_vfs_register(beneath, 0) == ffi::SQLITE_OK
    };
    registered.then_some(Own(own))
}

type OpenCall = unsafe extern "C" fn(*const c_char, c_int, c_int) -> c_int;

/// open(2) that never waits for the other end of a FIFO which somebody has put where a journal may be.
unsafe extern "C" fn open_without_waiting(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    let mode = libc::mode_t::from_ne_bytes(mode.to_ne_bytes());
    // SAFETY: SQLite passes what it would pass to open(2), a path that ends in a zero byte.
    unsafe { libc::open(path, flags | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC, mode) }
}

type GiveCall = unsafe extern "C" fn(c_int, libc::uid_t, libc::gid_t) -> c_int;

/// fchown(2) where the owner is another one. Root's SQLite gives each log to the database's owner whenever it opens one,
/// which would change its ctime, and so be a change of the live machine, by reading alone.
unsafe extern "C" fn give_what_is_not_given(file: c_int, uid: libc::uid_t, gid: libc::gid_t) -> c_int {
    let mut found = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: fstat(2) fills the buffer when it returns 0, and only then is it read; SQLite passes a file that it has open.
    unsafe {
        if libc::fstat(file, found.as_mut_ptr()) == 0 {
            let found = found.assume_init();
            if (found.st_uid, found.st_gid) == (uid, gid) {
                return 0;
            }
        }
        libc::fchown(file, uid, gid)
    }
}

/// Takes a path as it is; SQLite's own would resolve the links in it.
unsafe extern "C" fn full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite passes a string that ends in a zero byte, and a buffer of `room` bytes that does not overlap it.
    unsafe {
        let name = CStr::from_ptr(name).to_bytes_with_nul();
        if usize::try_from(room).is_ok_and(|room| name.len() <= room) {
            std::ptr::copy_nonoverlapping(name.as_ptr().cast(), out, name.len());
            return ffi::SQLITE_OK;
        }
    }
    ffi::SQLITE_CANTOPEN
}

/// Opens as "unix" does, but for a super-journal: its name stands in a journal, so whoever wrote that chose it. An empty
/// one says that no other database takes part, which ends the recovery of this one.
unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let Some(open) = OWN.get().and_then(Option::as_ref).and_then(|own| own.0.xOpen) else {
        return ffi::SQLITE_CANTOPEN;
    };
    let name = if flags & ffi::SQLITE_OPEN_SUPER_JOURNAL == 0 { name } else { c"/dev/null".as_ptr() };
    // SAFETY: SQLite's own arguments go to SQLite's own function, which takes from the file system that is passed only
    // what was copied from its own. The other name is static.
    unsafe { open(vfs, name, file, flags, out) }
}

/// Deletes a file of a database, and nothing that only a journal's content names.
unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    let Some(delete) = OWN.get().and_then(Option::as_ref).and_then(|own| own.0.xDelete) else {
        return ffi::SQLITE_IOERR_DELETE;
    };
    // SAFETY: SQLite passes a string that ends in a zero byte, and its own arguments go to its own function.
    unsafe {
        if CStr::from_ptr(name).to_bytes().starts_with(PREFIX) { delete(vfs, name, sync) } else { ffi::SQLITE_OK }
    }
}
