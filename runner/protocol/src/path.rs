//! Paths that a module declares: absolute, normalised, without `..`, and of a bounded length.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// An absolute path on the machine that modules see, normalised: no `..`, no `.`, no doubled or trailing slash.
///
/// Whether the text ended in a slash is remembered, because that is how an author says "a folder" of something that is
/// not there yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeclaredPath {
    path: PathBuf,
    folder: bool,
}

/// Why a text is no [`DeclaredPath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathProblem {
    /// It does not begin with a slash.
    #[error("must be absolute, beginning with '/'")]
    Relative,
    /// It holds a `..` component.
    #[error("must not contain '..'")]
    Parent,
    /// It holds a NUL byte.
    #[error("must not contain a NUL byte")]
    Nul,
    /// It is longer than 4,096 bytes, or a component longer than 255.
    #[error("is longer than the 4096 bytes, or 255 a component, that Linux allows")]
    TooLong,
}

impl DeclaredPath {
    /// Checks and normalises `text`.
    pub fn new(text: &str) -> Result<Self, PathProblem> {
        if text.contains('\0') {
            return Err(PathProblem::Nul);
        }
        if !text.starts_with('/') {
            return Err(PathProblem::Relative);
        }
        let mut path = PathBuf::from("/");
        for component in text.split('/') {
            match component {
                "" | "." => {}
                ".." => return Err(PathProblem::Parent),
                name if name.len() > 255 => return Err(PathProblem::TooLong),
                name => path.push(name),
            }
        }
        if path.as_os_str().len() > 4096 {
            return Err(PathProblem::TooLong);
        }
        Ok(Self { folder: text.ends_with('/') || path == Path::new("/"), path })
    }

    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.path
    }

    /// The path without its leading slash, for joining below another root.
    pub fn relative(&self) -> &Path {
        self.path.strip_prefix("/").unwrap_or(&self.path)
    }

    /// Whether the author wrote it with a trailing slash.
    pub fn is_folder(&self) -> bool {
        self.folder
    }

    /// Whether this is `other` or lies below it.
    pub fn is_within(&self, other: &DeclaredPath) -> bool {
        self.path.starts_with(&other.path)
    }
}

impl TryFrom<String> for DeclaredPath {
    type Error = PathProblem;

    fn try_from(text: String) -> Result<Self, PathProblem> {
        Self::new(&text)
    }
}

impl From<DeclaredPath> for String {
    fn from(path: DeclaredPath) -> String {
        path.to_string()
    }
}

impl fmt::Display for DeclaredPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.folder && self.path != Path::new("/") { "/" } else { "" };
        write!(f, "{}{slash}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // faults: 33
    #[test]
    fn doubled_and_trailing_slashes_are_normalised() {
        let path = DeclaredPath::new("//etc/./nginx//conf.d/").unwrap();
        assert_eq!(path.as_path(), Path::new("/etc/nginx/conf.d"));
        assert!(path.is_folder());
        assert_eq!(path.to_string(), "/etc/nginx/conf.d/");
        assert_eq!(path.relative(), Path::new("etc/nginx/conf.d"));
    }

    // faults: 33
    #[test]
    fn paths_that_could_escape_are_refused() {
        assert_eq!(DeclaredPath::new("etc"), Err(PathProblem::Relative));
        assert_eq!(DeclaredPath::new(""), Err(PathProblem::Relative));
        assert_eq!(DeclaredPath::new("/etc/../root"), Err(PathProblem::Parent));
        assert_eq!(DeclaredPath::new("/a\0b"), Err(PathProblem::Nul));
        assert_eq!(DeclaredPath::new(&format!("/{}", "x".repeat(256))), Err(PathProblem::TooLong));
    }

    #[test]
    fn within_compares_whole_components() {
        let etc = DeclaredPath::new("/etc").unwrap();
        assert!(DeclaredPath::new("/etc/x").unwrap().is_within(&etc));
        assert!(!DeclaredPath::new("/etcetera").unwrap().is_within(&etc));
    }
}
