//! The settings as the rest of the program uses them: every value present and within its range.

use std::path::PathBuf;

use serde::Serialize;

use super::raw::RawConfig;

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
    /// `source.timeout_sec`: how long the server may keep silent, 1 to 3,600 seconds.
    pub timeout_sec: u64,
}

/// A value outside its range: the key and what is allowed.
pub(super) type ValueError = (&'static str, String);

impl Config {
    pub(super) fn check(raw: RawConfig) -> Result<Self, ValueError> {
        let python = path("run.python", raw.run.python, "/usr/bin/python3")?;
        Ok(Self {
            source: SourceSettings {
                url: raw.source.url.filter(|url| !url.is_empty()),
                branch: branch(raw.source.branch)?,
                ssh_key: match raw.source.ssh_key {
                    Some(key) => Some(path("source.ssh_key", Some(key), "")?),
                    None => None,
                },
                timeout_sec: within("source.timeout_sec", raw.source.timeout_sec, 30, 1, 3600)?,
            },
            jobs: within("run.jobs", raw.run.jobs, default_jobs(), 1, 64)? as usize,
            python,
            systemctl: match raw.run.systemctl {
                Some(program) => Some(path("run.systemctl", Some(program), "")?),
                None => None,
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

fn path(key: &'static str, value: Option<String>, default: &str) -> Result<PathBuf, ValueError> {
    let text = value.unwrap_or_else(|| default.to_owned());
    if text.starts_with('/') {
        Ok(PathBuf::from(text))
    } else {
        Err((key, format!("{text:?} must be an absolute path")))
    }
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
