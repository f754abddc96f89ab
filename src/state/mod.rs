//! Slots: what a module may change is saved before it runs, and put back exactly when it fails.
//!
//! A [`Store`] holds one slot a name. [`Store::begin`] and [`PendingBackup::seal`] make one, [`Store::load`] reads it,
//! [`Backup::plan`] says what differs now, and [`RestorePlan::apply`] puts it back. The manifest inside of a slot is
//! the truth about it; nothing is written to the live machine before the whole slot has been verified.

mod backup;
mod beside;
mod bytes;
mod entry;
mod error;
mod former;
mod gained;
mod index;
mod live;
mod look;
mod manifest;
mod note;
mod pending;
mod place;
mod plan;
mod pool;
mod progress;
mod restore;
mod save;
mod slot;
mod store;
mod survey;
mod verify;
mod walk;

pub use backup::{Backup, ModuleBackupInfo};
pub use bytes::Bytes;
pub use entry::{Attributes, Entry, Identity, SavedNode};
pub use error::{Damage, RestoreError, RestoreProblem, StateError};
pub use gained::{Gained, take_privileges};
pub use live::Live;
pub use manifest::{Entries, FORMAT, Header, Manifest, Parent};
pub use note::Note;
pub use pending::{PendingBackup, Sealed};
pub use plan::{Change, Difference, RestorePlan};
pub use progress::{Progress, Step};
pub use restore::Restored;
pub use store::Store;
pub use verify::Sampled;

/// How many failures of one restore are listed; more are counted.
pub const MAX_FAILURES: usize = 100;
