//! Units put back by a real systemd: what a fake one can't tell. Runs inside the container of `make test-systemd`, and
//! anywhere else says that it was skipped: it makes, masks and stops units of the machine it runs on.
#![allow(clippy::unwrap_used)]

mod engine;
mod machine;
mod runs;

/// Set inside the container.
pub fn is_container() -> bool {
    let is = std::env::var_os("UPDATES_TEST_SYSTEMD").is_some();
    if !is {
        eprintln!("skipped: make test-systemd runs this in a container");
    }
    is
}
