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
mod doctor;
mod error;
mod event;
mod forgotten;
mod gate;
mod in_flight;
mod inherited;
mod interrupt;
mod journal;
mod learn;
mod limits;
mod lock;
mod modules;
mod note;
mod one;
mod places;
mod reach;
mod recover;
mod release;
mod replace;
mod requests;
mod rot;
mod run;
mod sandbox;
mod schedule;
mod select;
mod self_update;
mod stores;
mod surroundings;
mod sync;
mod target;
mod undo;
mod verdict;
mod versions;
mod view;
mod volatile;
mod worker;
mod writable;
mod written;

pub use agree::{Ask, Holding, holding};
pub use backup::{
    BackupError, CodeStays, Created, Differences, Goal, Prospect, Slot, SlotKind, Slots, Verified, before_rollback,
};
pub use check::CheckOptions;
pub use context::{Installation, Supervisor};
pub use doctor::{Finding, Health};
pub use error::RunError;
pub use event::{Event, Observer};
pub use gate::Clock;
pub use in_flight::is_persons_restore;
pub use interrupt::cancel_on_signals;
pub use learn::{Configuration, LearnError, LearnOptions, Learned, Refused, SandboxStanza, Stanza};
pub use lock::{LockError, RunLock};
pub use one::{OneModule, OneOptions};
pub use reach::ReachError;
pub use release::{ReleaseError, ReleaseOptions, Released};
pub use run::RunOptions;
pub use self_update::{
    HandOver, Moved, OnTrial, ProgramError, ProgramInUse, Start, hand_over, is_counted, program_in_use, take_back,
};
pub use sync::source_problems;
pub use versions::{CheckedOut, CheckoutOptions, LetGo, ListedVersion, Until, UntilError, VersionError, Versions};

use context::RunContext;
