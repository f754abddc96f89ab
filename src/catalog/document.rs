//! JSON objects on disk: read within bounds, written as people would indent them.
//!
//! A module may have been able to write the file, so it is opened without following a link and without waiting for a
//! FIFO, and no more than the bound is read whatever its size says.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Value};
use updates_protocol::MAX_MANIFEST;

use crate::fs::{IoContext, PathError};

/// A file that can't be used as the JSON document that it should be.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It could not be read or written.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Its content is wrong.
    #[error("{}: {problem}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it; begins with the field where one is to blame.
        problem: String,
    },
}

impl DocumentError {
    pub(super) fn invalid(path: &Path, problem: impl Into<String>) -> Self {
        Self::Invalid { path: path.to_owned(), problem: problem.into() }
    }
}

/// The bytes of the file at `path`, at most `limit`; `None` when there is none.
pub(super) fn read_bounded(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, DocumentError> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(DocumentError::invalid(path, "is a symbolic link; it must be a regular file"));
        }
        Err(error) => return Err(error).at("read", path)?,
    };
    read_open(file, path, limit).map(Some)
}

fn read_open(file: File, path: &Path, limit: usize) -> Result<Vec<u8>, DocumentError> {
    let metadata = file.metadata().at("read", path)?;
    if !metadata.is_file() {
        return Err(DocumentError::invalid(path, "is not a regular file"));
    }
    let too_large = |size: u64| {
        DocumentError::invalid(path, format!("the file has {size} bytes; the largest that is read is {limit}"))
    };
    if metadata.len() > limit as u64 {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes).at("read", path)?;
    if bytes.len() > limit { Err(too_large(bytes.len() as u64)) } else { Ok(bytes) }
}

/// The object in `bytes`, which came from `path`. JSON nested deeper than 128 levels is refused.
pub(super) fn parse_object(path: &Path, bytes: &[u8]) -> Result<Map<String, Value>, DocumentError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(DocumentError::invalid(path, "the file is empty"));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(DocumentError::invalid(path, "expected an object at the top")),
        Err(error) => Err(DocumentError::invalid(path, format!("not valid JSON: {error}"))),
    }
}

/// The object in the file at `path`, which may have [`MAX_MANIFEST`] bytes; `None` when there is no file.
pub(super) fn read_object(path: &Path) -> Result<Option<Map<String, Value>>, DocumentError> {
    match read_bounded(path, MAX_MANIFEST)? {
        Some(bytes) => parse_object(path, &bytes).map(Some),
        None => Ok(None),
    }
}

/// `value` as text, indented like `model`, or by four spaces where that shows nothing.
pub(super) fn format_like(model: &str, value: &impl Serialize) -> Vec<u8> {
    let indent = model
        .lines()
        .map(|line| &line[..line.len() - line.trim_start_matches([' ', '\t']).len()])
        .find(|indent| !indent.is_empty() && indent.len() <= 8)
        .unwrap_or("    ");
    let mut text = Vec::new();
    let mut serializer =
        serde_json::Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(indent.as_bytes()));
    if let Err(error) = value.serialize(&mut serializer) {
        // Values have string keys and go to memory: neither of serde_json's causes can occur.
        unreachable!("a JSON value could not be written to memory: {error}");
    }
    text.push(b'\n');
    text
}

/// The mode of a document that takes the place of the one at `path`: readable by everybody, unless whoever wrote that one
/// had reason to keep it from others.
pub(super) fn mode_of(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).map_or(0o644, |found| 0o600 | (found.mode() & 0o644))
}

/// The known name nearest to `given`, when it is near enough to be a slip of the hand.
pub(super) fn nearest<'n>(given: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .filter(|(distance, name)| *distance <= 2.max(name.len() / 3))
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_indentation_is_that_of_the_model() {
        let value = json!({"a": {"b": [1]}});
        let text = |model: &str| String::from_utf8(format_like(model, &value)).unwrap();
        assert_eq!(text("{\n  \"x\": 1\n}"), "{\n  \"a\": {\n    \"b\": [\n      1\n    ]\n  }\n}\n");
        assert!(text("{\n\t\"x\": 1\n}").contains("\n\t\"a\""));
        assert!(text("{}").contains("\n    \"a\""));
    }

    #[test]
    fn what_is_no_regular_file_or_too_large_is_refused_without_being_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let problem = || read_bounded(&path, 10).unwrap_err().to_string();
        assert!(read_bounded(&path, 10).unwrap().is_none());
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(problem().ends_with("is a symbolic link; it must be a regular file"));
        std::fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(problem().ends_with("is not a regular file"));
        std::fs::remove_file(&path).unwrap();
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(problem().contains("has 1099511627776 bytes; the largest that is read is 10"));
    }
}
