//! What a slot remembers of one database: which it was, the file that holds its dump, and what the dump itself can't say.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use updates_protocol::Database;

use super::{DatabaseError, mysql, postgresql, sqlite};
use crate::fs::{Content, HashingWriter, Node, Root, holds};

/// One database of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedDatabase {
    /// Which one, without its password.
    pub database: Database,
    /// Its dump; absent for an SQLite file that did not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dump: Option<Dump>,
}

/// A dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// The file's name in the slot's `databases`.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes, as 64 hexadecimal digits.
    pub sha256: String,
    /// What the dump itself does not say.
    pub details: Details,
}

/// What a dump itself does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Details {
    /// Of an SQLite file.
    Sqlite(Box<sqlite::Details>),
    /// Of a PostgreSQL database.
    Postgresql(Box<postgresql::Details>),
    /// Of a MySQL or MariaDB database.
    Mysql(mysql::Details),
}

impl Dump {
    /// Describes a finished dump by its size and hash.
    pub(super) fn of(written: &File, file: String, details: Details) -> std::io::Result<Self> {
        let mut hasher = HashingWriter::new(std::io::sink());
        let mut from = written;
        from.seek(SeekFrom::Start(0))?;
        let size = std::io::copy(&mut from, &mut hasher)?;
        Ok(Self { file, size, sha256: hasher.finish().0, details })
    }
}

impl SavedDatabase {
    /// Checks size and hash of the dump.
    pub(super) fn verify_content(&self, directory: &Path) -> Result<(), DatabaseError> {
        let Some(dump) = &self.dump else { return Ok(()) };
        if Path::new(&dump.file).components().ne([Component::Normal(dump.file.as_ref())]) {
            return Err(self.error(format!("its dump {:?} is no name of a file", dump.file)));
        }
        // Every byte counts, where a hole is as well as elsewhere: a copy of a slot may have other holes.
        let content = Content { size: dump.size, sha256: dump.sha256.clone(), segments: None };
        let same = open(directory, &dump.file)
            .and_then(|(file, status)| holds(&file, &status, &content))
            .map_err(|error| self.error(format!("its dump {} can't be read: {error}", dump.file)))?;
        if same { Ok(()) } else { Err(self.error(format!("its dump {} is not what was saved", dump.file))) }
    }

    pub(super) fn error(&self, problem: String) -> DatabaseError {
        DatabaseError { database: Box::new(self.database.clone()), problem }
    }
}

fn open(directory: &Path, name: &str) -> std::io::Result<(File, crate::fs::Status)> {
    let directory = Root::open(directory).map_err(std::io::Error::other)?;
    let (parent, name) = directory.parent(Path::new(name))?;
    let node = Node::open(parent, name)?;
    Ok((node.read()?, node.status()?))
}
