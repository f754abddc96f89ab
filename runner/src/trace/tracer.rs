//! The tracer: follows the module and all its descendants from stop to stop, and tells of what they try.
//!
//! It changes nothing: a process stopped here goes on as it would have, with the signal that it was about to get, or
//! stays stopped when SIGSTOP asks for that. The kinds of stops, and how they are told apart, are those of the section
//! "Stopped states" in ptrace(2). Any request may fail because the process was killed meanwhile; its end is told by
//! wait(2), so that needs no word here.

use std::collections::HashMap;
use std::path::Path;

use nix::libc;
use rustix::process::{Pid, WaitStatus};
use updates_protocol::TracedCall;

use super::address::{self, Address};
use super::calls::{self, Shape, When, Write};
use super::memory;
use super::ptrace::{self, Resume, SystemCall};
use super::sink::TraceWriter;

/// What a call is told to have ended with that its process did not survive: the filter of system calls kills so.
const KILLED: &str = "SIGSYS";
/// Errors that a sandbox refuses with. Others are the module's own affair.
const REFUSALS: [i32; 7] =
    [libc::EPERM, libc::EACCES, libc::EROFS, libc::ENOSYS, libc::EXDEV, libc::EBUSY, libc::EAFNOSUPPORT];

/// Follows one module.
#[derive(Debug)]
pub struct Tracer {
    writer: TraceWriter,
    /// The call that each thread is in.
    pending: HashMap<Pid, Pending>,
    /// Whether the module runs: what init's own child does before its exec is not the module's doing.
    executed: bool,
}

#[derive(Debug)]
struct Pending {
    name: String,
    when: When,
    /// What it is about, looked up on entry: afterwards the working directory may be another.
    objects: Vec<Object>,
    network: bool,
    number: u64,
    /// It returned its own number. So does a call that seccomp(2) refuses with a signal, and only what comes next tells.
    doubtful: bool,
}

#[derive(Debug, Default)]
struct Object {
    path: Option<String>,
    about: Option<String>,
    write: bool,
}

impl Tracer {
    /// Becomes the tracer of `module`, which must be waiting before its exec.
    pub fn seize(module: Pid, writer: TraceWriter) -> rustix::io::Result<Self> {
        ptrace::seize(module)?;
        Ok(Self { writer, pending: HashMap::new(), executed: false })
    }

    /// A thread stopped: looks why, and lets it go on.
    pub fn stopped(&mut self, pid: Pid, status: WaitStatus) {
        let signal = status.stopping_signal().unwrap_or(0);
        let go_on = if self.executed { Resume::ToSystemCall } else { Resume::Continue };
        let (how, deliver) = match (signal, event(status)) {
            (signal, 0) if signal == libc::SIGTRAP | 0x80 => {
                self.system_call(pid);
                (go_on, 0)
            }
            // About to get a signal: it gets it.
            (signal, 0) => {
                if signal == libc::SIGSYS {
                    self.signalled(pid);
                }
                (go_on, signal)
            }
            // A group stop; a new thread and the end of a group stop look the same but for the signal.
            (libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU, libc::PTRACE_EVENT_STOP) => {
                (Resume::Listen, 0)
            }
            (_, libc::PTRACE_EVENT_EXEC) => {
                self.executed(pid);
                (Resume::ToSystemCall, 0)
            }
            _ => (go_on, 0),
        };
        ptrace::resume(pid, how, deliver).ok();
    }

    /// A thread is gone.
    pub fn gone(&mut self, pid: Pid, status: WaitStatus) {
        if status.terminating_signal() == Some(libc::SIGSYS) {
            self.signalled(pid);
        }
        self.settle(pid);
    }

    fn signalled(&mut self, pid: Pid) {
        if let Some(pending) = self.pending.remove(&pid) {
            self.tell(pending, Some(KILLED.to_owned()));
        }
    }

    // Nothing more is to come about the last call.
    fn settle(&mut self, pid: Pid) {
        if let Some(pending) = self.pending.remove(&pid).filter(|pending| pending.doubtful) {
            self.ended(pending, 0);
        }
    }

    // Whichever thread calls exec has the leader's id afterwards, and all others are gone without a word.
    fn executed(&mut self, pid: Pid) {
        self.executed = true;
        let former = ptrace::event_message(pid).ok().and_then(|former| Pid::from_raw(former as i32));
        if let Some(former) = former.filter(|former| *former != pid) {
            let of_former = self.pending.remove(&former);
            self.pending.remove(&pid);
            self.pending.extend(of_former.map(|pending| (pid, pending)));
        }
    }

