//! `manifest.json`, the truth of a slot: a header, one entry a line, and a SHA-256 over everything before it.
//!
//! The file is one valid JSON object, so people and programs can read it; its line structure lets it be written and
//! read a line at a time. Entries stand in the order of a walk: a directory before what it holds, names by their bytes.

use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use updates_protocol::{DeclaredPath, ModuleName};

use super::bytes::Bytes;
use super::entry::Entry;
use super::error::Damage;
use crate::database::SavedDatabase;
use crate::fs::{HashingWriter, Time, sha256};
use crate::service::SavedUnits;

/// The format that this program writes, and the newest that it reads.
pub const FORMAT: u64 = 2;

/// The oldest that it reads.
const OLDEST: u64 = 1;

const OPEN: &str = ",\"entries\":[\n";
const CLOSE: &str = "\n],\"sha256\":\"";
const END: &str = "\"}\n";

/// What a slot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What it is about.
    pub header: Header,
    /// Every path, in walk order.
    pub entries: Vec<Entry>,
    /// SHA-256 of the manifest, which names the SHA-256 of every file: it stands for the whole slot.
    pub checksum: String,
}

/// What a slot is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format; see [`FORMAT`].
    pub format: u64,
    /// The slot's name.
    pub module: ModuleName,
    /// The module that made it.
    pub owner: ModuleName,
    /// For people.
    pub description: String,
    /// Seconds since the epoch.
    pub timestamp: u64,
    /// When the walk began, by the clock that stamps files.
    pub began: Time,
    /// The paths that were asked for, as declared, sorted, each once.
    pub paths: Vec<DeclaredPath>,
    /// Places below them that belong to the supervisor: not saved, and left alone by a restore.
    pub left_out: Vec<DeclaredPath>,
    /// The directories above the declared paths, so that missing ones come back as they were.
    pub parents: Vec<Parent>,
    /// The state of each unit, by the name it was asked for.
    #[serde(default, skip_serializing_if = "SavedUnits::is_empty")]
    pub services: SavedUnits,
    /// The databases, in the order in which they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<SavedDatabase>,
}

/// A directory above a declared path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Its path.
    pub path: DeclaredPath,
    /// Mode, owner and group; `None` where it did not exist.
    pub owner_and_mode: Option<(u32, u32, u32)>,
    /// Extended attributes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Vec<(Bytes, Bytes)>,
}

/// Writes a manifest and returns its checksum.
pub(super) fn write(header: &Header, entries: &[Entry], target: impl Write) -> io::Result<String> {
    let mut out = HashingWriter::new(target);
    let mut head = serde_json::to_vec(header)?;
    head.pop();
    out.write_all(&head)?;
    out.write_all(OPEN.as_bytes())?;
    let mut line = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        line.clear();
        if number > 0 {
            line.extend_from_slice(b",\n");
        }
        serde_json::to_writer(&mut line, entry)?;
        out.write_all(&line)?;
    }
    let (checksum, mut target) = out.finish();
    target.write_all(format!("{CLOSE}{checksum}{END}").as_bytes())?;
    target.flush()?;
    Ok(checksum)
}

impl Manifest {
    /// Reads a manifest, refusing whatever [`write`] would not have written.
    pub(super) fn parse(bytes: &[u8]) -> Result<Manifest, Damage> {
        refuse_newer(bytes)?;
        let tail = CLOSE.len() + 64 + END.len();
        let split = bytes.len().checked_sub(tail).ok_or(Damage::Truncated)?;
        let (body, tail) = bytes.split_at(split);
        let checksum = tail
            .strip_prefix(CLOSE.as_bytes())
            .and_then(|rest| rest.strip_suffix(END.as_bytes()))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .ok_or(Damage::Truncated)?;
        if sha256(body) != checksum {
            return Err(Damage::Checksum);
        }
        let line_end = body.iter().position(|&byte| byte == b'\n').ok_or(Damage::Truncated)?;
        let (first, rest) = body.split_at(line_end + 1);
        let mut head = first.strip_suffix(OPEN.as_bytes()).ok_or(Damage::Truncated)?.to_vec();
        head.push(b'}');
        let header: Header = serde_json::from_slice(&head).map_err(|source| Damage::Syntax { line: 1, source })?;
        let mut entries = Vec::new();
        for (number, line) in rest.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
            let line = line.strip_suffix(b",").unwrap_or(line);
            entries.push(serde_json::from_slice(line).map_err(|source| Damage::Syntax { line: number + 2, source })?);
        }
        let manifest = Manifest { header, entries, checksum: checksum.to_owned() };
        manifest.refuse_strays()?;
        Ok(manifest)
    }

    /// The entry of a path.
    pub fn entry(&self, path: &Path) -> Option<&Entry> {
        self.entries.binary_search_by(|entry| entry.path.as_path().cmp(path)).ok().map(|at| &self.entries[at])
    }

    fn refuse_strays(&self) -> Result<(), Damage> {
        for Parent { path, .. } in &self.header.parents {
            if !self
                .header
                .paths
                .iter()
                .any(|declared| declared.is_within(path) && declared.as_path() != path.as_path())
            {
                return Err(Damage::Stray(path.as_path().to_owned()));
            }
        }
        let mut previous: Option<&Path> = None;
        for Entry { path, .. } in &self.entries {
            let declared = self.header.paths.iter().any(|declared| path.starts_with(declared.as_path()));
            let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
            if !declared || !plain || previous.is_some_and(|previous| previous >= path.as_path()) {
                return Err(Damage::Stray(path.clone()));
            }
            previous = Some(path);
        }
        Ok(())
    }
}

/// A newer format may differ in everything but this: its first field.
fn refuse_newer(bytes: &[u8]) -> Result<(), Damage> {
    let digits = bytes.strip_prefix(b"{\"format\":").ok_or(Damage::Truncated)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).ok_or(Damage::Truncated)?;
    let format = std::str::from_utf8(&digits[..end]).ok().and_then(|text| text.parse().ok());
    match format.ok_or(Damage::Truncated)? {
        OLDEST..=FORMAT => Ok(()),
        other => Err(Damage::NewerFormat(other)),
    }
}

/// The directories above a path, outermost first, without the root.
pub(super) fn ancestors(path: &Path) -> Vec<PathBuf> {
    let mut above: Vec<PathBuf> =
        path.ancestors().skip(1).filter(|parent| parent.parent().is_some()).map(Path::to_owned).collect();
    above.reverse();
    above
}
