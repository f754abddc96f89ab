//! The journal of systemd, spoken to natively: each entry whole, with fields. Used when standard error is the journal.
//!
//! The protocol is <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>. The crates for it (tracing-journald, libsystemd) wait for ever
//! on a journald that is stopped, and the first one swallows every error; a run must neither hang for its log nor lose it
//! where standard error would still take it.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, major, memfd_create, minor};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr};
use updates::record::ExitStatus;
use updates_protocol::{Phase, RunId};

use super::tell::{Priority, Told};

const SOCKET: &str = "/run/systemd/journal/socket";
/// How long one entry may wait for a journald that does not read. The next ones don't wait at all, until one gets through.
const PATIENCE: Duration = Duration::from_secs(2);
/// What is written to standard error at once: poll(2) says that there is room for it.
const PIECE: usize = 2 << 10;

/// The way to the journal.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
    address: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    run_id: Option<RunId>,
    /// Whether the last entry waited in vain.
    stuck: bool,
    lost: u64,
}

/// What an entry is about beside its words.
#[derive(Debug, Clone, Copy, Default)]
pub struct About<'a> {
    /// `UPDATES_MODULE`
    pub module: Option<&'a str>,
    /// `UPDATES_PHASE`
    pub phase: Option<Phase>,
    /// `UPDATES_ATTEMPT`
    pub attempt: Option<u32>,
    /// `UPDATES_EXIT_STATUS`
    pub exit: Option<ExitStatus>,
}

/// Whether this stream is the journal, by `JOURNAL_STREAM` as systemd.exec(5) tells: a variable alone may be inherited by
/// a process whose output goes elsewhere.
pub fn is_journal(stream: impl AsFd) -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let Some((device, inode)) = named.split_once(':') else { return false };
    let (Ok(device), Ok(inode)) = (device.parse::<u64>(), inode.parse::<u64>()) else { return false };
    fstat(stream).is_ok_and(|stat| {
        // systemd writes st_dev as it is; of the same numbers.
        stat.st_ino == inode
            && (stat.st_dev == device || (major(stat.st_dev), minor(stat.st_dev)) == (major(device), minor(device)))
    })
}

impl Journal {
    /// The journal, where standard error leads there.
    pub fn of_stderr() -> Option<Self> {
        if !is_journal(io::stderr()) {
            return None;
        }
        Self::at(SOCKET).ok()
    }

