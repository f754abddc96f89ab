//! Content: copied and hashed in one reading, with its holes kept.
//!
//! A file's digest is the SHA-256 of its bytes, as sha256sum(1) prints it, as long as it has no holes. A file with
//! holes is described by its data segments, and the digest is over those alone: a terabyte of nothing costs nothing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use openssl::sha::{self, Sha256};
use rustix::fs::{SeekFrom, ioctl_ficlone, seek};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::Status;

const CHUNK: usize = 128 * 1024;

/// What a regular file holds, as far as it takes to recognise it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Bytes, holes included.
    pub size: u64,
    /// SHA-256 of the data, as 64 hexadecimal digits.
    pub sha256: String,
    /// `[offset, length]` of each data segment, where there are holes between or around them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<Vec<(u64, u64)>>,
}

/// Copies all of `source` to the empty file `target` and says what it was. Shares the blocks where the file system can.
/// Asked now and then, `give_up` ends it with an error.
pub fn copy(source: &File, status: &Status, target: &File, give_up: impl Fn() -> bool) -> io::Result<Content> {
    let cloned = status.size >= CHUNK as u64 && ioctl_ficlone(target, source).is_ok();
    let content = read(source, status.size, segments(source, status)?, |offset, bytes| {
        if give_up() {
            return Err(io::Error::other("it is no longer wanted"));
        }
        if cloned { Ok(()) } else { target.write_all_at(bytes, offset) }
    })?;
    if !cloned && content.segments.is_some() {
        target.set_len(content.size)?;
    }
    Ok(content)
}

/// Reads what `file` holds now.
pub fn digest(file: &File, status: &Status) -> io::Result<Content> {
    read(file, status.size, segments(file, status)?, |_, _| Ok(()))
}

/// Whether `file` holds exactly `content`: the same data where data was, and nothing but zeros where holes were.
pub fn holds(file: &File, status: &Status, content: &Content) -> io::Result<bool> {
    if status.size != content.size {
        return Ok(false);
    }
    let found = read(file, content.size, content.segments.clone(), |_, _| Ok(()))?;
    if found.sha256 != content.sha256 {
        return Ok(false);
    }
    match &content.segments {
        Some(expected) => zeros_outside(file, status, expected),
        None => Ok(true),
    }
}

/// Writes `content`, which `source` holds, to the empty file `target`; an error if it turns out to be something else.
pub fn copy_checked(source: &File, content: &Content, target: &File) -> io::Result<()> {
    let cloned = content.size >= CHUNK as u64 && ioctl_ficlone(target, source).is_ok();
    let found = read(source, content.size, content.segments.clone(), |offset, bytes| {
        if cloned { Ok(()) } else { target.write_all_at(bytes, offset) }
    })?;
    if found.sha256 != content.sha256 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the saved content is damaged"));
    }
    if !cloned && content.segments.is_some() {
        target.set_len(content.size)?;
    }
    Ok(())
}

/// SHA-256 of some bytes, as hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&sha::sha256(bytes))
}

/// Two lower-case digits a byte.
pub fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|&byte| [byte >> 4, byte & 15]).map(|digit| DIGITS[usize::from(digit)] as char).collect()
}

/// The data segments of a file that has holes; `None` for one without.
fn segments(file: &File, status: &Status) -> io::Result<Option<Vec<(u64, u64)>>> {
    if status.allocated >= status.size {
        return Ok(None);
    }
    let mut found = Vec::new();
    let mut at = 0;
    while at < status.size {
        let start = match seek(file, SeekFrom::Data(at)) {
            Err(Errno::NXIO) => break,
            // The file system can't tell; then it has no holes to keep.
            Err(Errno::INVAL | Errno::NOTSUP) => return Ok(None),
            other => other?,
        };
        let end = seek(file, SeekFrom::Hole(start))?.min(status.size);
        if end <= start {
            break;
        }
        found.push((start, end - start));
        at = end;
    }
    Ok(if found == [(0, status.size)] { None } else { Some(found) })
}

fn read(
    file: &File,
    size: u64,
    segments: Option<Vec<(u64, u64)>>,
    mut take: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<Content> {
    let mut hasher = Sha256::new();
    let whole = [(0, size)];
    let mut buffer = vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK)).max(1)];
    for &(start, length) in segments.as_deref().unwrap_or(&whole) {
        let end = start.saturating_add(length);
        let mut at = start;
        while at < end {
            let wanted = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            let length = match file.read_at(&mut buffer[..wanted], at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            hasher.update(&buffer[..length]);
            take(at, &buffer[..length])?;
            at += length as u64;
        }
    }
    Ok(Content { size, sha256: hexadecimal(&hasher.finish()), segments })
}

fn zeros_outside(file: &File, status: &Status, expected: &[(u64, u64)]) -> io::Result<bool> {
    let data = segments(file, status)?.unwrap_or_else(|| vec![(0, status.size)]);
    let mut buffer = vec![0; CHUNK];
    for (start, length) in data {
        let (mut at, end) = (start, start + length);
        while at < end {
            // Segments are in order, and there may be very many of them.
            let after = expected.partition_point(|(from, _)| *from <= at);
            if let Some(&(from, length)) = after.checked_sub(1).and_then(|before| expected.get(before))
                && at < from + length
            {
                at = from + length;
                continue;
            }
            let next = expected.get(after).map_or(end, |(from, _)| (*from).min(end));
            let wanted = CHUNK.min(usize::try_from(next - at).unwrap_or(CHUNK));
            let length = file.read_at(&mut buffer[..wanted], at)?;
            if length == 0 || buffer[..length].iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            at += length as u64;
        }
    }
    Ok(true)
}

/// A reader's bytes that are hashed while they are written on.
pub struct HashingWriter<W> {
    inner: W,
    hasher: Sha256,
}

impl<W: Write> HashingWriter<W> {
    /// Begins with nothing.
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new() }
    }

    /// The digest of all that was written, and the writer.
    pub fn finish(self) -> (String, W) {
        (hexadecimal(&self.hasher.finish()), self.inner)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads at most `limit` bytes; more is an error.
pub fn read_bounded(file: &File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than it may be"));
    }
    Ok(bytes)
}
