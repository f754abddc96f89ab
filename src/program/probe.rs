//! Whether a version works here: its own `self-test`, as a process of its own that is bounded in time and in what it may
//! say, and ended with everything that it started.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use wait_timeout::ChildExt;

/// How long a self-test may take; it takes a second.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long a version may take to say which it is; it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// What of its output is kept; the rest is read and dropped.
const OUTPUT: usize = 64 << 10;
/// How long what it left behind may hold its output open.
const LEFTOVER: Duration = Duration::from_secs(2);

/// What a self-test prints, as JSON on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// The version that was tested, by its own word.
    pub version: String,
    /// What works, in words.
    #[serde(default)]
    pub passed: Vec<String>,
    /// What does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// Why a version is not used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It can't be executed.
    #[error("it does not start: {0}")]
    Start(#[source] std::io::Error),
    /// It did not end.
    #[error("its self-test did not end within {} s", DEADLINE.as_secs())]
    Deadline,
    /// It does not even say which version it is.
    #[error("it does not start: `updates --version` {0}")]
    Mute(String),
    /// It says that something does not work, or says nothing.
    #[error("its self-test {end}{words}")]
    Failed {
        /// How it ended: `ended with 1`.
        end: String,
        /// What it said, after a colon.
        words: String,
    },
    /// It is another version than the source promised.
    #[error("it is version {found}, and the source promised {promised}")]
    Version {
        /// By its own word.
        found: String,
        /// By the source's.
        promised: String,
    },
}

/// Runs the self-test of `program` with these arguments before the command.
pub fn probe(program: &Path, arguments: &[OsString], environment: &[(&str, String)]) -> Result<Probed, ProbeError> {
    let mut command = Command::new(program);
    command.args(arguments).args(["--json", "self-test"]).envs(environment.iter().map(|(key, value)| (key, value)));
    let answer = ask(&mut command, DEADLINE)?.ok_or(ProbeError::Deadline)?;
    let said: Option<Probed> = serde_json::from_str(answer.stdout.trim()).ok();
    match said {
        Some(probed) if answer.status.success() && probed.failed.is_none() => Ok(probed),
        said => {
            let end = answer.end().unwrap_or_else(|| "says nothing that can be read".to_owned());
            let words = words(&said.and_then(|said| said.failed).unwrap_or(answer.stderr));
            Err(ProbeError::Failed { end, words })
        }
    }
}

/// Whether `program` starts at all below `root`: a library that it was linked to may be gone since its self-test, and once it is executed
/// nobody is left to go on without it.
pub fn starts(program: &Path, root: &Path) -> Result<(), ProbeError> {
    let Some(answer) = ask(Command::new(program).arg("--root").arg(root).arg("--version"), PATIENCE)? else {
        return Err(ProbeError::Mute(format!("did not end within {} s", PATIENCE.as_secs())));
    };
    match answer.end() {
        None => Ok(()),
        Some(end) => Err(ProbeError::Mute(end + &words(&answer.stderr))),
    }
}

/// How a program ended, and what it said.
struct Answer {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

impl Answer {
    /// How it ended, in words, unless it ended well.
    fn end(&self) -> Option<String> {
        match (self.status.code(), self.status.signal()) {
            (Some(0), _) => None,
            (Some(code), _) => Some(format!("ended with {code}")),
            (None, Some(signal)) => Some(format!("was killed by signal {signal}")),
            (None, None) => Some("ended".to_owned()),
        }
    }
}

/// Runs a program to its end, or `None` where it takes longer. Nothing that it started is left.
fn ask(command: &mut Command, deadline: Duration) -> Result<Option<Answer>, ProbeError> {
    let mut child = command
        .current_dir(PathBuf::from("/"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(ProbeError::Start)?;
    let stdout = gather(child.stdout.take());
    let stderr = gather(child.stderr.take());
    let ended = child.wait_timeout(deadline);
    end_all(&mut child);
    let Some(status) = ended.map_err(ProbeError::Start)? else { return Ok(None) };
    Ok(Some(Answer { status, stdout: received(&stdout), stderr: received(&stderr) }))
}

/// What it said, after a colon and on one line.
fn words(said: &str) -> String {
    let words: String = said.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    if words.is_empty() { words } else { format!(": {words}") }
}

/// Kills the whole group, whether its first process has ended or not, and reaps that one.
fn end_all(child: &mut Child) {
    // ESRCH where the group is empty already. The number is not reused before the child is reaped, and one that has
    // ended by itself was: then a group of that number is what it left, or nobody's.
    kill_process_group(Pid::from_child(child), Signal::KILL).ok();
    child.wait().ok();
}

/// Reads a pipe to its end on a thread of its own, which ends with the last writer.
fn gather(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    let read = move || {
        let mut kept = Vec::new();
        if let Some(mut pipe) = pipe {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                kept.extend_from_slice(&buffer[..read.min(OUTPUT.saturating_sub(kept.len()))]);
            }
        }
        // Nobody listens any more where something kept the pipe open for too long.
        sender.send(kept).ok();
    };
    // Where no thread can be had, the other end hangs up at once, and nothing was said.
    std::thread::Builder::new().name("self-test".to_owned()).stack_size(128 << 10).spawn(read).ok();
    receiver
}

fn received(receiver: &Receiver<Vec<u8>>) -> String {
    String::from_utf8_lossy(&receiver.recv_timeout(LEFTOVER).unwrap_or_default()).into_owned()
}
