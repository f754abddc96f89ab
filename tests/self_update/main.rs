//! Self-update, with real artifacts from real git repositories: what is installed and what is refused, what becomes of a
//! version that does not reach the end of a run, and a kill at every step.
//!
//! The other versions are this very program with another version written over its mark, or small scripts that execute it
//! and fail in one way: see `programs.rs`.
#![allow(clippy::unwrap_used)]

mod bad;
mod cycle;
mod gaps;
mod guard;
mod kill;
mod person;
mod programs;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod trust;
