//! Why the sandbox refused what a traced module tried, and what would allow it.

mod capability;
mod collect;
mod explain;
mod filter;
mod noise;
mod seen;

#[cfg(test)]
mod tests;

pub(super) use capability::{lacking, port};
pub(super) use collect::collect;
pub(super) use explain::{OnMachine, Rules, explain, is_hidden};
pub(super) use noise::is_cache_of_python;
