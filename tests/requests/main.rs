//! What modules ask of the supervisor: granted by declaration, refused otherwise, each request logged, and taken back with
//! the module that made it.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod flood;
mod machine;
mod permissions;
mod services;
mod slots;
mod undone;
