//! The program as a person starts it: with an environment of its own, its output kept in files, and an end that is
//! waited for, though not for ever.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use wait_timeout::ChildExt;

/// No command takes this long; one that does hangs, and the test says so instead of hanging with it.
const HANGS: Duration = Duration::from_secs(120);

/// A command under way.
pub struct Started {
    child: Child,
    stdout: File,
    stderr: File,
    words: String,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; minus the signal's number when a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    words: String,
}

impl Started {
    #[track_caller]
    pub fn new(root: &Path, temporary: &Path, arguments: &[&str]) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_updates"));
        assert!(
            program.with_file_name("updates-runner").exists(),
            "updates-runner is not beside {}: run `cargo build --workspace` first",
            program.display()
        );
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests make namespaces and files of other owners: run them as root"
        );
        let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let child = Command::new(program)
            .arg("--root")
            .arg(root)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("TMPDIR", temporary)
            .env("TZ", "UTC")
            .env("SECRET_OF_THE_SERVICE", "must-not-reach-modules")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(stdout.try_clone().unwrap())
            .stderr(stderr.try_clone().unwrap())
            .spawn()
            .unwrap();
        Self { child, stdout, stderr, words: arguments.join(" ") }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the supervisor alone.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end.
    #[track_caller]
    pub fn end(mut self) -> Ran {
        match self.child.wait_timeout(HANGS).unwrap() {
            Some(status) => self.ran(status),
            None => {
                self.child.kill().unwrap();
                let status = self.child.wait().unwrap();
                panic!("updates was still running after {HANGS:?}: {:#?}", self.ran(status))
            }
        }
    }

    /// Kills it after `moment`, unless it has ended by then.
    pub fn kill_after(mut self, moment: Duration) -> Ran {
        let status = match self.child.wait_timeout(moment).unwrap() {
            Some(status) => status,
            None => {
                self.child.kill().unwrap();
                self.child.wait().unwrap()
            }
        };
        self.ran(status)
    }

    /// What it has written to standard error up to now.
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    fn ran(self, status: ExitStatus) -> Ran {
        Ran {
            code: status.code().unwrap_or_else(|| -status.signal().unwrap_or(0)),
            stdout: read(&self.stdout),
            stderr: read(&self.stderr),
            words: self.words,
        }
    }
}

// The child writes through the same open file, so that its position must stay where it is.
fn read(file: &File) -> String {
    let mut bytes = vec![0; file.metadata().unwrap().len().try_into().unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    String::from_utf8(bytes).expect("the program prints UTF-8")
}

impl Ran {
    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "updates {} printed no JSON: {error}\nexit {}\nstdout: {}\nstderr: {}",
                self.words, self.code, self.stdout, self.stderr
            )
        })
    }

    /// Fails, with all that was printed, unless it ended with `code`.
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        assert_eq!(
            self.code, code,
            "updates {} ended with {}\nstdout: {}\nstderr: {}",
            self.words, self.code, self.stdout, self.stderr
        );
        self
    }
}
