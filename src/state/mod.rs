//! Slots: what a module may change is saved before it runs, and put back exactly when it fails.
//!
//! A [`Store`] holds one slot a name. [`Store::begin`] and [`PendingBackup::seal`] make one, [`Store::load`] reads it,
//! [`Backup::plan`] says what differs now, and [`RestorePlan::apply`] puts it back. The manifest inside of a slot is
//! the truth about it; nothing is written to the live machine before the whole slot has been verified.
//!
//! # For another program
//!
//! Nothing here knows of runs, modules' code or a command line: a name and an owner are words that the caller chooses.
//!
//! ```
//! use std::fs;
//! use updates::config::Machine;
//! use updates::state::{Change, Size, Store};
//! use updates_protocol::{DeclaredPath, ModuleName};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # fs::create_dir_all(folder.path().join("machine/srv/web"))?;
//! // The machine: `Machine::Host` for this one, or a tree that stands for one.
//! let machine = Machine::Root(folder.path().join("machine"));
//! let page = folder.path().join("machine/srv/web/page");
//! fs::write(&page, "hello")?;
//!
//! // A store is a folder that nobody but root may write to. What a crash left in it is settled first.
//! let store = Store::open(&folder.path().join("backups"))?;
//! store.recover()?;
//!
//! // Save: nothing is there before `seal` returns, and then all of it is, durably.
//! let web: ModuleName = "web".parse()?;
//! let sealed = store.begin(&web, &web, "before the change").paths([DeclaredPath::new("/srv/web/")?]).seal(&machine)?;
//! let totals = sealed.into_backup().totals()?;
//! assert_eq!((totals.files, Size(totals.bytes).to_string().as_str()), (1, "5 B"));
//!
//! // Change something, and see what differs.
//! fs::write(&page, "broken")?;
//! fs::write(page.with_file_name("new"), "")?;
//! let backup = store.load(&web)?.ok_or("no slot")?;
//! let plan = backup.plan(&machine)?;
//! let changes: Vec<Change> = plan.differences().iter().map(|difference| difference.change).collect();
//! assert_eq!(changes, [Change::Attributes, Change::Remove, Change::Content]);
//!
//! // Put it back. The slot is verified whole before the first write, and killed anywhere, this can be begun again.
//! let restored = plan.apply()?;
//! assert_eq!(restored.changed.len(), 3);
//! assert_eq!(fs::read_to_string(&page)?, "hello");
//! assert!(backup.plan(&machine)?.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! Units and databases are added by [`PendingBackup::services`] and [`PendingBackup::databases`]; they need a [`Live`] with a
//! systemd and passwords in place of the machine alone.
//!
//! - **Sizes** are bytes and times seconds since the epoch, or seconds and nanoseconds as the file system has them.
//!   [`Size`] shows the former to people.
//! - **Errors.** [`StateError`] means that nothing live was changed and the former slot stands. [`RestoreError::Refused`] says
//!   the same of a restore; after [`RestoreError::Incomplete`] a further [`Backup::restore`] goes on with what is not back.
//! - **Locking.** The threads of one process may use a [`Store`] at once, for different names. Two processes must not change
//!   one store at once: the caller holds a lock of its own from before [`Store::recover`] until it is done, as the supervisor
//!   holds its run lock. As a guard for who does not, a slot that is being built is locked by flock(2), and a second
//!   builder, [`Store::recover`] and [`Store::remove`] are refused meanwhile. Reading ([`Store::find`], [`Store::load`],
//!   [`Store::list`], [`Backup::plan`]) needs no lock: a slot is replaced in one step. A reader that is overtaken by that
//!   gets an error, never a mixture.
//! - **Trust.** A slot is believed because only its maker can have written it: keep the store where nobody else may write.

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
mod replaced;
mod restore;
mod save;
mod size;
mod slot;
mod store;
mod survey;
mod totals;
mod unstamped;
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
pub use pending::{PendingBackup, Sealed, Shared};
pub use plan::{Change, Difference, RestorePlan};
pub use progress::{Progress, Step};
pub use restore::Restored;
pub use size::Size;
pub use store::Store;
pub use totals::Totals;
pub use verify::Sampled;

/// How many failures of one restore are listed; more are counted.
pub const MAX_FAILURES: usize = 100;
