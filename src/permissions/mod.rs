//! Owners and modes: the targets that a module declares, put right without ever following a symbolic link.

mod apply;
mod owner;
mod target;

pub use apply::{PermissionError, Planned, apply, plan};
pub use owner::{OwnerError, Owners};
pub use target::{PermissionTarget, TargetType};
