//! Units of systemd: their state, asked in one call that has a timeout.

mod systemd;

pub use systemd::{ServiceError, Systemd, UnitState};
