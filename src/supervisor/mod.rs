//! The supervisor: plan, run, settle, tell. Only this layer puts the parts below together.

mod interrupt;
mod lock;
mod schedule;
mod select;
mod verdict;

pub use interrupt::Interrupt;
pub use lock::{LockError, RunLock};
