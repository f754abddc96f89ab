//! `updates` as the machine runs it, by a timer and at boot: the maintenance window, the journal, being told to end, the
//! settling of an interrupted run, and what `updates doctor` finds.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod doctor;
mod journal;
mod recover;
mod stop;
mod window;

use serde_json::Value;

/// The record's part about one module.
#[track_caller]
fn module<'r>(record: &'r Value, name: &str) -> &'r Value {
    let modules = record["modules"].as_array().unwrap();
    modules.iter().find(|m| m["module"] == name).unwrap_or_else(|| panic!("{name} is not in {record:#}"))
}
