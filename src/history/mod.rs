//! The database of runs.

mod aside;
mod copies;
mod error;
mod in_flight;
mod open;
mod prune;
mod read;
mod schema;
mod write;

#[cfg(test)]
mod tests;

pub use copies::copy;
pub use error::HistoryError;
pub use in_flight::InFlight;
pub use open::{History, HistoryReader};
pub use read::{ModuleRun, RunSelector, RunSummary, StoredLog};
