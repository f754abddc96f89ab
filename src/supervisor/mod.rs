//! The supervisor: plan, run, settle, tell. Only this layer puts the parts below together.

mod agree;
mod attempt;
mod backup;
mod check;
mod checkpoints;
mod context;
mod crew;
mod denials;
mod dispatcher;
mod error;
mod event;
mod forgotten;
mod in_flight;
mod interrupt;
mod journal;
mod learn;
mod limits;
mod lock;
mod modules;
mod note;
mod one;
mod reach;
mod recover;
mod replace;
mod requests;
mod rot;
mod run;
mod sandbox;
mod schedule;
mod select;
mod stores;
mod surroundings;
mod sync;
mod target;
mod undo;
mod verdict;
mod view;
mod volatile;
mod worker;
mod writable;

pub use agree::{Ask, Holding, holding};
pub use backup::{
    BackupError, CodeStays, Created, Differences, Goal, Prospect, Slot, SlotKind, Slots, Verified, before_rollback,
};
pub use check::CheckOptions;
pub use context::{Installation, Supervisor};
pub use error::RunError;
pub use event::{Event, Observer};
pub use in_flight::is_persons_restore;
pub use interrupt::cancel_on_signals;
pub use learn::{Configuration, LearnError, LearnOptions, Learned, Refused, SandboxStanza, Stanza};
pub use lock::{LockError, RunLock};
pub use one::{OneModule, OneOptions};
pub use reach::ReachError;
pub use run::RunOptions;
pub use sync::source_problems;

use context::RunContext;
