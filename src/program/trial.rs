//! A version on trial: written before `current` names it, and removed when it has reached the end of a run.
//!
//! One file of lines, `key value`; a start is one more line `start`, appended and synced before the version is executed
//! by whoever executes it. A run that could not begin for a reason that is not the version's takes its start back with a
//! line `void`. The guard, which is no part of this program, reads the same lines.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use updates_protocol::SchemaVersion;

use crate::config::Layout;
use crate::fs::{IoContext, PathError, create_directory, remove_tree, replace_file, sync_directory};

/// A version on trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Which one.
    pub version: SchemaVersion,
    /// What was in use before; `None` is the installed program.
    pub previous: Option<SchemaVersion>,
    /// The artifact that it came from.
    pub sha256: String,
    /// Starts that it may use.
    pub tries: u64,
    /// Starts that it has used.
    pub starts: u64,
}

impl Trial {
    /// The trial that is under way. One that can't be understood is none: it is written whole before anything depends on
    /// it, and what a failing disk leaves of it is begun anew by who counts the next start.
    pub fn read(layout: &Layout) -> Result<Option<Self>, PathError> {
        let path = path(layout);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if crate::fs::is_absence(&error) || error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(error).at("read", &path),
        }
    }

    /// Whether there is a trial that can't be understood: of which version, and with how many starts, nobody knows.
    pub fn is_damaged(layout: &Layout) -> bool {
        fs::read(path(layout)).is_ok_and(|bytes| std::str::from_utf8(&bytes).ok().and_then(Self::parse).is_none())
    }

    fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        let lines = |word: &str| text.lines().filter(|line| *line == word).count() as u64;
        Some(Self {
            version: value("version")?.parse().ok()?,
            previous: match value("previous")? {
                "none" => None,
                version => Some(version.parse().ok()?),
            },
            sha256: value("sha256")?.to_owned(),
            tries: value("tries")?.parse().ok()?,
            starts: lines("start").saturating_sub(lines("void")),
        })
    }

    /// Begins the trial, durably; what was used of another one is forgotten.
    pub fn begin(&self, layout: &Layout) -> Result<(), PathError> {
        create_directory(&layout.self_update(), 0o700)?;
        let previous = self.previous.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
        let (version, sha256, tries) = (&self.version, &self.sha256, self.tries);
        let mut text = format!("version {version}\nprevious {previous}\nsha256 {sha256}\ntries {tries}\n");
        text.extend((0..self.starts).map(|_| "start\n"));
        replace_file(&path(layout), text.as_bytes(), 0o600)
    }

    /// Whether it has used up its starts.
    pub fn is_used_up(&self) -> bool {
        self.starts >= self.tries
    }

    /// Counts one start, durably. Never makes the file: a trial that has ended meanwhile stays ended.
    pub fn count(layout: &Layout) -> Result<(), PathError> {
        append(layout, "start\n")
    }

    /// Takes one start back.
    pub fn void(layout: &Layout) -> Result<(), PathError> {
        match append(layout, "void\n") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Ends the trial, durably.
    pub fn end(layout: &Layout) -> Result<(), PathError> {
        remove_tree(&path(layout))?;
        let folder = layout.self_update();
        if folder.is_dir() { sync_directory(&folder) } else { Ok(()) }
    }
}

fn append(layout: &Layout, line: &str) -> Result<(), PathError> {
    let path = path(layout);
    let mut file = File::options().append(true).open(&path).at("open", &path)?;
    file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).at("write", &path)
}

fn path(layout: &Layout) -> PathBuf {
    layout.self_update().join("trial")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_counts_until_it_is_taken_back_and_none_makes_a_trial() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        assert!(Trial::count(&layout).is_err());
        Trial::void(&layout).unwrap();
        let trial =
            Trial { version: "1.2.0".parse().unwrap(), previous: None, sha256: "ab".to_owned(), tries: 2, starts: 0 };
        trial.begin(&layout).unwrap();
        Trial::count(&layout).unwrap();
        Trial::count(&layout).unwrap();
        assert!(Trial::read(&layout).unwrap().unwrap().is_used_up());
        Trial::void(&layout).unwrap();
        assert_eq!(Trial::read(&layout).unwrap(), Some(Trial { starts: 1, ..trial }));
        Trial::end(&layout).unwrap();
        assert_eq!(Trial::read(&layout).unwrap(), None);
    }

    #[test]
    fn half_a_trial_is_none() {
        let whole = "version 1.2.0\nprevious none\nsha256 ab\ntries 3\n";
        for length in 0..whole.len() - 2 {
            assert_eq!(Trial::parse(&whole[..length]), None, "{:?}", &whole[..length]);
        }
    }
}
