//! Versions that failed and are not tried again until the source changes them or a person says so, and modules that a
//! person keeps at their version.

use super::Finding;
use crate::catalog::Catalog;
use crate::record::local;
use crate::supervisor::Supervisor;

const CHECK: &str = "held";

pub(super) fn look(supervisor: &Supervisor) -> Vec<Finding> {
    let catalog = Catalog::open(&supervisor.layout);
    let (held, kept) = match catalog.all_held().and_then(|held| Ok((held, catalog.all_kept()?))) {
        Ok(both) => both,
        Err(error) => {
            return vec![Finding::problem(CHECK, error.to_string(), "remove the file to hold nothing any more")];
        }
    };
    let kept = kept.iter().map(|(module, kept)| Finding::ok(CHECK, format!("{module} stays as it is: {kept}")));
    let found: Vec<Finding> = held
        .iter()
        .flat_map(|(module, versions)| versions.iter().map(move |held| (module, held)))
        .map(|(module, held)| {
            let reason = held.reason.lines().next().unwrap_or_default();
            let text = format!("{module} {} is held since {}: {reason}", held.version, local(&held.since));
            let mend = format!("it is tried again once the source changes it, or after `updates unhold {module}`");
            Finding::warning(CHECK, text, mend)
        })
        .chain(kept)
        .collect();
    if found.is_empty() { vec![Finding::ok(CHECK, "no version is held")] } else { found }
}
