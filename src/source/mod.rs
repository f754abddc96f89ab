//! The source: a git repository of modules, mirrored without a work tree and read from the object store.
//!
//! A [`Mirror`] is fetched into; a [`Revision`] and a [`SourceModule`] are plain values that may cross threads. Nothing
//! of the repository is executed: no hook, filter or credential program. Tags are mirrored beside the branch; reading
//! versions out of them belongs in a file of its own here.

mod address;
mod error;
mod export;
mod fetch;
mod files;
mod heads;
mod mirror;
mod options;
mod revision;
mod trust;
mod verify;

pub use address::{AddressError, SourceConfig, SourceUrl};
pub use error::{FetchError, SourceError};
pub use export::{ExportError, MAX_FILES, MAX_TOTAL};
pub use fetch::{Fetched, MAX_TRANSFER, Transfer};
pub use files::SourceFile;
pub use mirror::Mirror;
pub use revision::{RejectedFolder, Revision, SourceModule};
pub use trust::{Distrust, Trust};
