//! What the integration tests share: temporary roots, git repositories of modules, modules as values, and the program
//! itself, started as a person would start it. Nothing here knows the program's code; it sees files, output and exit
//! codes.
#![allow(dead_code, unused_imports, clippy::unwrap_used)] // each test program uses its own part of it

mod module;
mod normal;
mod processes;
mod root;
mod source;
mod tree;
mod updates;

pub use module::Module;
pub use normal::{log, normal, normal_text, report};
pub use processes::{Watch, marker, until};
pub use root::Root;
pub use source::Source;
pub use tree::Tree;
pub use updates::{Ran, Started};
