//! The record of a module's folders, and the rule that says after any interruption what each of them is.
//!
//! A swap is one exchange of two names, and nothing on disk tells from the names alone whether it has happened. So before
//! it the record lists, by inode, every folder that takes part, with what was shipped in it. Whichever folder stands at
//! the module's name afterwards, its entry is in the record: the shipped copy always belongs to the installed folder, and
//! [`settle`] finds what was done and what is left to do. Inodes only decide while a swap is open; a folder with an inode
//! that the record does not know was put there by a person and is taken as it is.

use serde::{Deserialize, Serialize};
use updates_protocol::SchemaVersion;

/// What is known of one folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The folder's inode.
    pub inode: u64,
    /// The version that was installed in it; absent in a folder that the catalog did not make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<SchemaVersion>,
    /// What it was made from, as the source names content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<String>,
    /// Its `index.json` as shipped, byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipped: Option<String>,
}

/// What the module goes back to when its newest version fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LastGood {
    /// To nothing else: what is installed has run well.
    Installed,
    /// To not being there: it was not installed before.
    Absent,
    /// To a version whose folder is gone: only the source still has it.
    Lost,
    /// To the folder with this inode.
    Folder(u64),
}

/// The record of one module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Every folder that may stand at the module's name; the newest last.
    pub entries: Vec<Entry>,
    /// What to go back to.
    pub last_good: LastGood,
}

impl Record {
    pub fn entry(&self, inode: u64) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.inode == inode)
    }

    fn only(entries: Vec<Entry>, last_good: LastGood) -> Option<Self> {
        // A folder that the catalog did not make needs no record once it stands alone.
        let says_something = last_good != LastGood::Installed || entries.iter().any(|entry| entry.version.is_some());
        says_something.then_some(Self { entries, last_good })
    }
}

/// The inodes of the three folders that a module may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub installed: Option<u64>,
    pub staged: Option<u64>,
    pub previous: Option<u64>,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settlement {
    /// `.previous` must go before `.staged` takes its place.
    pub clear_previous: bool,
    /// `.staged` is the last good folder and becomes `.previous`.
    pub keep_staged: bool,
    /// The last good folder goes back to the module's name, where nothing is.
    pub put_back: bool,
    /// The record as it must be then.
    pub record: Option<Record>,
    /// `.staged` is nothing, or nothing any more.
    pub remove_staged: bool,
    /// `.previous` likewise.
    pub remove_previous: bool,
    /// What an administrator may want to know.
    pub note: Option<String>,
}

/// What must be done so that each folder is what its name says.
pub(super) fn settle(record: Option<Record>, seen: Seen) -> Settlement {
    let remove_all = Settlement {
        remove_staged: seen.staged.is_some(),
        remove_previous: seen.previous.is_some(),
        ..Settlement::default()
    };
    let Some(record) = record else {
        let note = (remove_all.remove_staged || remove_all.remove_previous).then(leftovers);
        return Settlement { note, ..remove_all };
    };
    let Some(installed) = seen.installed else { return nothing_installed(record, seen, remove_all) };
    let Some(entry) = record.entry(installed).cloned() else {
        let newest = record.entries.last().cloned().into_iter().collect();
        let open = record.last_good != LastGood::Installed;
        let note = open.then(|| "the folder was replaced by hand and is taken as it is".to_owned());
        return Settlement { record: Record::only(newest, LastGood::Installed), note, ..remove_all };
    };
    let version = entry.version.as_ref().map_or_else(|| "an unknown version".to_owned(), ToString::to_string);
    match record.last_good {
        LastGood::Folder(good) if good == installed => Settlement {
            record: Record::only(vec![entry], LastGood::Installed),
            note: Some(format!("an interrupted update was undone; {version} is installed")),
            ..remove_all
        },
        LastGood::Folder(good) => {
            let keep_staged = seen.staged == Some(good);
            if !keep_staged && seen.previous != Some(good) {
                return Settlement {
                    // It has not run well for that, and what has may be had from the source.
                    record: Record::only(vec![entry], LastGood::Lost),
                    note: Some(format!("the folder of the version before {version} is gone")),
                    ..remove_all
                };
            }
            let kept = record.entry(good).cloned().into_iter().chain([entry]).collect();
            Settlement {
                clear_previous: keep_staged && seen.previous.is_some(),
                keep_staged,
                record: Record::only(kept, LastGood::Folder(good)),
                remove_staged: !keep_staged && seen.staged.is_some(),
                note: keep_staged.then(|| format!("an interrupted update to {version} was completed")),
                ..Settlement::default()
            }
        }
        last_good => Settlement {
            record: Record::only(vec![entry], last_good),
            note: (remove_all.remove_staged || remove_all.remove_previous).then(leftovers),
            ..remove_all
        },
    }
}

fn nothing_installed(record: Record, seen: Seen, remove_all: Settlement) -> Settlement {
    let LastGood::Folder(good) = record.last_good else {
        // Removed by hand, a first installation that did not come to pass, or one that was taken back.
        let note = (remove_all.remove_staged || remove_all.remove_previous).then(leftovers);
        return Settlement { note, ..remove_all };
    };
    let keep_staged = seen.staged == Some(good);
    if !keep_staged && seen.previous != Some(good) {
        return Settlement {
            note: Some("the module's folder is gone, and so is the one before it".to_owned()),
            ..remove_all
        };
    }
    Settlement {
        clear_previous: keep_staged && seen.previous.is_some(),
        keep_staged,
        put_back: true,
        record: Record::only(record.entry(good).cloned().into_iter().collect(), LastGood::Installed),
        remove_staged: !keep_staged && seen.staged.is_some(),
        remove_previous: false,
        note: Some("the module's folder was gone; the version before it was put back".to_owned()),
    }
}

fn leftovers() -> String {
    "what an interrupted installation left was removed".to_owned()
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
