//! Who holds the run lock, and since when. Read from proc_locks(5): taking the lock to see would turn a run away.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use super::Finding;
use crate::supervisor::Supervisor;

const CHECK: &str = "lock";
/// No run takes this long that does not hang.
const LONG: Duration = Duration::from_secs(12 * 3600);

pub(super) fn look(supervisor: &Supervisor) -> Vec<Finding> {
    let path = supervisor.layout.lock();
    let free = || vec![Finding::ok(CHECK, "no run is under way")];
    let Ok(meta) = fs::metadata(&path) else { return free() };
    let Ok(table) = fs::read_to_string("/proc/locks") else {
        return vec![Finding::ok(CHECK, "who holds the lock can't be told here: there is no /proc/locks")];
    };
    let Some(pid) = holder(&table, meta.ino()) else { return free() };
    // The folder of a process is as old as the process.
    let begun = fs::metadata(format!("/proc/{pid}")).and_then(|meta| meta.modified());
    let age = begun.ok().and_then(|begun| SystemTime::now().duration_since(begun).ok());
    let since = age.map(|age| format!(", for {} min", age.as_secs() / 60)).unwrap_or_default();
    let text = format!("process {pid} holds {}{since}", path.display());
    if age.is_some_and(|age| age > LONG) {
        let mend = format!("`updates logs last` shows where it is; SIGTERM to {pid} lets it settle and end");
        return vec![Finding::warning(CHECK, text, mend)];
    }
    vec![Finding::ok(CHECK, text)]
}

/// The process with an exclusive flock(2) on the file of that inode. Files of two file systems may share a number; the
/// device in the table is not always the one that stat(2) tells (btrfs, overlayfs), so that it can't be compared.
fn holder(table: &str, inode: u64) -> Option<i64> {
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, file, ..] = words.as_slice() else { return None };
        let locked: u64 = file.rsplit(':').next()?.parse().ok()?;
        (locked == inode).then(|| pid.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_who_has_it_and_not_who_waits() {
        let table = "1: POSIX  ADVISORY  WRITE 10 08:01:77 0 EOF\n2: FLOCK  ADVISORY  READ 11 08:01:77 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 12 08:01:77 0 EOF\n3: -> FLOCK  ADVISORY  WRITE 13 08:01:77 0 EOF\n";
        assert_eq!(holder(table, 77), Some(12));
        assert_eq!(holder(table, 78), None);
    }
}
