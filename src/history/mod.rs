//! The database of runs: what happened, and which modules are running right now.

mod database;
mod flight;
mod logs;
mod runs;
mod schema;
#[cfg(test)]
mod tests;

pub use database::{History, HistoryError};
pub use flight::InFlight;
