//! What a module may try, and what must happen: every line of the list of attempts is either a row that the program
//! `attempt` tries inside the real sandbox of each profile, or a test that looks at the machine afterwards. `coverage.rs`
//! says which is which, and fails when a line has neither.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod allowed;
mod boundary;
mod control;
mod coverage;
mod gate;
mod host;
mod outside;
mod planted;
mod requests;
mod survive;
mod table;
mod withheld;
