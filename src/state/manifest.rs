//! `manifest.json`, the truth of a slot: a header, one entry a line, and a SHA-256 over everything before it.
//!
//! The file is one valid JSON object, so people and programs can read it; its line structure lets it be written and
//! read a line at a time. Entries stand in the order of a walk: a directory before what it holds, names by their bytes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use updates_protocol::{DeclaredPath, ModuleName};

use super::bytes::Bytes;
use super::entry::Entry;
use super::error::{Damage, StateError};
use crate::database::SavedDatabase;
use crate::fs::{HashingWriter, Time};
use crate::service::SavedUnits;

/// The format that this program writes, and the newest that it reads.
pub const FORMAT: u64 = 2;

/// The oldest that it reads.
const OLDEST: u64 = 1;

const OPEN: &str = ",\"entries\":[\n";
const CLOSE: &str = "\n],\"sha256\":\"";
const END: &str = "\"}\n";
/// Of a SHA-256 in hexadecimal.
const DIGITS: usize = 64;

/// What is read at a time.
const BUFFER: usize = 256 << 10;

/// The longest header: some hundred thousand declared paths.
const MAX_HEAD: u64 = 64 << 20;

/// What a slot holds, but for its entries: those are read a line at a time, by [`super::Backup::entries`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What it is about.
    pub header: Header,
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

/// A manifest being written.
pub(super) struct Writer<W: Write> {
    out: HashingWriter<W>,
    line: Vec<u8>,
    begun: bool,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    pub fn new(header: &Header, target: W) -> io::Result<Self> {
        let mut out = HashingWriter::new(target);
        let mut head = serde_json::to_vec(header)?;
        head.pop();
        out.write_all(&head)?;
        out.write_all(OPEN.as_bytes())?;
        Ok(Self { out, line: Vec::new(), begun: false })
    }

    /// Writes the next entry in the order of the walk.
    pub fn add(&mut self, entry: &Entry) -> io::Result<()> {
        self.line.clear();
        if std::mem::replace(&mut self.begun, true) {
            self.line.extend_from_slice(b",\n");
        }
        serde_json::to_writer(&mut self.line, entry)?;
        self.out.write_all(&self.line)
    }

    /// Writes the end and returns the checksum.
    pub fn finish(self) -> io::Result<String> {
        let (checksum, mut target) = self.out.finish();
        target.write_all(format!("{CLOSE}{checksum}{END}").as_bytes())?;
        target.flush()?;
        Ok(checksum)
    }
}

/// A manifest's file, read in pieces: it may be larger than memory.
#[derive(Debug)]
pub(super) struct Source {
    file: File,
    /// Where the first entry begins.
    start: u64,
    /// Where the last one ends.
    end: u64,
}

impl Source {
    /// Reads the header and the end. Whether what lies between is what was written, [`Source::check`] says.
    pub fn open(file: File) -> Result<(Manifest, Source), Damage> {
        let length = file.metadata().map_err(Damage::Unreadable)?.len();
        let mut reader = BufReader::with_capacity(BUFFER, Section { file: &file, at: 0, end: length });
        refuse_newer(reader.fill_buf().map_err(Damage::Unreadable)?)?;
        let end = length.checked_sub((CLOSE.len() + DIGITS + END.len()) as u64).ok_or(Damage::Truncated)?;
        let mut head = Vec::new();
        (&mut reader).take(MAX_HEAD).read_until(b'\n', &mut head).map_err(Damage::Unreadable)?;
        let mut tail = [0; CLOSE.len() + DIGITS + END.len()];
        file.read_exact_at(&mut tail, end).map_err(Damage::Unreadable)?;
        let checksum = tail
            .strip_prefix(CLOSE.as_bytes())
            .and_then(|rest| rest.strip_suffix(END.as_bytes()))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .ok_or(Damage::Truncated)?
            .to_owned();
        let start = head.len() as u64;
        // An empty manifest has the end of its list right behind the beginning.
        if start > end {
            return Err(Damage::Truncated);
        }
        let source = Source { file, start, end };
        let Some(object) = head.strip_suffix(OPEN.as_bytes()) else {
            source.check(&checksum)?;
            return Err(Damage::Truncated);
        };
        match serde_json::from_slice(&[object, b"}"].concat()) {
            Ok(header) => Ok((Manifest { header, checksum }, source)),
            Err(error) => {
                source.check(&checksum)?;
                Err(Damage::Syntax { line: 1, source: error })
            }
        }
    }

