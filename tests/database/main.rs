//! Databases, saved and put back on real servers that the tests start as other users of the system.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test; clippy knows only test functions themselves")]

#[path = "../support/mod.rs"]
mod support;

mod cycle;
mod kill;
mod mysql;
mod mysql_faults;
mod mysql_server;
mod postgresql;
mod postgresql_faults;
mod postgresql_server;
mod server;
mod sqlite;
mod sqlite_ground;
mod sqlite_kill;
mod sqlite_model;
