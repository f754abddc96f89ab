//! The shipped modules as a server runs them: fetched from a git repository, under local settings, in the real sandbox,
//! against real unbound, apt, dpkg, pip and HTTP. Snapshots show each result, log and changed file; what a check or a
//! failure leaves is compared with what was there before, to the nanosecond.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod adblock;
mod apt;
mod by_path;
mod files;
mod hotfix;
mod http;
mod migrations;
mod os;
mod permissions;
mod resolver;
mod scene;
mod venvs;
