//! Checkpoints and restores on real files.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test; clippy knows only test functions themselves")]

#[path = "state/engine.rs"]
mod engine;
#[path = "state/files.rs"]
mod files;
#[path = "state/ground.rs"]
mod ground;
#[path = "state/kill.rs"]
mod kill;
#[path = "state/model.rs"]
mod model;
#[path = "state/slots.rs"]
mod slots;
