//! The database of runs.

mod aside;
mod error;
mod in_flight;
mod marker;
mod open;
mod prune;
mod read;
mod schema;
mod write;

#[cfg(test)]
mod tests;

pub use error::HistoryError;
pub use in_flight::InFlight;
pub use open::{History, HistoryReader};
pub use read::{ModuleRun, RunSelector, RunSummary, StoredLog};
