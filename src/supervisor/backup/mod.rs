//! Backups as a person handles them: made, listed, shown, verified, put back and removed, and a module taken back one run.
//!
//! What changes anything holds the run lock and settles first what an interrupted run left. What only looks takes no lock.
//! Nothing here asks or prints: what would change is a value, which is shown, and then carried out.

mod begun;
mod create;
mod declared;
mod differences;
mod error;
mod hold;
mod remove;
mod restore;
mod rollback;
mod slots;
mod verify;

pub use create::Created;
pub use differences::Differences;
pub use error::BackupError;
pub use restore::{Goal, Prospect};
pub use rollback::{CodeStays, before_rollback};
pub use slots::{Slot, SlotKind, Slots};
pub use verify::Verified;
