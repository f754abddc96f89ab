//! Durable changes to the file system, with errors that name the path.

mod atomic;
mod error;

pub use atomic::{
    create_directory, exchange, remove_tree, rename_durably, rename_new, replace_file, sync_directory, sync_file_system,
};
pub use error::{IoContext, PathError};