    fn at(address: impl Into<PathBuf>) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, address: address.into(), state: Mutex::default() })
    }

    /// Lets every entry from now on say which run it belongs to.
    pub fn set_run(&self, run_id: &RunId) {
        self.state().run_id = Some(run_id.clone());
    }

    /// Writes what was told of an event.
    pub fn tell(&self, told: &Told) {
        let about = About { module: told.module.as_deref(), phase: told.phase, attempt: told.attempt, exit: None };
        self.write(told.priority, &told.text, about);
    }

    /// Writes one entry: to the journal, or else to standard error. What neither takes in time is counted, and said later.
    pub fn write(&self, priority: Priority, message: &str, about: About<'_>) {
        let mut state = self.state();
        if state.lost > 0 {
            let lost = format!(
                "{} lines could not be written to the journal; `updates logs` has those of modules",
                state.lost
            );
            if self.deliver(&mut state, Priority::Warning, &lost, About::default()) {
                state.lost = 0;
            }
        }
        if !self.deliver(&mut state, priority, message, about) {
            state.lost += 1;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has arrived.
    fn deliver(&self, state: &mut State, priority: Priority, message: &str, about: About<'_>) -> bool {
        let entry = entry(priority, message, about, state.run_id.as_ref());
        let patience = if state.stuck { Duration::ZERO } else { PATIENCE };
        let sent = self.socket.set_nonblocking(state.stuck).and_then(|()| self.send(&entry));
        match &sent {
            Ok(()) => state.stuck = false,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => state.stuck = true,
            // There is no journald now: standard error has a buffer of its own, which one that is started again reads.
            Err(_) => {
                let written = write_stderr(priority, message, patience);
                state.stuck = !written;
                return written;
            }
        }
        sent.is_ok()
    }

    fn send(&self, entry: &[u8]) -> io::Result<()> {
        match self.socket.send_to(entry, &self.address) {
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::MSGSIZE | Errno::NOBUFS)) => {
                self.send_file(entry)
            }
            other => other.map(drop),
        }
    }

    /// What is too long for a datagram goes as a file in memory, sealed so that journald can trust its length.
    fn send_file(&self, entry: &[u8]) -> io::Result<()> {
        let mut file = File::from(memfd_create("updates-journal", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        file.write_all(entry)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [file.as_fd()];
        if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("the buffer has no room for one descriptor"));
        }
        let address = SocketAddrUnix::new(&self.address)?;
        sendmsg_addr(&self.socket, &address, &[IoSlice::new(&[])], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

/// One entry as the protocol has it.
fn entry(priority: Priority, message: &str, about: About<'_>, run_id: Option<&RunId>) -> Vec<u8> {
    let mut entry = Vec::with_capacity(message.len() + 256);
    field(&mut entry, "MESSAGE", message);
    field(&mut entry, "PRIORITY", &priority.number().to_string());
    field(&mut entry, "SYSLOG_IDENTIFIER", "updates");
    if let Some(run_id) = run_id {
        field(&mut entry, "UPDATES_RUN_ID", run_id.as_str());
    }
    if let Some(module) = about.module {
        field(&mut entry, "UPDATES_MODULE", module);
    }
    if let Some(phase) = about.phase {
        field(&mut entry, "UPDATES_PHASE", phase.as_str());
    }
    if let Some(attempt) = about.attempt {
        field(&mut entry, "UPDATES_ATTEMPT", &attempt.to_string());
    }
    if let Some(exit) = about.exit {
        field(&mut entry, "UPDATES_EXIT_STATUS", &exit.code().to_string());
    }
    entry
}

/// `NAME=value`, or where the value has lines, its name, its length as 64 bits in little endian, and its bytes.
fn field(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

/// Each line with its priority in front, as sd-daemon(3) has it. Whether all of it was taken in time.
fn write_stderr(priority: Priority, message: &str, patience: Duration) -> bool {
    let lines = message.lines().map(|line| format!("<{}>{line}\n", priority.number()));
    let text: String = lines.collect();
    let mut stderr = io::stderr().lock();
    for piece in text.as_bytes().chunks(PIECE) {
        let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
        let timeout = Timespec::try_from(patience).unwrap_or_default();
        let ready = poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0);
        let writable = ready && fds[0].revents().contains(PollFlags::OUT);
        if !writable || stderr.write_all(piece).is_err() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};
    use std::mem::MaybeUninit;

    use rustix::fs::fcntl_get_seals;
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    use super::*;

    #[test]
    fn what_is_too_long_for_a_datagram_goes_as_a_file_that_nobody_can_change() {
        let folder = tempfile::tempdir().unwrap();
        let journald = UnixDatagram::bind(folder.path().join("socket")).unwrap();
        let journal = Journal::at(folder.path().join("socket")).unwrap();
        let long = "x".repeat(2 << 20);
        journal.write(Priority::Error, &long, About::default());
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        recvmsg(&journald, &mut [], &mut ancillary, RecvFlags::DONTWAIT).unwrap();
        let message = ancillary.drain().next();
        let Some(RecvAncillaryMessage::ScmRights(mut files)) = message else { panic!("no descriptor came") };
        let mut file = File::from(files.next().unwrap());
        let seals = fcntl_get_seals(&file).unwrap();
        assert!(seals.contains(SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW));
        file.rewind().unwrap();
        let mut content = String::new();
        file.read_to_string(&mut content).unwrap();
        assert!(content.starts_with("MESSAGE=xxx") && content.ends_with("x\nPRIORITY=3\nSYSLOG_IDENTIFIER=updates\n"));
    }

    #[test]
    fn an_entry_is_one_line_a_field_and_lengths_where_a_value_has_lines() {
        let run_id: RunId = "20260101T000000Z-abcd".parse().unwrap();
        let about = About { module: Some("web"), phase: Some(Phase::Main), attempt: Some(2), exit: None };
        let short = entry(Priority::Warning, "web: slow", about, Some(&run_id));
        assert_eq!(
            String::from_utf8(short).unwrap(),
            "MESSAGE=web: slow\nPRIORITY=4\nSYSLOG_IDENTIFIER=updates\nUPDATES_RUN_ID=20260101T000000Z-abcd\n\
             UPDATES_MODULE=web\nUPDATES_PHASE=main\nUPDATES_ATTEMPT=2\n"
        );
        let lines = entry(Priority::Info, "a\nPRIORITY=0", About::default(), None);
        assert_eq!(lines, b"MESSAGE\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\nPRIORITY=6\nSYSLOG_IDENTIFIER=updates\n");
    }
}
