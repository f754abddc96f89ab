//! A tree of files as a value: two of them compare, and their difference reads as lines.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Every file below a folder, with all that a rollback has to bring back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, Node>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    kind: String,
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    content: String,
}

impl Tree {
    /// The tree of `folder`, itself included as `.`; a missing one is empty. What lies at or below the paths `without`,
    /// relative to `folder`, is left out.
    pub fn of(folder: &Path, without: &[&str]) -> Self {
        let mut nodes = BTreeMap::new();
        walk(folder, folder, without, &mut nodes);
        Self(nodes)
    }

    /// Content and kinds only: how two copies of the same module compare.
    pub fn content(&self) -> BTreeMap<String, (String, String)> {
        let entries = self.0.iter().filter(|(_, node)| node.kind != "folder");
        entries.map(|(path, node)| (path.clone(), (node.kind.clone(), node.content.clone()))).collect()
    }

    /// The paths that are in one only or differ, each with what differs.
    pub fn difference(&self, after: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, node) in &self.0 {
            match after.0.get(path) {
                None => lines.push(format!("{path}: gone")),
                Some(other) if other != node => lines.push(format!("{path}: {node} became {other}")),
                Some(_) => {}
            }
        }
        lines.extend(after.0.keys().filter(|path| !self.0.contains_key(*path)).map(|path| format!("{path}: new")));
        lines
    }

    /// Fails, with every difference, unless `after` is the same tree.
    #[track_caller]
    pub fn assert_same(&self, after: &Self, what: &str) {
        let difference = self.difference(after);
        assert!(difference.is_empty(), "{what}:\n  {}", difference.join("\n  "));
    }

    /// The part of it at and below `path`.
    pub fn below(&self, path: &str) -> Self {
        let inside = |each: &str| each.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        Self(self.0.iter().filter(|(each, _)| inside(each)).map(|(path, node)| (path.clone(), node.clone())).collect())
    }

    /// The paths in it.
    pub fn paths(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

fn walk(base: &Path, path: &Path, without: &[&str], nodes: &mut BTreeMap<String, Node>) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    let relative = path.strip_prefix(base).unwrap();
    if without.iter().any(|left_out| relative.starts_with(left_out)) {
        return;
    }
    let (kind, content) = if metadata.is_symlink() {
        ("link", fs::read_link(path).unwrap().to_string_lossy().into_owned())
    } else if metadata.is_dir() {
        ("folder", String::new())
    } else if metadata.is_file() {
        ("file", hash(&fs::read(path).unwrap()))
    } else {
        ("other", String::new())
    };
    let name = if relative.as_os_str().is_empty() {
        ".".to_owned()
    } else {
        String::from_utf8_lossy(relative.as_os_str().as_bytes()).into_owned()
    };
    let node = Node {
        kind: kind.to_owned(),
        mode: metadata.mode() & 0o7777,
        owner: (metadata.uid(), metadata.gid()),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        content,
    };
    nodes.insert(name, node);
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            walk(base, &entry.unwrap().path(), without, nodes);
        }
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (uid, gid) = self.owner;
        let (seconds, nanoseconds) = self.modified;
        write!(f, "{} {:04o} {uid}:{gid} {seconds}.{nanoseconds:09} {}", self.kind, self.mode, self.content)
    }
}
