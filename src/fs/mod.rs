//! Durable changes to the file system, walks that no link leads astray, and errors that name the path.

mod atomic;
mod copy;
mod error;
mod names;
mod node;
mod owner;
mod remove;
mod root;
mod status;

pub use atomic::{
    create_directory, exchange, remove_tree, remove_unfinished, rename_durably, rename_new, replace_file,
    sync_directory, sync_file_system,
};
pub use copy::{Content, HashingWriter, copy, copy_checked, digest, hexadecimal, holds, read_bounded, sha256};
pub use error::{IoContext, PathError};
pub use names::Names;
pub use node::{Node, Xattrs};
pub use owner::give;
pub use remove::{remove_all, remove_all_at};
pub use root::{Cursor, Root, is_absence, list};
pub use status::{Flags, Kind, Status, Time, is_racy};