    fn system_call(&mut self, pid: Pid) {
        match ptrace::system_call(pid) {
            Ok(SystemCall::Entry { arch, number, arguments }) => {
                self.settle(pid);
                let name = calls::name(arch, number);
                let (shape, when) = calls::shape(&name);
                let network = matches!(shape, Shape::Socket | Shape::Address(..) | Shape::Message);
                let objects = objects(pid, shape, &arguments);
                self.pending.insert(pid, Pending { name, when, objects, network, number, doubtful: false });
            }
            Ok(SystemCall::Exit(result)) => match self.pending.get_mut(&pid) {
                Some(pending) if u64::try_from(result) == Ok(pending.number) => pending.doubtful = true,
                _ => {
                    if let Some(pending) = self.pending.remove(&pid) {
                        self.ended(pending, result);
                    }
                }
            },
            Ok(SystemCall::Other) | Err(_) => {}
        }
    }

    fn ended(&mut self, pending: Pending, result: i64) {
        let error = i32::try_from(result.saturating_neg()).ok().filter(|error| (1..4096).contains(error));
        match error {
            None if pending.when == When::Always => self.tell(pending, None),
            None => {}
            Some(error) => {
                let absent = error == libc::ENOENT && pending.objects.iter().any(|object| object.path.is_some());
                if REFUSALS.contains(&error) || absent || pending.network {
                    self.tell(pending, Some(format!("{:?}", nix::errno::Errno::from_raw(error))));
                }
            }
        }
    }

    fn tell(&mut self, pending: Pending, error: Option<String>) {
        // An address that is not there, as in send(2): nothing to tell of, unless it was refused.
        if pending.objects.is_empty() && (error.is_none() || pending.network) {
            return;
        }
        let mut objects = pending.objects;
        if objects.is_empty() {
            objects.push(Object::default());
        }
        for Object { path, about, write } in objects {
            self.writer.tell(&TracedCall { call: pending.name.clone(), path, about, write, error: error.clone() });
        }
    }
}

// PTRACE_EVENT_…; 0 for a signal or a system call.
fn event(status: WaitStatus) -> i32 {
    status.as_raw() >> 16
}

fn objects(pid: Pid, shape: Shape, arguments: &[u64; 6]) -> Vec<Object> {
    let path = |path: &Path, write| Object { path: Some(path.to_string_lossy().into_owned()), about: None, write };
    match shape {
        Shape::Plain => Vec::new(),
        Shape::Paths(paths, writes) => {
            let found = paths.iter().flatten().enumerate().filter_map(|(number, at)| {
                let directory = at.directory.map(|directory| arguments[directory]);
                let found = memory::path(pid, directory, arguments[at.path])?;
                Some(path(&found, is_write(pid, writes, arguments, number)))
            });
            found.collect()
        }
        Shape::Descriptor(number, writes) => {
            let found = memory::open_file(pid, arguments[number] as i32);
            found.map(|found| path(&found, is_write(pid, writes, arguments, 0))).into_iter().collect()
        }
        Shape::Socket => vec![Object { about: Some(address::family(arguments[0])), ..Object::default() }],
        Shape::Address(at, length) => {
            addressed(pid, address::address(pid, arguments[0], arguments[at], arguments[length]))
        }
        Shape::Message => {
            // struct msghdr of sendmsg(2) begins with the address and its length.
            let name = memory::word(pid, arguments[1]);
            let length = memory::word(pid, arguments[1].wrapping_add(8)).map(|length| length & 0xffff_ffff);
            let found = name.zip(length).and_then(|(name, length)| address::address(pid, arguments[0], name, length));
            addressed(pid, found)
        }
    }
}

fn addressed(pid: Pid, address: Option<Address>) -> Vec<Object> {
    match address {
        None => Vec::new(),
        Some(Address::Words(words)) => vec![Object { about: Some(words), ..Object::default() }],
        Some(Address::Path(path)) => {
            let path = if path.is_absolute() {
                memory::normalised(&path)
            } else {
                memory::path(pid, None, 0).map_or_else(|| path.clone(), |base| memory::normalised(&base.join(&path)))
            };
            let path = path.to_string_lossy().into_owned();
            vec![Object { path: Some(path), about: Some("unix".to_owned()), write: false }]
        }
    }
}

fn is_write(pid: Pid, writes: Write, arguments: &[u64; 6], number: usize) -> bool {
    let by_flags = |flags: u64| {
        let changes = libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY);
        let flags = flags as i32;
        flags & libc::O_PATH == 0 && (flags & libc::O_ACCMODE != libc::O_RDONLY || flags & changes != 0)
    };
    match writes {
        Write::No => false,
        Write::Yes => true,
        Write::Flags(at) => by_flags(arguments[at]),
        Write::How(at) => memory::word(pid, arguments[at]).is_some_and(by_flags),
        Write::Mode(at) => arguments[at] as i32 & libc::W_OK != 0,
        Write::Second => number == 1,
    }
}
