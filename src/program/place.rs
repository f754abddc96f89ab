//! Where versions of the program lie, which of them `current` names, and whether that one may be executed.
//!
//! `current` is a symbolic link to `versions/VERSION`, replaced in one rename. What it names is executed by root, so that
//! nobody else may be able to write it, or any folder on the way to it.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use updates_protocol::SchemaVersion;

use crate::config::Layout;
use crate::fs::{IoContext, PathError, create_directory, remove_tree, sync_directory};

/// More files than any version has; a tree that is larger was not made by an installation.
const MAX_FILES: usize = 20_000;
/// The file of a version's folder that names the artifact it came from.
const ARTIFACT: &str = ".artifact";

/// The folders of versions, below one root.
#[derive(Debug, Clone)]
pub struct Place {
    root: PathBuf,
    versions: PathBuf,
    current: PathBuf,
}

/// Why a version is not executed.
#[derive(Debug, thiserror::Error)]
pub enum Mistrust {
    /// Somebody else could have put it there.
    #[error("{} {problem}; `chown root` and `chmod go-w` make it good", path.display())]
    Open {
        /// What could be changed.
        path: PathBuf,
        /// By whom.
        problem: String,
    },
    /// It is not what a version is.
    #[error("{} {problem}", path.display())]
    Odd {
        /// What is odd.
        path: PathBuf,
        /// In which way.
        problem: &'static str,
    },
    /// It can't be looked at.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Place {
    /// The places below the layout's root.
    pub fn new(layout: &Layout) -> Self {
        Self { root: layout.root().to_owned(), versions: layout.versions(), current: layout.current_version() }
    }

    /// The folder of all versions.
    pub fn versions(&self) -> &Path {
        &self.versions
    }

    /// The folder of one version.
    pub fn folder(&self, version: &SchemaVersion) -> PathBuf {
        // Digits, letters, `.`, `-` and `+`, the first a digit: always one component.
        self.versions.join(version.to_string())
    }

    /// The executable of one version.
    pub fn program(&self, version: &SchemaVersion) -> PathBuf {
        self.folder(version).join("bin/updates")
    }

