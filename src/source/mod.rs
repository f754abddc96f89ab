//! The source: a git repository of modules, mirrored without a work tree and read from the object store.
//!
//! A [`Mirror`] is fetched into; a [`Revision`] and a [`SourceModule`] are plain values that may cross threads. Nothing
//! of the repository is executed: no hook or filter. Nothing is taken that does not continue what was taken before, and
//! nothing that is not signed where the settings ask for it. Tags are mirrored beside the branch; a [`VersionTag`] is a
//! version of a module that one of them names.

mod address;
mod call;
mod credentials;
mod error;
mod export;
mod fetch;
mod files;
mod heads;
mod known_hosts;
mod memory;
mod mirror;
mod options;
mod probe;
mod revision;
mod tags;
mod talk;
mod trust;
mod verify;

pub use address::{Access, AddressError, SourceConfig, SourceUrl};
pub use error::{FetchError, SourceError};
pub use export::{ExportError, MAX_FILES, MAX_TOTAL};
pub use fetch::{Fetched, Transfer};
pub use files::SourceFile;
pub use mirror::Mirror;
pub use probe::probe;
pub use revision::{RejectedFolder, Revision, SourceModule};
pub use tags::{RejectedTag, TagName, VersionTag, VersionTags};
pub use talk::MAX_TRANSFER;
pub use trust::{Cover, Distrust, RuleError, Trust};
