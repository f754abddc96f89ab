//! What systemd says of a unit, and how its answer is read.
//!
//! Some of it is saved and compared later, and some is of use only while a unit is being changed. The five properties that
//! every answer has are enough; whatever else is missing counts as unknown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use updates_protocol::UnitName;

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
    /// `InvocationID`: another one after each start. Empty where it was never started, or where that is not told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub invocation: String,
    /// `FragmentPath`: the unit file; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fragment: String,
    /// `TriggeredBy`: sockets, timers and paths that start it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggered_by: Vec<UnitName>,
    /// Whether it does something and is over (`Type=oneshot` without `RemainAfterExit=`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends_by_itself: bool,
}

/// Whether a unit runs, without the finer states on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Running {
    Up,
    Down,
    Failed,
}

/// What `UnitFileState` means for the verbs that change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnitFile {
    Enabled {
        runtime: bool,
    },
    Linked {
        runtime: bool,
    },
    Masked {
        runtime: bool,
    },
    /// No verb leads there: `disabled` is where the others lead back to; `static`, `generated`, `transient`, `indirect`,
    /// `alias` and `bad` follow from files.
    Other,
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

    pub(super) fn running(&self) -> Running {
        match self.active.as_str() {
            "failed" => Running::Failed,
            _ if self.is_up() => Running::Up,
            _ => Running::Down,
        }
    }

    pub(super) fn unit_file(&self) -> UnitFile {
        match self.enabled.as_str() {
            "enabled" => UnitFile::Enabled { runtime: false },
            "enabled-runtime" => UnitFile::Enabled { runtime: true },
            "linked" => UnitFile::Linked { runtime: false },
            "linked-runtime" => UnitFile::Linked { runtime: true },
            "masked" => UnitFile::Masked { runtime: false },
            "masked-runtime" => UnitFile::Masked { runtime: true },
            _ => UnitFile::Other,
        }
    }

    pub(super) fn is_masked(&self) -> bool {
        matches!(self.unit_file(), UnitFile::Masked { .. })
    }

    /// Whether it is another run of the unit than `then`, as far as both tell.
    pub(super) fn was_restarted_since(&self, then: &UnitState) -> bool {
        !self.invocation.is_empty() && !then.invocation.is_empty() && self.invocation != then.invocation
    }
}

/// What systemd says of one unit at this moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    pub state: UnitState,
    /// `Result`: why it failed, as `exit-code` or `timeout`.
    pub result: String,
    /// `Job`: whether systemd is about to start or stop it.
    pub has_job: bool,
    /// `After`: full names of what is started before it, and stopped after it.
    pub after: Vec<String>,
    /// `Triggers`: what it starts, for a socket, timer or path.
    pub triggers: Vec<UnitName>,
    /// `NeedDaemonReload`: whether its files are other ones than those that were read; `None` where that is not told.
    pub needs_reload: Option<bool>,
}

/// What is asked for. The order is of no importance.
pub(super) const PROPERTIES: &str = "--property=Id,LoadState,ActiveState,SubState,UnitFileState,InvocationID,FragmentPath,\
     TriggeredBy,Triggers,Type,RemainAfterExit,Result,Job,NeedDaemonReload,After";

/// Reads the output of `systemctl show` for several units: blocks of `Key=value` lines with empty lines between them, in
/// the order of the units. `None` for a block that lacks a property that every answer has.
pub(super) fn parse_blocks(text: &str) -> Vec<Option<Look>> {
    text.split("\n\n").map(|block| block.trim_matches('\n')).filter(|block| !block.is_empty()).map(parse).collect()
}

fn parse(block: &str) -> Option<Look> {
    let properties: BTreeMap<&str, &str> = block.lines().filter_map(|line| line.split_once('=')).collect();
    let property = |key: &str| properties.get(key).map(|value| (*value).to_owned());
    let optional = |key: &str| property(key).unwrap_or_default();
    let units = |key: &str| -> Vec<UnitName> {
        let mut units: Vec<_> = optional(key).split_whitespace().filter_map(|name| name.parse().ok()).collect();
        units.sort();
        units
    };
    let state = UnitState {
        id: optional("Id"),
        load: property("LoadState")?,
        active: property("ActiveState")?,
        sub: property("SubState")?,
        enabled: property("UnitFileState")?,
        invocation: optional("InvocationID"),
        fragment: optional("FragmentPath"),
        triggered_by: units("TriggeredBy"),
        ends_by_itself: optional("Type") == "oneshot" && optional("RemainAfterExit") != "yes",
    };
    Some(Look {
        state,
        result: optional("Result"),
        triggers: units("Triggers"),
        after: optional("After").split_whitespace().map(str::to_owned).collect(),
        has_job: !matches!(optional("Job").as_str(), "" | "0"),
        needs_reload: property("NeedDaemonReload").map(|value| value == "yes"),
    })
}
