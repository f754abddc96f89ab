//! Sandbox profiles: load, extend, and resolve into a plan.

mod capability;
mod error;
mod file;
mod input;
mod load;
mod plan;
mod settings;
mod system_calls;
mod tree;

#[cfg(test)]
mod tests;

pub use capability::Capability;
pub use error::ProfileError;
pub use input::{LaidOver, Place, PlanInput, TopLevel, TopLevelKind};
pub use load::Profiles;
pub use plan::{SDK, plan};
pub use settings::{BestEffort, Profile};
pub use system_calls::{AddressFamily, Restrictions, SystemCallEntry, allowed, group};
