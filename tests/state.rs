//! Checkpoints and restores on real files.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test; clippy knows only test functions themselves")]

#[path = "state/child.rs"]
mod child;
#[path = "state/coverage.rs"]
mod coverage;
#[path = "state/databases.rs"]
mod databases;
#[path = "state/disk.rs"]
mod disk;
#[cfg(target_arch = "x86_64")]
#[path = "state/durable.rs"]
mod durable;
#[path = "state/engine.rs"]
mod engine;
#[path = "state/files.rs"]
mod files;
#[path = "state/filesystems.rs"]
mod filesystems;
#[path = "state/ground.rs"]
mod ground;
#[cfg(target_arch = "x86_64")]
#[path = "state/inject.rs"]
mod inject;
#[path = "state/kill.rs"]
mod kill;
#[path = "state/memory.rs"]
mod memory;
#[path = "state/model.rs"]
mod model;
#[path = "state/oddities.rs"]
mod oddities;
#[path = "state/races.rs"]
mod races;
#[path = "state/scene.rs"]
mod scene;
#[path = "state/services.rs"]
mod services;
#[path = "state/slots.rs"]
mod slots;
// Registers and numbers of system calls are the machine's own; here are those of one.
#[cfg(target_arch = "x86_64")]
#[path = "state/strike.rs"]
mod strike;
#[cfg(target_arch = "x86_64")]
#[path = "state/tracer.rs"]
mod tracer;
