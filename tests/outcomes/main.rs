//! Every way in which a module can end, and what is left of it: one snapshot of the report each, and the declared files
//! back whenever the report says so.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod channel;
mod crash;
mod executable;
mod flood;
mod hang;
mod leftover;
mod limits;
mod python;
mod scene;
mod value;
