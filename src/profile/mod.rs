//! Sandbox profiles: load, extend, resolve into a plan, compare and explain.

mod adjust;
mod allow;
mod capability;
mod contradiction;
mod error;
mod file;
mod identity;
mod input;
mod landlock;
mod load;
mod loosened;
mod number;
mod plan;
mod provenance;
mod score;
mod settings;
mod system_calls;
mod tree;
mod unit;

#[cfg(test)]
mod tests;

pub use allow::{Allowance, Excess};
pub use capability::Capability;
pub use error::ProfileError;
pub use identity::{IdentityError, RunAs, is_dynamic};
pub use input::{LaidOver, Place, PlanInput, TopLevel, TopLevelKind};
pub use load::Profiles;
pub use plan::{SDK, plan};
pub use provenance::{Origin, Provenance};
pub use score::{Assessment, Exposure, assess, exposure};
pub use settings::{BestEffort, Profile};
pub use system_calls::{AddressFamily, Calls, Restrictions, SystemCallEntry, allowed, group};
pub use unit::unit;

/// The profile in the bytes of one file, laid over what holds where nothing is said: for tests that try any bytes.
#[doc(hidden)]
pub fn parse(bytes: &[u8]) -> Result<Profile, ProfileError> {
    let name: updates_protocol::ProfileName = "profile".parse().expect("the word is made of letters");
    let file = file::ProfileFile::parse(bytes, std::path::Path::new("profile.json"))?;
    file.over(Profile::closed(name.clone()), name)
}
