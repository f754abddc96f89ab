//! The supervisor: plan, run, settle, tell. Only this layer puts the parts below together.

mod attempt;
mod check;
mod context;
mod crew;
mod dispatcher;
mod error;
mod event;
mod grants;
mod interrupt;
mod limits;
mod lock;
mod modules;
mod note;
mod one;
mod recover;
mod replace;
mod run;
mod sandbox;
mod schedule;
mod select;
mod sync;
mod target;
mod undo;
mod verdict;
mod volatile;
mod worker;
mod writable;

pub use check::CheckOptions;
pub use context::{Installation, Supervisor};
pub use error::RunError;
pub use event::{Event, Observer};
pub use interrupt::cancel_on_signals;
pub use lock::{LockError, RunLock};
pub use one::{OneModule, OneOptions};
pub use run::RunOptions;

use context::RunContext;
