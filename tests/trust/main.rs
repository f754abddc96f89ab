//! Trust in the source, with real keys, signatures and servers: what is not signed as the settings ask for, or is older
//! than what was accepted, is not installed; and the servers that it comes from are the ones that are known.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod bounds;
mod history;
#[path = "../source/http.rs"]
mod http;
mod keys;
mod openpgp;
mod server;
mod ssh;
mod tags;
mod transport;

use serde_json::Value;

/// `sync.error` of a run.
#[track_caller]
fn refusal(record: &Value) -> &str {
    record["sync"]["error"].as_str().unwrap_or_else(|| panic!("nothing was refused: {record:#}"))
}

/// What phase 1 said of a module that it did not install.
#[track_caller]
fn not_installed<'r>(record: &'r Value, module: &str) -> &'r str {
    let updates = record["updates"].as_array().unwrap();
    let update = updates.iter().find(|update| update["module"] == module && update["change"] == "failed");
    update.and_then(|update| update["notes"][0].as_str()).unwrap_or_else(|| panic!("{module}: {record:#}"))
}
