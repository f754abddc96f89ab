//! Units of systemd: their state, asked in one call.

mod systemd;
mod unit_state;

pub use systemd::{ServiceError, Systemd};
pub use unit_state::UnitState;