    /// The version that `current` names. `None` without a link; the text of one that names no version is the error's.
    pub fn current(&self) -> Result<Option<SchemaVersion>, Mistrust> {
        let target = match fs::read_link(&self.current) {
            Ok(target) => target,
            Err(error) if crate::fs::is_absence(&error) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(Mistrust::Odd { path: self.current.clone(), problem: "is no symbolic link" });
            }
            Err(source) => return Err(PathError { action: "read", path: self.current.clone(), source }.into()),
        };
        let version = target.strip_prefix("versions").ok().and_then(Path::to_str).and_then(|name| name.parse().ok());
        match version {
            Some(version) => Ok(Some(version)),
            None => Err(Mistrust::Odd { path: self.current.clone(), problem: "does not name a folder of versions/" }),
        }
    }

    /// Whether a version, and every folder on the way to it, belongs to root or to this user and can be written by nobody
    /// else.
    pub fn examine(&self, version: &SchemaVersion) -> Result<(), Mistrust> {
        self.examine_way()?;
        let folder = self.folder(version);
        let mut seen = 0;
        let mut folders = vec![folder.clone()];
        private(&folder, false)?;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).at("read", &folder)? {
                let path = entry.at("read", &folder)?.path();
                let found = private(&path, true)?;
                seen += 1;
                if seen > MAX_FILES {
                    return Err(Mistrust::Odd { path: folder, problem: "holds more files than a version has" });
                }
                if found.is_dir() {
                    folders.push(path);
                }
            }
        }
        let program = self.program(version);
        match program.symlink_metadata().at("look at", &program)? {
            found if found.is_file() && found.mode() & 0o111 != 0 => Ok(()),
            _ => Err(Mistrust::Odd { path: program, problem: "is no executable file" }),
        }
    }

    /// The same for the folders on the way alone, as far as they exist.
    pub fn examine_way(&self) -> Result<(), Mistrust> {
        for folder in self.versions.ancestors() {
            match private(folder, false) {
                Ok(_) => {}
                Err(Mistrust::Path(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes the folder of versions.
    pub fn prepare(&self) -> Result<(), PathError> {
        create_directory(&self.versions, 0o755)
    }

    /// Lets `current` name a version, or no version, in one step, durable when this returns.
    pub fn point(&self, version: Option<&SchemaVersion>) -> Result<(), PathError> {
        let library = self.current.parent().unwrap_or(&self.root);
        let Some(version) = version else {
            remove_tree(&self.current)?;
            return if library.is_dir() { sync_directory(library) } else { Ok(()) };
        };
        let new = self.current.with_file_name("current.new");
        remove_tree(&new)?;
        let target = Path::new("versions").join(version.to_string());
        std::os::unix::fs::symlink(target, &new).at("create", &new)?;
        crate::fs::rename_durably(&new, &self.current)
    }

    /// The versions that have a folder, in their order.
    pub fn list(&self) -> Result<Vec<SchemaVersion>, PathError> {
        let entries = match fs::read_dir(&self.versions) {
            Err(error) if crate::fs::is_absence(&error) => return Ok(Vec::new()),
            other => other.at("read", &self.versions)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.at("read", &self.versions)?.file_name();
            found.extend(name.to_str().and_then(|name| name.parse::<SchemaVersion>().ok()));
        }
        found.sort();
        Ok(found)
    }

    /// Removes every version that is not among `kept`, and what a killed installation left. `current` is always kept.
    pub fn sweep(&self, kept: &[SchemaVersion]) -> Result<(), PathError> {
        let Ok(current) = self.current() else { return Ok(()) };
        let entries = match fs::read_dir(&self.versions) {
            Err(error) if crate::fs::is_absence(&error) => return Ok(()),
            other => other.at("read", &self.versions)?,
        };
        for entry in entries {
            let entry = entry.at("read", &self.versions)?;
            let version = entry.file_name().to_str().and_then(|name| name.parse::<SchemaVersion>().ok());
            // Names are compared as they are written: 1.0 and 1.0.0 are two folders.
            let same = |other: &SchemaVersion| Some(other.to_string()) == version.as_ref().map(ToString::to_string);
            if !kept.iter().chain(&current).any(same) {
                remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Notes in a version's folder, before it gets its name, which artifact it was made from.
    pub fn mark(folder: &Path, sha256: &str) -> Result<(), PathError> {
        crate::fs::replace_file(&folder.join(ARTIFACT), format!("{sha256}\n").as_bytes(), 0o644)
    }

    /// The SHA-256 of the artifact that a version was made from; empty where that is not known.
    pub fn artifact(&self, version: &SchemaVersion) -> String {
        let text = fs::read_to_string(self.folder(version).join(ARTIFACT)).unwrap_or_default();
        text.trim().chars().take(64).filter(char::is_ascii_hexdigit).collect()
    }
}

/// Whether nobody but root and this user may write `path`. A folder that is sticky and root's lets nobody remove what is
/// not his, and is good enough on the way; a link has no mode of its own.
fn private(path: &Path, within: bool) -> Result<Metadata, Mistrust> {
    let found = path.symlink_metadata().at("look at", path)?;
    let open = |problem: String| Err(Mistrust::Open { path: path.to_owned(), problem });
    let caller = rustix::process::geteuid().as_raw();
    if found.uid() != 0 && found.uid() != caller {
        return open(format!("belongs to user {}", found.uid()));
    }
    if found.is_symlink() {
        // Its target is looked at where it stays inside, which unpacking saw to.
        return Ok(found);
    }
    let sticky = !within && found.is_dir() && found.uid() == 0 && found.mode() & 0o1000 != 0;
    let by_group = found.mode() & 0o020 != 0 && found.gid() != 0;
    if !sticky && (found.mode() & 0o002 != 0 || by_group) {
        let who = if found.mode() & 0o002 != 0 { "everybody".to_owned() } else { format!("group {}", found.gid()) };
        return open(format!("can be written by {who}"));
    }
    Ok(found)
}
