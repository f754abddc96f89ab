//! The supervisor: plan, run, settle, tell. Only this layer puts the parts below together.

mod event;
mod interrupt;
mod lock;
mod schedule;
mod select;
mod verdict;
mod writable;

pub use event::{Event, Observer, Silent};
pub use interrupt::Interrupt;
pub use lock::{LockError, RunLock};
