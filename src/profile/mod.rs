//! Sandbox profiles: load, extend, and resolve into a plan.

mod capability;
mod error;
mod file;
mod input;
mod load;
mod plan;
mod settings;
mod tree;

#[cfg(test)]
mod tests;

pub use capability::Capability;
pub use error::ProfileError;
pub use input::{LaidOver, Place, PlanInput, TopLevel, TopLevelKind};
pub use load::Profiles;
pub use plan::{SDK, plan};
pub use settings::{BestEffort, Profile};

/// The profile in the bytes of one file, laid over what holds where nothing is said: for tests that try any bytes.
#[doc(hidden)]
pub fn parse(bytes: &[u8]) -> Result<Profile, ProfileError> {
    let name: updates_protocol::ProfileName = "profile".parse().expect("the word is made of letters");
    let file = file::ProfileFile::parse(bytes, std::path::Path::new("profile.json"))?;
    Ok(file.over(Profile::closed(name.clone()), name))
}
