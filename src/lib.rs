//! The supervisor as a library: everything but the command line.
//!
//! The layers are those of ARCHITECTURE.md; a module imports only from layers below its own, and `tests/layers.rs`
//! checks that.

pub mod catalog;
pub mod config;
pub mod database;
pub mod fs;
pub mod history;
pub mod permissions;
pub mod process;
pub mod profile;
pub mod program;
pub mod record;
pub mod service;
pub mod source;
pub mod state;
pub mod supervisor;
