//! Whether everything that a revision's modules are made of is in the mirror and undamaged.
//!
//! libgit2 checks each object's hash when it is read; so reading each one is the check.

use std::collections::HashSet;

use git2::{ErrorClass, ErrorCode, ObjectType, Oid, Repository};

use super::export::{MAX_FOLDER, MAX_TOTAL};

/// Reads the commit and every object below its `modules/`, each once and one at a time.
pub(super) fn verify(repository: &Repository, commit: Oid) -> Result<(), git2::Error> {
    let database = repository.odb()?;
    let tree = repository.find_commit(commit)?.tree()?;
    let mut seen = HashSet::new();
    let mut folders: Vec<Oid> = Vec::new();
    if let Some(modules) = tree.get_name_bytes(b"modules").filter(|entry| entry.kind() == Some(ObjectType::Tree)) {
        folders.push(modules.id());
    }
    while let Some(folder) = folders.pop() {
        for entry in repository.find_tree(folder)?.iter() {
            let kind = entry.kind();
            if !matches!(kind, Some(ObjectType::Tree | ObjectType::Blob)) || !seen.insert(entry.id()) {
                continue;
            }
            let (size, _) = database.read_header(entry.id())?;
            // What is too large for a module is never read; a module with it in it is refused when it is exported.
            match kind {
                Some(ObjectType::Tree) if size <= MAX_FOLDER => folders.push(entry.id()),
                Some(ObjectType::Blob) if size as u64 <= MAX_TOTAL => drop(database.read(entry.id())?),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Whether an error speaks of the mirror's own objects and references rather than of the network.
pub(super) fn speaks_of_damage(error: &git2::Error) -> bool {
    matches!(
        error.class(),
        ErrorClass::Odb
            | ErrorClass::Indexer
            | ErrorClass::Zlib
            | ErrorClass::Object
            | ErrorClass::Tree
            | ErrorClass::Sha1
            | ErrorClass::Reference
            | ErrorClass::Config
    ) || error.code() == ErrorCode::HashsumMismatch
}
