//! Owners and modes: the targets that a module declares, put right without ever following a symbolic link.

mod apply;
mod error;
mod owner;
mod scope;
mod target;
mod walk;

pub use apply::{Planned, apply, plan};
pub use error::PermissionError;
pub use owner::{OwnerError, Owners};
pub use scope::{Closed, Scope};
pub use target::{PermissionTarget, TargetType};
