//! The names in a directory, packed: a directory of a million files takes some twenty megabytes, not a hundred.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::RawDir;

/// Names in the order of their bytes, without `.` and `..`.
#[derive(Debug, Default)]
pub struct Names {
    bytes: Vec<u8>,
    /// Where each begins, and in the low 8 bits its length: no name is longer than `NAME_MAX`, 255.
    places: Vec<u64>,
}

impl Names {
    /// Reads a directory that is open for reading, from where its position is.
    pub fn list(directory: impl AsFd) -> io::Result<Names> {
        let mut names = Names::default();
        let mut buffer = Vec::with_capacity(32 * 1024);
        let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let length = u8::try_from(name.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidFilename))?;
            names.places.push((names.bytes.len() as u64) << 8 | u64::from(length));
            names.bytes.extend_from_slice(name);
        }
        let bytes = &names.bytes;
        names.places.sort_unstable_by(|a, b| slice(bytes, *a).cmp(slice(bytes, *b)));
        Ok(names)
    }

    /// The name at a position.
    pub fn get(&self, at: usize) -> Option<&OsStr> {
        self.places.get(at).map(|place| OsStr::from_bytes(slice(&self.bytes, *place)))
    }

    /// How many names come before `name`.
    pub fn position(&self, name: &OsStr) -> usize {
        self.places.partition_point(|place| slice(&self.bytes, *place) < name.as_bytes())
    }

    /// Whether `name` is among them.
    pub fn contains(&self, name: &OsStr) -> bool {
        self.get(self.position(name)) == Some(name)
    }
}

fn slice(bytes: &[u8], place: u64) -> &[u8] {
    // A place is only made for bytes that are there; were it not, the name would be empty and not be found.
    let start = usize::try_from(place >> 8).unwrap_or(usize::MAX);
    start.checked_add((place & 0xff) as usize).and_then(|end| bytes.get(start..end)).unwrap_or_default()
}
