//! Single files of a commit that belong to no module: the root `index.json`, and what it names.

use git2::ObjectType;

use super::revision::damaged;
use super::{Revision, SourceError, mirror};

/// What a file of a commit turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceFile {
    /// Its content.
    Content(Vec<u8>),
    /// Nothing is there.
    Absent,
    /// A folder, a link or a submodule.
    NoFile,
    /// It has this many bytes, more than were asked for.
    TooLarge(u64),
}

impl Revision {
    /// The regular file at `path`, relative to the top of the commit, of at most `limit` bytes. Its size is asked for
    /// before it is read.
    pub fn file(&self, path: &str, limit: u64) -> Result<SourceFile, SourceError> {
        let read = || -> Result<SourceFile, git2::Error> {
            let repository = mirror::open(self.mirror())?;
            let tree = repository.find_commit(self.commit())?.tree()?;
            let entry = match tree.get_path(std::path::Path::new(path)) {
                Ok(entry) => entry,
                Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(SourceFile::Absent),
                Err(error) => return Err(error),
            };
            if entry.kind() != Some(ObjectType::Blob) || entry.filemode_raw() == 0o120_000 {
                return Ok(SourceFile::NoFile);
            }
            let database = repository.odb()?;
            let (size, _) = database.read_header(entry.id())?;
            if size as u64 > limit {
                return Ok(SourceFile::TooLarge(size as u64));
            }
            Ok(SourceFile::Content(database.read(entry.id())?.data().to_vec()))
        };
        read().map_err(|error| damaged(self.mirror(), &error))
    }
}
