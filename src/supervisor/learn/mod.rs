//! What a module needs of its sandbox, learnt from one run on an overlay of the machine.

mod fold;

pub use fold::{Changed, fold};
pub(super) use fold::{is_shared, makes_entries};
