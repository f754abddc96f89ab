//! SQLite, through its backup API: consistent with writers at work, and put back below open connections.

mod beneath;
mod compare;
mod details;
mod dump;
mod place;
mod problem;
mod restore;

pub use details::Details;

pub(super) use compare::{is_as_saved, verify};
pub(super) use dump::{dump, estimate, is_unmoved, require};
pub(super) use place::own_files;
pub(super) use restore::{require_restore, restore};
