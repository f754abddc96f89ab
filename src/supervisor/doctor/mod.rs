//! `updates doctor`: looks at all that a run will need, changes nothing, and returns what was found as values.

mod databases;
mod disk;
mod examine;
mod finding;
mod held;
mod lock;
mod past;
mod program;
mod sandbox;
mod source;
mod timer;

pub use finding::{Finding, Health};
