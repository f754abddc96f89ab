//! What systemd says of a unit, and how its answer is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The state of one unit, in systemd's own words; see systemctl(1) and org.freedesktop.systemd1(5).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitState {
    /// `Id`: the unit's own name, where it was asked for by another one.
    #[serde(default)]
    pub id: String,
    /// `LoadState`: `loaded`, `not-found`, `masked`, `error`, …
    pub load: String,
    /// `ActiveState`: `active`, `reloading`, `inactive`, `failed`, `activating`, `deactivating`, …
    pub active: String,
    /// `SubState`: `running`, `exited`, `dead`, …
    pub sub: String,
    /// `UnitFileState`: `enabled`, `disabled`, `static`, `masked`, `generated`, …; empty where there is no unit file.
    pub enabled: String,
}

impl UnitState {
    /// Whether there is such a unit.
    pub fn exists(&self) -> bool {
        self.load != "not-found"
    }

    /// Whether it runs now or is starting to: what stopping it would change.
    pub fn is_up(&self) -> bool {
        self.is_active() || self.active == "activating"
    }

    /// Whether it is started at boot.
    pub fn is_enabled(&self) -> bool {
        matches!(self.enabled.as_str(), "enabled" | "enabled-runtime")
    }

    /// Whether it runs now, or is about to go on doing so.
    pub fn is_active(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading" | "refreshing")
    }
}

/// Reads the output of `systemctl show` for several units: blocks of `Key=value` lines with empty lines between them, in
/// the order of the units. `None` for a block that lacks a property that was asked for.
pub(super) fn parse_blocks(text: &str) -> Vec<Option<UnitState>> {
    text.split("\n\n").map(|block| block.trim_matches('\n')).filter(|block| !block.is_empty()).map(parse).collect()
}

fn parse(block: &str) -> Option<UnitState> {
    let properties: BTreeMap<&str, &str> = block.lines().filter_map(|line| line.split_once('=')).collect();
    let property = |key: &str| properties.get(key).map(|value| (*value).to_owned());
    Some(UnitState {
        id: property("Id").unwrap_or_default(),
        load: property("LoadState")?,
        active: property("ActiveState")?,
        sub: property("SubState")?,
        enabled: property("UnitFileState")?,
    })
}
