//! One target, as the SDK's `PermissionTarget` sends it.

use serde::{Deserialize, Serialize};
use updates_protocol::DeclaredPath;

/// What a path should belong to, and with which mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionTarget {
    /// Where.
    pub path: DeclaredPath,
    /// User name or number.
    pub owner: String,
    /// Group name or number.
    pub group: String,
    /// Permission bits, 0 to 0o7777; the same for everything below a recursive target, as the original did.
    pub mode: u32,
    /// What the path must be.
    #[serde(default)]
    pub target_type: TargetType,
    /// Whether everything below a directory is meant too.
    #[serde(default)]
    pub recursive: bool,
}

/// What a target must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetType {
    /// Whatever is there.
    #[default]
    Auto,
    /// A regular file.
    File,
    /// A directory.
    Directory,
}
