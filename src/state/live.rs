//! What a backup is taken of and put back to: the machine's files, its systemd, its database servers.

use std::os::fd::BorrowedFd;
use std::sync::LazyLock;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::config::Machine;
use crate::database::{Access, Passwords};
use crate::service::Systemd;

/// How long one step with a database may take.
const DATABASE: Duration = Duration::from_secs(3600);
/// To put one back takes longer than to dump it: indexes are built anew. What could be saved must not fail for that.
const LOAD: u32 = 8;

static NO_PASSWORDS: LazyLock<Passwords> = LazyLock::new(Passwords::default);

/// A live machine.
#[derive(Debug, Clone, Copy)]
pub struct Live<'a> {
    /// Its files.
    pub machine: &'a Machine,
    /// Its systemd; without one no unit can be saved or put back.
    pub systemd: Option<&'a Systemd>,
    /// Passwords of its databases.
    pub passwords: &'a Passwords,
    /// Becomes readable when nobody wants a backup any more. A restore is never given up.
    pub interrupt: Option<BorrowedFd<'a>>,
    /// Whether a restore compares the content of every file. After a power cut a file's status may be older than its
    /// content: what was overwritten in place reaches the disk before its times do, or with fdatasync(2) without them.
    pub by_content: bool,
}

impl<'a> Live<'a> {
    /// Whether nobody wants a backup any more.
    pub(super) fn is_interrupted(&self) -> bool {
        let Some(interrupt) = self.interrupt else { return false };
        let mut asked = [PollFd::from_borrowed_fd(interrupt, PollFlags::IN)];
        // Nothing to wait for: an error leaves the question open, and the work goes on.
        poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }

    /// The way to databases that are put back.
    pub(super) fn databases_back(&self) -> Access<'a> {
        let access = self.databases();
        Access { timeout: access.timeout.saturating_mul(LOAD), ..access }
    }

    pub(super) fn databases(&self) -> Access<'a> {
        let Live { machine, passwords, interrupt, by_content, .. } = *self;
        Access { root: machine.root(), passwords, timeout: DATABASE, interrupt, by_content }
    }
}

/// Files, and databases that need no password.
impl<'a> From<&'a Machine> for Live<'a> {
    fn from(machine: &'a Machine) -> Self {
        Self { machine, systemd: None, passwords: &NO_PASSWORDS, interrupt: None, by_content: false }
    }
}
