//! Why targets are refused or could not be put right.

use std::path::PathBuf;

use super::OwnerError;
use crate::fs::PathError;

/// Why targets could not be put right.
#[derive(Debug, thiserror::Error)]
pub enum PermissionError {
    /// A user or group is not known.
    #[error("{path}: {source}", path = path.display())]
    Owner {
        /// Whose owner.
        path: PathBuf,
        /// Which name.
        source: OwnerError,
    },
    /// A mode outside 0 to 0o7777.
    #[error("{}: mode {mode:#o} is outside 0 to 0o7777", path.display())]
    Mode {
        /// Whose mode.
        path: PathBuf,
        /// As given.
        mode: u32,
    },
    /// A mode that lets whoever runs a file become somebody else.
    #[error("{}: mode {mode:#o} has setuid or setgid bits, which are never set on request; leave 0o6000 out", path.display())]
    Privileged {
        /// Whose mode.
        path: PathBuf,
        /// As given.
        mode: u32,
    },
    /// The sticky bit on what is not one directory alone.
    #[error("{}: mode {mode:#o} has the sticky bit, which is for a single directory; leave 0o1000 or recursive out", path.display())]
    Sticky {
        /// Whose mode.
        path: PathBuf,
        /// As given.
        mode: u32,
    },
    /// The path is not of the declared type.
    #[error("{} is not a {expected}", path.display())]
    Type {
        /// Where.
        path: PathBuf,
        /// `file` or `directory`.
        expected: &'static str,
    },
    /// A block or character device.
    #[error("{} is a device, whose owner and mode are not set on request", .0.display())]
    Device(PathBuf),
    /// The path lies outside of what is declared.
    #[error("{} is not within a declared path", .0.display())]
    Undeclared(PathBuf),
    /// The path is declared, and yet not to be written.
    #[error("{} is read-only or hidden for this module, by its sandbox settings", .0.display())]
    Closed(PathBuf),
    /// A file that has another name somewhere else.
    #[error("{} has further names (hard links) outside of the targets, which would change as well; make it a copy", .0.display())]
    Shared(PathBuf),
    /// Too many files below a recursive target.
    #[error("{} holds more than {most} files and folders; name smaller targets", path.display())]
    TooMany {
        /// The target.
        path: PathBuf,
        /// How many are looked at.
        most: u64,
    },
    /// Directories inside of each other without end.
    #[error("{} lies more than {deepest} folders below its target", path.display())]
    TooDeep {
        /// Where the walk ended.
        path: PathBuf,
        /// How far it goes.
        deepest: usize,
    },
    /// The time is over, or the run was interrupted.
    #[error("there was no time left at {}; what was changed before it stays until the module's end", .0.display())]
    OutOfTime(PathBuf),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] PathError),
}

impl PermissionError {
    /// Whether the target may not be asked for at all; else it was tried and went wrong.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, PermissionError::Io(_) | PermissionError::OutOfTime(_))
    }
}