    /// Reads all of it against its checksum, and counts the entries.
    pub fn check(&self, checksum: &str) -> Result<u64, Damage> {
        let mut section = Section { file: &self.file, at: 0, end: self.end };
        let (mut hash, mut buffer, mut lines) = (HashingWriter::new(io::sink()), vec![0; BUFFER], 0);
        loop {
            let length = section.read(&mut buffer).map_err(Damage::Unreadable)?;
            if length == 0 {
                break;
            }
            hash.write_all(&buffer[..length]).map_err(Damage::Unreadable)?;
            lines += buffer[..length].iter().filter(|&&byte| byte == b'\n').count() as u64;
        }
        let entries = if self.start < self.end { lines } else { 0 };
        if hash.finish().0 == checksum { Ok(entries) } else { Err(Damage::Checksum) }
    }

    /// Where each line of an entry begins.
    pub fn offsets(&self) -> io::Result<Vec<u64>> {
        let mut section = Section { file: &self.file, at: self.start, end: self.end };
        let (mut offsets, mut buffer, mut at) = (vec![self.start], vec![0; BUFFER], self.start);
        loop {
            let length = section.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            let ends = buffer[..length].iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            offsets.extend(ends.map(|(index, _)| at + index as u64 + 1));
            at += length as u64;
        }
        offsets.retain(|offset| *offset < self.end);
        Ok(offsets)
    }

    /// The entry whose line begins at `offset`.
    pub fn entry_at(&self, offset: u64) -> Result<Entry, Damage> {
        let mut line = Vec::new();
        let section = Section { file: &self.file, at: offset, end: self.end };
        BufReader::with_capacity(4096, section).read_until(b'\n', &mut line).map_err(Damage::Unreadable)?;
        parse(&line, 0)
    }

    /// Every entry, in the order of the walk.
    pub fn entries(self, header: &Header, slot: &Path) -> Entries {
        let Source { file, start, end } = self;
        Entries {
            reader: BufReader::with_capacity(BUFFER, Section { file, at: start, end }),
            line: Vec::new(),
            number: 1,
            previous: PathBuf::new(),
            declared: header.paths.clone(),
            slot: slot.to_owned(),
            ended: false,
        }
    }
}

impl Header {
    /// Refuses parents that are not above a declared path.
    pub(super) fn refuse_strays(&self) -> Result<(), Damage> {
        for Parent { path, .. } in &self.parents {
            if !self.paths.iter().any(|declared| declared.is_within(path) && declared.as_path() != path.as_path()) {
                return Err(Damage::Stray(path.as_path().to_owned()));
            }
        }
        Ok(())
    }
}

/// The entries of a slot, read as they are asked for.
#[derive(Debug)]
pub struct Entries {
    reader: BufReader<Section<File>>,
    line: Vec<u8>,
    number: usize,
    previous: PathBuf,
    declared: Vec<DeclaredPath>,
    slot: PathBuf,
    ended: bool,
}

impl Iterator for Entries {
    type Item = Result<Entry, StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let entry = self.read().transpose()?;
        self.ended = entry.is_err();
        Some(entry.map_err(|damage| StateError::Damaged { slot: self.slot.clone(), damage }))
    }
}

impl Entries {
    fn read(&mut self) -> Result<Option<Entry>, Damage> {
        self.line.clear();
        self.number += 1;
        if self.reader.read_until(b'\n', &mut self.line).map_err(Damage::Unreadable)? == 0 {
            return Ok(None);
        }
        let entry = parse(&self.line, self.number)?;
        let declared = self.declared.iter().any(|declared| entry.path.starts_with(declared.as_path()));
        let plain = entry.path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        // The order is what lets a comparison go through both sides at once.
        if !declared || !plain || self.previous >= entry.path {
            return Err(Damage::Stray(entry.path));
        }
        self.previous.clone_from(&entry.path);
        Ok(Some(entry))
    }
}

fn parse(line: &[u8], number: usize) -> Result<Entry, Damage> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b",").unwrap_or(line);
    serde_json::from_slice(line).map_err(|source| Damage::Syntax { line: number, source })
}

/// A part of a file, read without moving the file's own position.
#[derive(Debug)]
struct Section<F> {
    file: F,
    at: u64,
    end: u64,
}

impl<F: std::borrow::Borrow<File>> Read for Section<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let length = self.file.borrow().read_at(&mut buffer[..wanted], self.at)?;
        self.at += length as u64;
        Ok(length)
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
