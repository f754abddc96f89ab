//! Self-update: which version of this program runs, how a newer one takes its place, and how one that fails is left.
//!
//! The installed program, by package or by `make install`, is never touched: there is always one that works. A newer
//! version is a folder beside, and one symbolic link says that it is in use; docs/self-update.md tells the whole.

mod choice;
mod hand_over;
mod in_use;
mod install;
mod offered;
mod person;
mod self_test;
mod step;

pub use hand_over::{HandOver, Start, hand_over, is_counted, take_back};
pub use in_use::{OnTrial, ProgramInUse, program_in_use};
pub use person::{Moved, ProgramError};

pub(super) use hand_over::{catch_up, continue_as, inherited_lock};
pub(super) use step::{Next, look, stay, step};
