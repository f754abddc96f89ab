//! Artifacts that are not tried again: one a line, `VERSION SHA256 REASON`, until the source carries another one for the
//! version or a person releases them. The guard appends to the same file.

use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use crate::config::Layout;
use crate::fs::{IoContext, PathError, create_directory, remove_tree, replace_file, sync_directory};

/// Older lines are dropped beyond this many.
const MAX: usize = 100;

/// An artifact that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The version, as text: nothing depends on it.
    pub version: String,
    /// The artifact.
    pub sha256: String,
    /// Why.
    pub reason: String,
}

impl Held {
    /// The reason of a person who went back.
    pub const WENT_BACK: &str = "a person went back to the version before it";

    /// Whether a person holds it, and it has not failed.
    pub fn is_persons(&self) -> bool {
        self.reason == Self::WENT_BACK
    }
}

/// Everything that is held, the oldest first.
pub fn holds(layout: &Layout) -> Result<Vec<Held>, PathError> {
    let path = path(layout);
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if crate::fs::is_absence(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error).at("read", &path),
    };
    Ok(text.lines().filter_map(parse).collect())
}

/// Why an artifact is held, if it is.
pub fn is_held(layout: &Layout, sha256: &str) -> Result<Option<Held>, PathError> {
    Ok(holds(layout)?.into_iter().rev().find(|held| held.sha256 == sha256))
}

/// Holds an artifact, durably.
pub fn hold(layout: &Layout, held: Held) -> Result<(), PathError> {
    let mut all = holds(layout)?;
    all.retain(|other| other.sha256 != held.sha256);
    all.push(held);
    let kept = all.len().saturating_sub(MAX);
    let line = |held: &Held| {
        let reason: String = held.reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect();
        format!("{} {} {reason}\n", held.version, held.sha256)
    };
    let text: String = all[kept..].iter().map(line).collect();
    create_directory(&layout.self_update(), 0o700)?;
    replace_file(&path(layout), text.as_bytes(), 0o600)
}

/// Holds nothing any more, durably.
pub fn release_all(layout: &Layout) -> Result<(), PathError> {
    remove_tree(&path(layout))?;
    let folder = layout.self_update();
    if folder.is_dir() { sync_directory(&folder) } else { Ok(()) }
}

fn parse(line: &str) -> Option<Held> {
    let mut words = line.splitn(3, ' ');
    let (version, sha256) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some(Held { version, sha256, reason: words.next().unwrap_or_default().to_owned() })
}

fn path(layout: &Layout) -> PathBuf {
    layout.self_update().join("held")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_held_once_whatever_its_reason_and_until_all_are_released() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let held = |sha256: &str, reason: &str| Held {
            version: "2.0.0".to_owned(),
            sha256: sha256.to_owned(),
            reason: reason.to_owned(),
        };
        hold(&layout, held("aa", "it\ncrashed")).unwrap();
        hold(&layout, held("bb", "")).unwrap();
        hold(&layout, held("aa", "it hung")).unwrap();
        assert_eq!(holds(&layout).unwrap(), [held("bb", ""), held("aa", "it hung")]);
        assert!(is_held(&layout, "aa").unwrap().is_some() && is_held(&layout, "cc").unwrap().is_none());
        release_all(&layout).unwrap();
        assert_eq!(holds(&layout).unwrap(), []);
    }
}
