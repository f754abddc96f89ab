//! Who is alive: the processes that belong to a root, found by what they see and what they are called.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A word that no other process on this machine has in its command line.
pub fn marker() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("marker-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Waits for something that another process does, and fails when it does not come.
#[track_caller]
pub fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What betrays a process of a module.
pub struct Watch<'a> {
    /// A root: sandboxes below it have it in their mounts.
    pub root: &'a Path,
    /// A word in a command line.
    pub marker: Option<&'a str>,
}

impl Watch<'_> {
    /// The processes of modules that are alive, as `pid: command line`.
    pub fn alive(&self) -> Vec<String> {
        let own = std::process::id();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let folder = entry.path();
            if pid == own || is_dead(&folder) {
                continue;
            }
            // A process that ends while it is looked at is not alive.
            let command = fs::read(folder.join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            let mounts = fs::read_to_string(folder.join("mountinfo")).unwrap_or_default();
            let marked = self.marker.is_some_and(|marker| command.contains(marker));
            if marked || mounts.contains(&*self.root.to_string_lossy()) {
                found.push(format!("{pid}: {command}"));
            }
        }
        found
    }

    /// Fails, with their names, when processes of modules are alive.
    #[track_caller]
    pub fn assert_none(&self) {
        let alive = self.alive();
        assert!(alive.is_empty(), "still alive:\n  {}", alive.join("\n  "));
    }
}

// A zombie runs nothing; whoever started it has yet to look.
fn is_dead(folder: &Path) -> bool {
    let status = fs::read_to_string(folder.join("stat")).unwrap_or_default();
    status.rsplit(')').next().is_none_or(|rest| matches!(rest.trim().chars().next(), None | Some('Z' | 'X')))
}
