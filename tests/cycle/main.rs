//! Whole cycles as an administrator sees them: what is fetched, replaced, run, in which order, what is taken back, what is
//! remembered, and with which exit code it ends.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod check;
mod commands;
mod grants;
mod interrupt;
mod local;
mod lock;
mod lost;
mod order;
mod resilience;
mod retention;
mod rollback;
mod rot;
mod secrets;
mod sync;
mod versions;

use serde_json::Value;

/// Of what phase 1 did: `name: change from -> to`, sorted.
fn changes(record: &Value) -> Vec<String> {
    let mut changes: Vec<String> = record["updates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|update| {
            let word = |key: &str| update[key].as_str().unwrap_or("-").to_owned();
            format!("{}: {} {} -> {}", word("module"), word("change"), word("from"), word("to"))
        })
        .collect();
    changes.sort();
    changes
}

/// `name: status`, sorted: the order in which modules end depends on how many run side by side.
fn statuses(record: &Value) -> Vec<String> {
    let modules = record["modules"].as_array().unwrap().iter();
    let word = |module: &Value, key: &str| module[key].as_str().unwrap().to_owned();
    let mut statuses: Vec<_> =
        modules.map(|each| format!("{}: {}", word(each, "module"), word(each, "status"))).collect();
    statuses.sort();
    statuses
}

/// The record's part about one module.
#[track_caller]
fn module<'r>(record: &'r Value, name: &str) -> &'r Value {
    let modules = record["modules"].as_array().unwrap();
    modules.iter().find(|m| m["module"] == name).unwrap_or_else(|| panic!("{name} is not in {record:#}"))
}
