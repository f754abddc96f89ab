//! The moment at which one program becomes another: at the very start of the installed one, and in the middle of a run
//! that has put a newer version in place.
//!
//! Both execute the other version in the same process, so that systemd, a terminal and whoever waits see one. A mark in
//! the environment, good for this process id alone, keeps the other from handing over again. The run's lock goes along as
//! an open descriptor: no other run can come between.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::SigSet;
use updates_protocol::SchemaVersion;

use super::choice::{Choice, choose};
use crate::config::Layout;
use crate::fs::PathError;
use crate::program::{Note, Notes, Place, Trial, program_version, starts};
use crate::supervisor::lock::RunLock;

/// `PID VERSION`: this process was the installed program of that version.
const MARK: &str = "UPDATES_HANDED_OVER";
/// `PID DESCRIPTOR`: this process holds the run's lock already.
const LOCK: &str = "UPDATES_RUN_LOCK";

/// Whether the version in use could not be executed or counted when this process began. It is not tried twice.
static DECLINED: AtomicBool = AtomicBool::new(false);

/// What a trial that was damaged is begun anew with: the default of `self_update.tries`.
const TRIES: u64 = 3;

/// What is about to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// A run or a recovery: it counts for a version on trial.
    Counted,
    /// Any other command.
    Plain,
    /// What is about the program itself, and must work whatever is wrong with another version: never handed over.
    Own,
}

/// What [`hand_over`] needs.
#[derive(Debug, Clone)]
pub struct HandOver {
    /// Below which root.
    pub layout: Layout,
    /// What is about to start.
    pub start: Start,
    /// The guard, where it is installed.
    pub guard: Option<PathBuf>,
}

/// Becomes the version in use, if that is another one. Returns when this program is to go on itself, with what a person
/// should know about the reason.
pub fn hand_over(what: &HandOver) -> Option<String> {
    if what.start == Start::Own || handed_over_by().is_some() {
        return None;
    }
    let layout = &what.layout;
    let own = program_version();
    let mut version = match choose(layout, &own) {
        Choice::Version(version) => version,
        Choice::Installed(why) => return why.is_wrong().then(|| format!("updates {own} goes on itself: {why}")),
    };
    let used_up = Trial::read(layout).ok().flatten().filter(|trial| trial.version == version && trial.is_used_up());
    if let Some(trial) = &used_up
        && what.start == Start::Plain
    {
        return Some(format!(
            "updates {own} goes on itself: version {version} has used up its {} tries, and is taken back by the next run",
            trial.tries
        ));
    }
    if what.start == Start::Counted {
        if let Some(trial) = used_up {
            let guarded = call_guard(what);
            version = match choose(layout, &own) {
                Choice::Version(other) if other != version => other,
                Choice::Version(_) => {
                    let reason = guarded.err().unwrap_or_else(|| "it may run at this moment".to_owned());
                    return Some(format!(
                        "updates {own} goes on itself: version {version} has used up its {} tries, and was not taken \
                         back: {reason}",
                        trial.tries
                    ));
                }
                Choice::Installed(_) => return None,
            };
        }
        if let Err(error) = count(layout, &version) {
            DECLINED.store(true, Ordering::Relaxed);
            return Some(format!(
                "updates {own} goes on itself: a start of version {version} can't be counted: {error}"
            ));
        }
    }
    let program = Place::new(layout).program(&version);
    // Once it is executed, only the kernel's own refusals come back. On trial each start is counted, and the guard acts.
    let on_trial = matches!(Trial::read(layout), Ok(Some(trial)) if trial.version == version);
    let error = match if on_trial { Ok(()) } else { starts(&program, layout.root()) } {
        Ok(()) => {
            let Err(error) = execute(&program, &own, None);
            error.to_string()
        }
        Err(error) => error.to_string(),
    };
    DECLINED.store(true, Ordering::Relaxed);
    Some(format!("updates {own} goes on itself: {} can't be executed: {error}", program.display()))
}

/// Becomes the version in use once the lock is there, where another run has put that in use while this process waited:
/// an older program would take the newer one's database for one to go back from. Returns when this one is to go on, with
/// what a person should know.
pub(in crate::supervisor) fn catch_up(layout: &Layout, lock: &RunLock, start: Start) -> Option<String> {
    // One that was executed with the lock is what it is: whoever did that had a reason.
    if DECLINED.load(Ordering::Relaxed) || inherited_lock().is_some() {
        return None;
    }
    let own = program_version();
    let installed = handed_over_by().unwrap_or_else(program_version);
    let Choice::Version(version) = choose(layout, &installed) else { return None };
    if version == own {
        return None;
    }
    if start == Start::Counted {
        if matches!(Trial::read(layout), Ok(Some(trial)) if trial.version == version && trial.is_used_up()) {
            return None;
        }
        if let Err(error) = count(layout, &version) {
            return Some(format!(
                "updates {own} goes on itself: a start of version {version} can't be counted: {error}"
            ));
        }
    }
    let error = continue_as(layout, &version, lock);
    Some(format!("updates {own} goes on itself: version {version} can't be executed: {error}"))
}

