//! Units of systemd: their state, asked in one call, what it is to do with one, and the way back to what they were.

mod call;
mod control;
mod difference;
mod error;
mod restore;
mod step;
mod systemd;
mod unit_state;
mod way_back;

pub use call::Bounds;
pub use control::Verb;
pub use difference::UnitDifference;
pub use error::ServiceError;
pub use restore::{SavedUnits, UnitRestore};
pub use step::{UnitAction, UnitStep};
pub use systemd::Systemd;
pub use unit_state::UnitState;
pub use way_back::UNIT_FOLDERS;
