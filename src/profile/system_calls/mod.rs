//! System calls: their names and groups, and the program that lets the kernel refuse the others.

mod address_family;
mod compile;
mod names;
mod program;
mod restrict;

#[cfg(test)]
mod tests;

pub use address_family::AddressFamily;
pub use names::{Calls, SystemCallEntry, allowed, group};
pub use restrict::Restrictions;

pub(in crate::profile) use compile::filter;
