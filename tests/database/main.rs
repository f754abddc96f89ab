//! Databases, by the programs and files that they really have.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test; clippy knows only test functions themselves")]

mod sqlite;
mod sqlite_ground;
mod sqlite_kill;
mod sqlite_model;
