//! Units of systemd: their state, asked in one call, and what it is to do with one.

mod call;
mod control;
mod error;
mod restore;
mod systemd;
mod unit_state;

pub use call::Bounds;
pub use control::Verb;
pub use error::ServiceError;
pub use restore::{SavedUnits, UnitDifference, UnitRestore};
pub use systemd::Systemd;
pub use unit_state::UnitState;
