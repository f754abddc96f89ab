//! Durable changes to the file system, with errors that name the path.

mod atomic;
mod error;

pub use atomic::{exchange, remove_tree, rename_durably, replace_file, sync_directory};
pub use error::{IoContext, PathError};
