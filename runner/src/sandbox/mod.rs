//! The sandbox: a plan becomes restrictions that hold, in an order that the type system keeps.
//!
//! Three processes take part. The runner stays outside and only prepares and forks; init, pid 1 of the new pid
//! namespace, builds what needs privilege (the file tree above all); the module's own process gives privilege up and
//! becomes the module.

mod cgroups;
mod devices;
mod failure;
mod filesystems;
mod identity;
mod landlock;
mod limits;
mod links;
mod mounts;
mod namespaces;
mod pins;
mod privileges;
mod proc;
mod stages;
mod system_calls;
mod target;

pub use failure::OrFail;
pub use privileges::keep_what_init_needs;
pub use stages::{Entered, Sandbox};
