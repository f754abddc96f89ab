//! What is executed as the module: the command line, the environment and the standard input of each kind of entry.

mod command;
mod executable;
mod python;

pub use command::Command;
