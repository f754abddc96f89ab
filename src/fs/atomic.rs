//! Nothing is visible until it is complete: temporary name beside the target, fsync, rename, fsync the directory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{IoContext, PathError, is_absence};

/// How a file is called before it is whole; none that is kept is.
const UNFINISHED: &str = ".updates-";

/// Puts a file with `content` and `mode` at `path`, whole or not at all, and durable when this returns.
///
/// What was there before is replaced; a symbolic link is replaced itself, not what it points to.
pub fn replace_file(path: &Path, content: &[u8], mode: u32) -> Result<(), PathError> {
    let directory = parent(path);
    let mut file = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(directory)
        .at("create a file in", directory)?;
    file.write_all(content).at("write", file.path())?;
    // The mode given at creation passed through the umask.
    file.as_file().set_permissions(fs::Permissions::from_mode(mode)).at("set the mode of", path)?;
    file.as_file().sync_all().at("write", path)?;
    file.persist(path).map_err(|error| error.error).at("replace", path)?;
    sync_directory(directory)
}

/// Removes what an interrupted [`replace_file`] left in a directory; nothing where there is none. Nobody may be writing there.
pub fn remove_unfinished(directory: &Path) -> Result<(), PathError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if is_absence(&error) => return Ok(()),
        other => other.at("read", directory)?,
    };
    for entry in entries {
        let entry = entry.at("read", directory)?;
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            remove_tree(&entry.path())?;
        }
    }
    Ok(())
}

/// Makes the entries of a directory durable.
pub fn sync_directory(path: &Path) -> Result<(), PathError> {
    File::open(path).and_then(|directory| directory.sync_all()).at("sync", path)
}

/// Renames `from` to `to` and makes both directories durable.
pub fn rename_durably(from: &Path, to: &Path) -> Result<(), PathError> {
    fs::rename(from, to).at("rename to", to)?;
    sync_directory(parent(to))?;
    if parent(from) == parent(to) { Ok(()) } else { sync_directory(parent(from)) }
}

/// Swaps two existing paths of one file system in a single step, and makes it durable.
///
/// The error has kind `Unsupported` or `InvalidInput` where the file system knows no `RENAME_EXCHANGE`; see renameat2(2).
pub fn exchange(left: &Path, right: &Path) -> Result<(), PathError> {
    renameat_with(CWD, left, CWD, right, RenameFlags::EXCHANGE).at("exchange", left)?;
    sync_directory(parent(left))?;
    if parent(left) == parent(right) { Ok(()) } else { sync_directory(parent(right)) }
}

/// Renames `from` to `to` where nothing may be yet, in a single step, and makes it durable.
///
/// The error has kind `AlreadyExists` when something is there.
pub fn rename_new(from: &Path, to: &Path) -> Result<(), PathError> {
    renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).at("rename to", to)?;
    sync_directory(parent(to))?;
    if parent(from) == parent(to) { Ok(()) } else { sync_directory(parent(from)) }
}

/// Creates a directory and those above it that are missing, each with `mode`, durably. One that exists is left as it is.
pub fn create_directory(path: &Path, mode: u32) -> Result<(), PathError> {
    if path.is_dir() {
        return Ok(());
    }
    create_directory(parent(path), mode)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        other => other.at("create", path)?,
    }
    // The mode given at creation would pass through the umask.
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("set the mode of", path)?;
    sync_directory(parent(path))
}

/// Makes everything that was written to the file system of `path` durable; syncfs(2).
pub fn sync_file_system(path: &Path) -> Result<(), PathError> {
    let directory = File::open(path).at("open", path)?;
    rustix::fs::syncfs(directory).at("sync the file system of", path)
}

/// Removes a file, or a directory with everything below it, without following links. Nothing there is no error.
pub fn remove_tree(path: &Path) -> Result<(), PathError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.at("remove", path),
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_has_its_content_and_mode_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        replace_file(&path, b"one", 0o600).unwrap();
        replace_file(&path, b"two", 0o644).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_exchange_swaps_two_folders() {
        let folder = tempfile::tempdir().unwrap();
        let (left, right) = (folder.path().join("left"), folder.path().join("right"));
        fs::create_dir(&left).unwrap();
        fs::create_dir(&right).unwrap();
        fs::write(left.join("l"), "").unwrap();
        exchange(&left, &right).unwrap();
        assert!(right.join("l").exists() && !left.join("l").exists());
    }

    #[test]
    fn a_rename_to_something_new_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir(&from).unwrap();
        fs::create_dir(&to).unwrap();
        assert_eq!(rename_new(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::remove_dir(&to).unwrap();
        rename_new(&from, &to).unwrap();
        assert!(to.is_dir() && !from.exists());
    }

    #[test]
    fn created_directories_have_the_mode_asked_for_whatever_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c");
        create_directory(&path, 0o777).unwrap();
        create_directory(&path, 0o700).unwrap();
        assert_eq!(fs::metadata(folder.path().join("a")).unwrap().permissions().mode() & 0o7777, 0o777);
        sync_file_system(&path).unwrap();
    }

    #[test]
    fn an_error_names_the_path_and_what_was_tried() {
        let error = replace_file(Path::new("/nonexistent/x"), b"", 0o600).unwrap_err();
        assert!(error.to_string().starts_with("cannot create a file in /nonexistent"), "{error}");
    }
}
