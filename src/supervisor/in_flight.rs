//! What is noted durably with a module in flight, so that whoever starts next can put it back: which slot is its
//! checkpoint, which slots of its own it has changed, or what a person was restoring.
//!
//! Places are those of the machine that modules see, so that a root may be moved. A slot is named by its checksum as
//! well: a promotion exchanges two slots, and the row must mean the same one before and after it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use updates_protocol::ModuleName;

use super::versions::Wanted;
use crate::config::Layout;
use crate::history::InFlight;
use crate::state::Backup;

/// The way back of one module; what its row in the database holds beside its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WayBack {
    /// What was saved before it ran. Absent in a row of an earlier version, which means the retained one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) checkpoint: Option<SlotPlace>,
    /// Slots of its own that it has changed in this run, in the order of the first change to each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) slots: Vec<OwnSlot>,
    /// The version that the module asked to be put at when it is settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) checkout: Option<Wanted>,
    /// What a person is restoring; nothing else counts then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) restore: Option<PersonsRestore>,
    /// The boot in which this was noted, as the kernel names it; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) boot: Option<String>,
}

/// One slot, and no later one of its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SlotPlace {
    /// The store, as a path of the machine that modules see.
    pub(super) store: PathBuf,
    /// The slot's name.
    pub(super) slot: ModuleName,
    /// The checksum of its manifest.
    pub(super) checksum: String,
}

/// A slot that a module asked to be made, replaced or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OwnSlot {
    /// The store, as a path of the machine that modules see.
    pub(super) store: PathBuf,
    /// The slot's name.
    pub(super) slot: ModuleName,
    /// Whether there was one before the module ran.
    pub(super) existed: bool,
}

/// A restore that a person asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PersonsRestore {
    /// From which slot.
    #[serde(flatten)]
    pub(super) from: SlotPlace,
    /// Whether its services are started in any case.
    #[serde(default)]
    pub(super) forced_service_start: bool,
}

impl WayBack {
    /// Back to a checkpoint.
    pub(super) fn to(layout: &Layout, checkpoint: &Backup) -> Self {
        Self { checkpoint: Some(SlotPlace::of(layout, checkpoint)), boot: this_boot(), ..Self::default() }
    }

    /// Back to what a person is restoring.
    pub(super) fn restoring(restore: PersonsRestore) -> Self {
        Self { restore: Some(restore), boot: this_boot(), ..Self::default() }
    }

    /// Whether the machine may have gone down since.
    pub(super) fn is_of_another_boot(&self) -> bool {
        self.boot.is_none() || self.boot != this_boot()
    }

    /// Reads what a row holds.
    pub(super) fn of_payload(payload: &Value) -> Result<Self, serde_json::Error> {
        if payload.is_null() { Ok(Self::default()) } else { Self::deserialize(payload) }
    }

    /// As a row holds it.
    pub(super) fn payload(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|_| unreachable!("texts and flags are JSON"))
    }
}

impl SlotPlace {
    /// Where a slot stands now.
    pub(super) fn of(layout: &Layout, backup: &Backup) -> Self {
        let store = backup.path().parent().unwrap_or(Path::new("/"));
        Self { store: inside(layout, store), slot: backup.name().clone(), checksum: backup.info().checksum }
    }

    /// Where its store lies on this machine.
    pub(super) fn store_of(&self, layout: &Layout) -> PathBuf {
        outside(layout, &self.store)
    }
}

impl OwnSlot {
    /// Where its store lies on this machine.
    pub(super) fn store_of(&self, layout: &Layout) -> PathBuf {
        outside(layout, &self.store)
    }
}

// random(4), boot_id.
fn this_boot() -> Option<String> {
    Some(std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

/// A path of this machine as the machine that modules see has it.
pub(super) fn inside(layout: &Layout, path: &Path) -> PathBuf {
    path.strip_prefix(layout.root()).map_or_else(|_| path.to_owned(), |below| Path::new("/").join(below))
}

fn outside(layout: &Layout, path: &Path) -> PathBuf {
    layout.root().join(path.strip_prefix("/").unwrap_or(path))
}

/// Whether a row tells of a restore or rollback that a person asked for, and not of a run.
pub fn is_persons_restore(row: &InFlight) -> bool {
    WayBack::of_payload(&row.payload).is_ok_and(|way_back| way_back.restore.is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use updates_protocol::Phase;

    use super::*;

    #[test]
    fn a_row_says_the_same_when_it_is_read_again_and_an_older_one_means_the_retained_checkpoint() {
        let place = |store: &str| SlotPlace { store: store.into(), slot: "a".parse().unwrap(), checksum: "c".into() };
        let way_back = WayBack {
            checkpoint: Some(place("/var/lib/updates/in-flight/main")),
            slots: vec![OwnSlot { store: "/var/backups/a".into(), slot: "a".parse().unwrap(), existed: true }],
            checkout: Some(Wanted { version: "1.0.0".parse().unwrap(), tree: "t".into() }),
            restore: Some(PersonsRestore { from: place("/var/backups/updates"), forced_service_start: true }),
            boot: this_boot(),
        };
        assert_eq!(WayBack::of_payload(&way_back.payload()).unwrap(), way_back);
        assert!(!way_back.is_of_another_boot() && WayBack::default().is_of_another_boot());
        assert_eq!(WayBack::of_payload(&Value::Null).unwrap(), WayBack::default());
        assert_eq!(WayBack::of_payload(&json!({"units": {}})).unwrap(), WayBack::default());
        assert!(WayBack::of_payload(&json!({"checkpoint": {"store": "/x"}})).is_err());
    }

    #[test]
    fn places_move_with_the_root() {
        let layout = Layout::new(Path::new("/tmp/root"));
        let noted = inside(&layout, &layout.in_flight(Phase::Main));
        assert_eq!(noted, Path::new("/var/lib/updates/in-flight/main"));
        assert_eq!(outside(&Layout::new(Path::new("/")), &noted), noted);
        assert_eq!(outside(&layout, &noted), layout.in_flight(Phase::Main));
    }
}
