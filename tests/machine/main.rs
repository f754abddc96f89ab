//! The package on a machine with a real systemd, as an administrator meets it: installed by apt, run by its timer,
//! interrupted, upgraded, removed. Each test has a machine of its own, a container that is thrown away; `make
//! test-machine` makes what they are made of. Anywhere else the tests say that they were skipped.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod archive;
mod artifact;
mod confinement;
mod container;
mod install;
mod interrupted;
mod machine;
mod modules;
mod operations;
mod self_update;
mod timer;
mod transport;
mod upgrade;

/// Set by tests/machine/run.
fn is_there() -> bool {
    let is = std::env::var_os("UPDATES_TEST_MACHINE").is_some();
    if !is {
        eprintln!("skipped: make test-machine runs this");
    }
    is
}
