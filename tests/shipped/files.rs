//! The files of a machine as lines that a person can read: type, mode, owner, and content where it is short.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Longest content that is shown as it is, in bytes.
const SHOWN: usize = 4000;

/// What is not looked into, by the last component of its path.
#[derive(Default)]
pub struct Without {
    /// Ends of names of which the content is not shown.
    pub content_of: Vec<&'static str>,
    /// Beginnings of names that are left out altogether.
    pub beginning: Vec<&'static str>,
}

/// Files and folders by path, each with its line.
pub struct Files(BTreeMap<String, String>);

impl Files {
    /// What is below `root`, but for the paths `left_out` and what `without` names.
    pub fn of(root: &Path, left_out: &[&str], without: &Without) -> Self {
        let mut files = Self(BTreeMap::new());
        files.walk(root, root, left_out, without);
        files
    }

    /// Adds what lies at `path` below `root`.
    pub fn add(&mut self, root: &Path, path: &str, without: &Without) {
        self.walk(root, &root.join(path), &[], without);
    }

    /// Forgets the one file or folder at `path`.
    pub fn remove(&mut self, path: &str) {
        self.0.remove(path);
    }

    /// `+` for what is new in `after`, `~` for what is different, `-` for what is gone.
    pub fn changes(&self, after: &Self) -> Vec<String> {
        let mut lines = BTreeMap::new();
        for (path, node) in &self.0 {
            match after.0.get(path) {
                None => lines.insert(path, format!("- {path}")),
                Some(now) if now != node => lines.insert(path, format!("~ {path}: {now}")),
                Some(_) => None,
            };
        }
        for (path, node) in after.0.iter().filter(|(path, _)| !self.0.contains_key(*path)) {
            lines.insert(path, format!("+ {path}: {node}"));
        }
        lines.into_values().collect()
    }

    fn walk(&mut self, root: &Path, path: &Path, left_out: &[&str], without: &Without) {
        let Ok(metadata) = fs::symlink_metadata(path) else { return };
        let relative = path.strip_prefix(root).unwrap();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let named = without.beginning.iter().any(|beginning| name.starts_with(beginning));
        if named || left_out.iter().any(|each| relative.starts_with(each)) {
            return;
        }
        let closed = without.content_of.iter().any(|end| name.ends_with(end));
        let rights = format!("{:04o} {}:{}", metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
        let node = if metadata.is_symlink() {
            format!("link to {}", fs::read_link(path).unwrap().display())
        } else if metadata.is_dir() {
            format!("folder {rights}{}", if closed { ", not shown" } else { "" })
        } else if metadata.is_file() {
            format!("file {rights}{}", if closed { ", not shown".to_owned() } else { content(path) })
        } else {
            format!("other {rights}")
        };
        if !relative.as_os_str().is_empty() {
            self.0.insert(relative.to_string_lossy().into_owned(), node);
        }
        if metadata.is_dir() && !closed {
            for entry in fs::read_dir(path).unwrap() {
                self.walk(root, &entry.unwrap().path(), left_out, without);
            }
        }
    }
}

fn content(path: &Path) -> String {
    let bytes = fs::read(path).unwrap();
    match std::str::from_utf8(&bytes) {
        Ok("") => ", empty".to_owned(),
        Ok(text) if text.len() <= SHOWN => text.lines().map(|line| format!("\n    | {line}")).collect::<String>(),
        _ => {
            let digest: String = Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!(", {} bytes, sha256 {digest}", bytes.len())
        }
    }
}