/// Counts a start of `version`, where that is on trial. What can't be counted could fail for ever.
fn count(layout: &Layout, version: &SchemaVersion) -> Result<(), PathError> {
    match Trial::read(layout) {
        Ok(Some(trial)) if trial.version == *version => match Trial::count(layout) {
            // It has reached the end of a run this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        },
        Ok(None) if Trial::is_damaged(layout) => {
            // It may be the one that was on trial. One that was not reaches the end of its next run, and has lost nothing.
            let previous = Notes(layout).version(Note::Previous).unwrap_or_default();
            let trial = Trial {
                version: version.clone(),
                previous: previous.filter(|previous| previous != version),
                sha256: Place::new(layout).artifact(version),
                tries: TRIES,
                starts: 0,
            };
            trial.begin(layout)?;
            Trial::count(layout)
        }
        _ => Ok(()),
    }
}

/// Becomes `version` in the middle of a run, with its lock. Returns only when that fails.
pub(in crate::supervisor) fn continue_as(layout: &Layout, version: &SchemaVersion, lock: &RunLock) -> io::Error {
    let installed = handed_over_by().unwrap_or_else(program_version);
    let descriptor = match lock.hand_on() {
        Ok(descriptor) => descriptor,
        Err(error) => return error,
    };
    let Err(error) = execute(&Place::new(layout).program(version), &installed, Some(descriptor));
    lock.keep().err().unwrap_or(error)
}

/// The version of the installed program, when that has handed over to this one.
pub(in crate::supervisor) fn handed_over_by() -> Option<SchemaVersion> {
    of_this_process(MARK)?.parse().ok()
}

/// The descriptor of the run's lock, when this process was given one.
pub(in crate::supervisor) fn inherited_lock() -> Option<RawFd> {
    of_this_process(LOCK)?.parse().ok()
}

/// Whether this process was started as a try of a version on trial.
pub fn is_counted(layout: &Layout) -> bool {
    handed_over_by().is_some()
        && matches!(Trial::read(layout), Ok(Some(trial)) if trial.version == program_version() && trial.starts > 0)
}

/// Takes a start back that came to nothing, for a reason that is not this version's: a wrong command line, another run.
pub fn take_back(layout: &Layout) {
    if is_counted(layout)
        && let Err(error) = Trial::void(layout)
    {
        tracing::error!("{error}");
    }
}

// A child that inherited the environment has another id, and starts as anybody would.
fn of_this_process(variable: &str) -> Option<String> {
    let text = std::env::var(variable).ok()?;
    let (pid, rest) = text.split_once(' ')?;
    (pid.parse() == Ok(std::process::id())).then(|| rest.to_owned())
}

// Not by the standard library's Command: that calls execvp(3), which has a shell read whatever the kernel does not take for
// a program.
fn execute(program: &Path, installed: &SchemaVersion, lock: Option<RawFd>) -> io::Result<Infallible> {
    let pid = std::process::id();
    let text = |bytes: &OsStr| CString::new(bytes.as_bytes()).map_err(io::Error::from);
    let path = text(program.as_os_str())?;
    let arguments: Vec<CString> = std::env::args_os().map(|argument| text(&argument)).collect::<Result<_, _>>()?;
    let inherited = std::env::vars_os().filter(|(key, _)| key != MARK && key != LOCK);
    let mut environment: Vec<OsString> = inherited
        .map(|(mut key, value)| {
            key.push("=");
            key.push(value);
            key
        })
        .collect();
    environment.push(format!("{MARK}={pid} {installed}").into());
    environment.extend(lock.map(|descriptor| format!("{LOCK}={pid} {descriptor}").into()));
    let environment: Vec<CString> = environment.iter().map(|entry| text(entry)).collect::<Result<_, _>>()?;
    // Signals are let through: one that comes now ends the process at a point where everything is durable, and a program
    // that hangs at its start can be ended by anybody.
    let blocked = SigSet::thread_get_mask()?;
    SigSet::empty().thread_set_mask()?;
    let Err(error) = nix::unistd::execve(&path, &arguments, &environment);
    blocked.thread_set_mask()?;
    Err(error.into())
}

fn call_guard(what: &HandOver) -> Result<(), String> {
    let Some(guard) = &what.guard else { return Err("the guard, lib/updates/updates-guard, is missing".to_owned()) };
    let status = Command::new(guard)
        .arg("--root")
        .arg(what.layout.root())
        .arg("check")
        .stdin(Stdio::null())
        // Its words go where ours do; standard output is for results.
        .stdout(io::stderr())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{} ended with {status}", guard.display())),
        Err(error) => Err(format!("{}: {error}", guard.display())),
    }
}
