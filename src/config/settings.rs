//! The settings as the rest of the program uses them: every value present and within its range.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::raw::RawConfig;
use super::{MaintenanceWindow, WindowError};

/// The branch that is followed where none is named.
pub const DEFAULT_BRANCH: &str = "main";

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// `[source]`: where modules come from; without a `url` nothing is synced.
    pub source: SourceSettings,
    /// `run.jobs`: modules that may run side by side, 1 to 64; the number of processors, at most 4, when absent.
    pub jobs: usize,
    /// `run.python`: the interpreter for Python modules, as modules see it.
    pub python: PathBuf,
    /// `run.systemctl`: a program that answers like systemctl(1); this machine's own when absent.
    pub systemctl: Option<PathBuf>,
    /// `run.window`: when `updates run` may do something; always when it is empty.
    pub window: MaintenanceWindow,
    /// `[self_update]`: newer versions of this program.
    pub self_update: SelfUpdateSettings,
}

/// Where modules come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceSettings {
    /// `source.url`: a URL that git understands, or an absolute path.
    pub url: Option<String>,
    /// `source.branch`.
    pub branch: String,
    /// `source.ssh_key`: the private key for ssh URLs; the agent is asked when absent.
    pub ssh_key: Option<PathBuf>,
    /// `source.known_hosts`: the keys that ssh servers are known by; ssh's own files when absent.
    pub known_hosts: Option<PathBuf>,
    /// `source.credentials`: a file of URLs with user and password, one a line, as git-credential-store(1) keeps them.
    pub credentials: Option<PathBuf>,
    /// `source.credential_helper`: a program that is asked as gitcredentials(7) tells.
    pub credential_helper: Option<PathBuf>,
    /// `source.timeout_sec`: how long the server may keep silent, 1 to 3,600 seconds.
    pub timeout_sec: u64,
    /// `source.verify`: what must be signed before it is installed.
    pub verify: Verify,
    /// `source.allowed_signers`: who may sign with an SSH key; ssh-keygen(1), ALLOWED SIGNERS.
    pub allowed_signers: Option<PathBuf>,
    /// `source.keyring`: who may sign with an OpenPGP key, as gpgv(1) reads it.
    pub keyring: Option<PathBuf>,
    /// `source.allow_non_fast_forward`: whether a branch that does not continue what was fetched before is followed.
    pub allow_non_fast_forward: bool,
    /// `source.stale_after`: days without a new commit after which that is said, 1 to 3,650; 0 means never.
    pub stale_after: u64,
}

/// What must be signed before it is installed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    /// Nothing.
    #[default]
    None,
    /// The commit at the branch's head.
    Commit,
    /// A tag: one on the branch's head, or the module's own of its version.
    Tag,
}

/// Newer versions of this program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SelfUpdateSettings {
    /// `self_update.enabled`: whether they are installed when the source carries one.
    pub enabled: bool,
    /// `self_update.tries`: starts that a new version has to reach the end of a run, 1 to 10.
    pub tries: u64,
}

/// A value outside its range: the key and what is allowed.
pub(super) type ValueError = (&'static str, String);

impl Default for Config {
    /// Those of a machine on which nobody has set anything.
    fn default() -> Self {
        Self::check(RawConfig::default()).unwrap_or_else(|_| unreachable!("every default is within its range"))
    }
}

impl Config {
    pub(super) fn check(raw: RawConfig) -> Result<Self, ValueError> {
        let python = path("run.python", raw.run.python, "/usr/bin/python3")?;
        Ok(Self {
            source: SourceSettings {
                url: raw.source.url.filter(|url| !url.is_empty()),
                branch: branch(raw.source.branch)?,
                ssh_key: optional("source.ssh_key", raw.source.ssh_key)?,
                known_hosts: optional("source.known_hosts", raw.source.known_hosts)?,
                credentials: optional("source.credentials", raw.source.credentials)?,
                credential_helper: optional("source.credential_helper", raw.source.credential_helper)?,
                timeout_sec: within("source.timeout_sec", raw.source.timeout_sec, 30, 1, 3600)?,
                verify: raw.source.verify.unwrap_or_default(),
                allowed_signers: optional("source.allowed_signers", raw.source.allowed_signers)?,
                keyring: optional("source.keyring", raw.source.keyring)?,
                allow_non_fast_forward: raw.source.allow_non_fast_forward.unwrap_or(false),
                stale_after: within("source.stale_after", raw.source.stale_after, 180, 0, 3650)?,
            },
            jobs: within("run.jobs", raw.run.jobs, default_jobs(), 1, 64)? as usize,
            python,
            systemctl: optional("run.systemctl", raw.run.systemctl)?,
            window: window(raw.run.window.unwrap_or_default())?,
            self_update: SelfUpdateSettings {
                enabled: raw.self_update.enabled.unwrap_or(true),
                tries: within("self_update.tries", raw.self_update.tries, 3, 1, 10)?,
            },
        })
    }
}

fn default_jobs() -> u64 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as u64).min(4)
}

fn within(key: &'static str, value: Option<u64>, default: u64, low: u64, high: u64) -> Result<u64, ValueError> {
    match value {
        None => Ok(default),
        Some(value) if (low..=high).contains(&value) => Ok(value),
        Some(value) => Err((key, format!("{value} is outside {low} to {high}"))),
    }
}

fn optional(key: &'static str, value: Option<String>) -> Result<Option<PathBuf>, ValueError> {
    value.map(|value| path(key, Some(value), "")).transpose()
}

fn path(key: &'static str, value: Option<String>, default: &str) -> Result<PathBuf, ValueError> {
    let text = value.unwrap_or_else(|| default.to_owned());
    if text.starts_with('/') {
        Ok(PathBuf::from(text))
    } else {
        Err((key, format!("{text:?} must be an absolute path")))
    }
}

fn window(texts: Vec<String>) -> Result<MaintenanceWindow, ValueError> {
    let windows: Result<Vec<_>, WindowError> = texts.iter().map(|text| text.parse()).collect();
    windows.map(MaintenanceWindow::new).map_err(|error| ("run.window", error.to_string()))
}

fn branch(value: Option<String>) -> Result<String, ValueError> {
    let branch = value.unwrap_or_else(|| DEFAULT_BRANCH.to_owned());
    let valid = !branch.is_empty()
        && !branch.starts_with(['-', '/'])
        && !branch.contains("..")
        && !branch.contains(|c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c));
    if valid {
        Ok(branch)
    } else {
        Err(("source.branch", format!("{branch:?} is no branch name; see git-check-ref-format(1)")))
    }
}
