//! Versions that failed and are not tried again until the source changes them or a person says so.

use super::Finding;
use crate::catalog::Catalog;
use crate::supervisor::Supervisor;

const CHECK: &str = "held";

pub(super) fn look(supervisor: &Supervisor) -> Vec<Finding> {
    let held = match Catalog::open(&supervisor.layout).all_held() {
        Ok(held) => held,
        Err(error) => {
            return vec![Finding::problem(CHECK, error.to_string(), "remove the file to try every version again")];
        }
    };
    let found: Vec<Finding> = held
        .iter()
        .flat_map(|(module, versions)| versions.iter().map(move |held| (module, held)))
        .map(|(module, held)| {
            let reason = held.reason.lines().next().unwrap_or_default();
            let text = format!("{module} {} is held since {}: {reason}", held.version, held.since);
            Finding::warning(CHECK, text, format!("a newer version ends it, and so does `updates unhold {module}`"))
        })
        .collect();
    if found.is_empty() { vec![Finding::ok(CHECK, "no version is held")] } else { found }
}
