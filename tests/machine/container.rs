//! A container that can be booted, switched off, cut from power and booted again. What it changes stays in its folder and
//! goes with it. It knows systemd and nothing of updates.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for anything in a container: two busy processors may be shared by many.
const PATIENCE: Duration = Duration::from_secs(180);

/// Where tests/machine/run wants everything that is thrown away.
pub fn work() -> PathBuf {
    PathBuf::from(std::env::var_os("UPDATES_TEST_MACHINE").unwrap())
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systemd").join(name)
}

/// A machine that exists, whether it is on or off.
pub struct Container {
    folder: PathBuf,
    layers: String,
    on: Option<(Child, String)>,
}

/// What became of a command.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Self { code: output.status.code().unwrap_or(-1), stdout, stderr }
    }
}

impl Container {
    /// A machine that is off; `layers` are folders that it sees and doesn't change, the topmost first.
    pub fn new(layers: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = work().join(format!("machine-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(folder.join("shared")).unwrap();
        Self { folder, layers: layers.to_owned(), on: None }
    }

    /// A folder of this machine that the container sees as `/srv/shared`.
    pub fn shared(&self) -> PathBuf {
        self.folder.join("shared")
    }

    /// What another container needs as its layers to begin where this one, which is off, ended.
    pub fn layers(&self) -> String {
        assert!(self.on.is_none(), "a machine that is on changes");
        let own = self.changed();
        if own.ends_with("root") { own.display().to_string() } else { format!("{}:{}", own.display(), self.layers) }
    }

    /// The folder with what it changed, while it is off.
    pub fn changed(&self) -> PathBuf {
        let upper = self.folder.join("upper");
        if upper.exists() { upper } else { self.folder.join("root") }
    }

    pub fn boot(&mut self) {
        assert!(self.on.is_none(), "it is on already");
        let shared = self.shared();
        let mut child = Command::new(script("boot"))
            .arg(&self.layers)
            .arg(&self.folder)
            .arg(format!("--bind={}:/srv/shared", shared.display()))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let leader = self.folder.join("leader");
        let begun = Instant::now();
        while !leader.exists() {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "the container did not come up");
            assert!(begun.elapsed() < PATIENCE, "the container never came up");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.on = Some((child, fs::read_to_string(leader).unwrap().trim().to_owned()));
    }

    /// Every process ends at once, and none has a say in it.
    pub fn cut_power(&mut self) {
        let (mut child, _) = self.on.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        child.wait().unwrap();
    }

    /// As a person switches it off: every unit is stopped.
    pub fn power_off(&mut self) {
        self.ok("systemctl poweroff");
        let (mut child, _) = self.on.take().unwrap();
        child.wait().unwrap();
    }

    fn enter(&self, command: &[&str]) -> Command {
        let (_, leader) = self.on.as_ref().expect("the machine is on");
        let mut enter = Command::new(script("enter"));
        enter.arg(leader).args(command).stdin(Stdio::null());
        // As a login would have it; what this test was started with is nothing to the container.
        enter.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        enter.env("LANG", "C.UTF-8").env("HOME", "/root");
        enter
    }

    /// Runs a script of the shell.
    pub fn sh(&self, script: &str) -> Ran {
        self.enter(&["/bin/sh", "-c", script]).output().unwrap().into()
    }

    /// Runs a script that has to succeed, and returns what it printed, trimmed.
    #[track_caller]
    pub fn ok(&self, script: &str) -> String {
        let ran = self.sh(script);
        assert_eq!(ran.code, 0, "{script}\n{}\n{}", ran.stdout, ran.stderr);
        ran.stdout.trim().to_owned()
    }

    /// Runs a command as a unit of its own, as from a shell that a person logged in to.
    pub fn unit(&self, command: &[&str]) -> Ran {
        let run = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--setenv=HOME=/root", "--"];
        self.enter(&[&run, command].concat()).output().unwrap().into()
    }

    /// Waits until the script succeeds.
    #[track_caller]
    pub fn until(&self, script: &str) {
        let begun = Instant::now();
        while self.sh(script).code != 0 {
            if begun.elapsed() > PATIENCE {
                let journal = self.sh("journalctl --no-pager --lines=60").stdout;
                panic!("waited in vain: {script}\n{journal}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Properties of a unit, in one line.
    #[track_caller]
    pub fn show(&self, unit: &str, properties: &str) -> String {
        self.ok(&format!("systemctl show --property {properties} -- {unit}")).replace('\n', " ")
    }

    /// What `journalctl` has for these matches and options, oldest first.
    #[track_caller]
    pub fn journal(&self, matches: &str) -> Vec<Value> {
        let lines = self.ok(&format!("journalctl --sync; journalctl --no-pager --output=json {matches}"));
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Writes a file, with the folders it is in.
    pub fn write(&self, path: &str, content: &str) {
        let beside = self.shared().join("written");
        fs::write(&beside, content).unwrap();
        self.ok(&format!("mkdir -p \"$(dirname {path})\" && cp /srv/shared/written {path}"));
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() && self.on.is_some() {
            eprintln!("the end of the journal:\n{}", self.sh("journalctl --no-pager --lines=40").stdout);
        }
        if self.on.is_some() {
            self.cut_power();
        }
        fs::remove_dir_all(&self.folder).unwrap();
    }
}
