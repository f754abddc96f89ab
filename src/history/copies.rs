//! Copies of the database: one to try a program on.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use super::HistoryError;
use crate::fs::IoContext;

/// Pages that are copied without letting a writer in between.
const STEP: std::ffi::c_int = 1024;

/// Copies the database at `from`, also while a run writes it, to the new file `to`; nothing where there is none.
pub fn copy(from: &Path, to: &Path) -> Result<(), HistoryError> {
    if !std::fs::exists(from).at("look for", from)? {
        return Ok(());
    }
    // Never readable by others, like what it is made from.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).at("create", to)?;
    let failed = |source| HistoryError::Database { action: "copy", path: from.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags).map_err(failed)?;
    source.busy_timeout(Duration::from_secs(5)).map_err(failed)?;
    let mut target = Connection::open(to).map_err(failed)?;
    let backup = Backup::new(&source, &mut target).map_err(failed)?;
    backup.run_to_completion(STEP, Duration::from_millis(5), None).map_err(failed)
}
