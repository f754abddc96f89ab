//! The rule of settling: each moment at which a swap can be cut, and what holds for every state there can be.

use super::*;

const OLD: u64 = 1;
const NEW: u64 = 2;
const NEWER: u64 = 3;

fn entry(inode: u64) -> Entry {
    let version = Some(format!("{inode}.0.0").parse().unwrap());
    Entry { inode, version, tree: None, shipped: Some(format!("{{\"of\":{inode}}}")) }
}

fn record(inodes: &[u64], last_good: LastGood) -> Option<Record> {
    Some(Record { entries: inodes.iter().copied().map(entry).collect(), last_good })
}

fn seen(installed: u64, staged: u64, previous: u64) -> Seen {
    let some = |inode| (inode != 0).then_some(inode);
    Seen { installed: some(installed), staged: some(staged), previous: some(previous) }
}

// What a settlement leaves, as (installed, previous) and record.
fn after(record: Option<Record>, before: Seen) -> (Seen, Option<Record>) {
    let settlement = settle(record, before);
    let mut now = before;
    if settlement.clear_previous {
        now.previous = None;
    }
    if settlement.keep_staged {
        assert_eq!(now.previous, None, "a rename would replace");
        now.previous = now.staged.take();
    }
    if settlement.put_back {
        assert_eq!(now.installed, None, "a rename would replace");
        now.installed = now.previous.take();
    }
    if settlement.remove_staged {
        now.staged = None;
    }
    if settlement.remove_previous {
        now.previous = None;
    }
    (now, settlement.record)
}

#[test]
fn an_update_cut_before_the_exchange_is_undone() {
    let cut = record(&[OLD, NEW], LastGood::Folder(OLD));
    assert_eq!(after(cut, seen(OLD, NEW, 0)), (seen(OLD, 0, 0), record(&[OLD], LastGood::Installed)));
}

#[test]
fn an_update_cut_behind_the_exchange_is_completed() {
    let cut = record(&[OLD, NEW], LastGood::Folder(OLD));
    let done = (seen(NEW, 0, OLD), record(&[OLD, NEW], LastGood::Folder(OLD)));
    assert_eq!(after(cut.clone(), seen(NEW, OLD, 0)), done);
    assert_eq!(after(cut, seen(NEW, 0, OLD)), done);
}

#[test]
fn a_second_update_before_the_first_has_run_keeps_the_version_that_ran() {
    let cut = record(&[OLD, NEW, NEWER], LastGood::Folder(OLD));
    let undone = (seen(NEW, 0, OLD), record(&[OLD, NEW], LastGood::Folder(OLD)));
    assert_eq!(after(cut.clone(), seen(NEW, NEWER, OLD)), undone);
    let done = (seen(NEWER, 0, OLD), record(&[OLD, NEWER], LastGood::Folder(OLD)));
    assert_eq!(after(cut, seen(NEWER, NEW, OLD)), done);
}

#[test]
fn a_first_installation_cut_before_the_rename_is_undone_and_behind_it_waits_for_its_run() {
    let cut = record(&[NEW], LastGood::Absent);
    assert_eq!(after(cut.clone(), seen(0, NEW, 0)), (seen(0, 0, 0), None));
    assert_eq!(after(cut.clone(), seen(NEW, 0, 0)), (seen(NEW, 0, 0), cut));
}

#[test]
fn taking_back_an_update_is_finished_wherever_it_was_cut() {
    let cut = record(&[OLD, NEW], LastGood::Folder(OLD));
    assert_eq!(after(cut, seen(OLD, 0, NEW)), (seen(OLD, 0, 0), record(&[OLD], LastGood::Installed)));
}

#[test]
fn a_folder_that_the_catalog_did_not_make_needs_no_record_when_its_update_is_undone() {
    let by_hand = Entry { inode: OLD, version: None, tree: None, shipped: None };
    let cut = Some(Record { entries: vec![by_hand, entry(NEW)], last_good: LastGood::Folder(OLD) });
    assert_eq!(after(cut, seen(OLD, NEW, 0)), (seen(OLD, 0, 0), None));
}

#[test]
fn a_confirmed_module_keeps_its_record_and_loses_leftovers() {
    let confirmed = record(&[NEW], LastGood::Installed);
    assert_eq!(after(confirmed.clone(), seen(NEW, 7, OLD)), (seen(NEW, 0, 0), confirmed));
}

#[test]
fn a_folder_that_vanished_during_an_open_update_is_put_back() {
    let open = record(&[OLD, NEW], LastGood::Folder(OLD));
    assert_eq!(after(open.clone(), seen(0, 0, OLD)), (seen(OLD, 0, 0), record(&[OLD], LastGood::Installed)));
    assert_eq!(after(open, seen(0, OLD, 7)), (seen(OLD, 0, 0), record(&[OLD], LastGood::Installed)));
}

#[test]
fn a_version_whose_predecessor_is_gone_has_not_run_well_for_that() {
    let open = record(&[OLD, NEW], LastGood::Folder(OLD));
    let lost = (seen(NEW, 0, 0), record(&[NEW], LastGood::Lost));
    assert_eq!(after(open, seen(NEW, 0, 0)), lost);
    // The version that comes in its stead, cut before and behind the exchange.
    let cut = record(&[NEW, NEWER], LastGood::Lost);
    assert_eq!(after(cut.clone(), seen(NEW, NEWER, 0)), lost);
    assert_eq!(after(cut, seen(NEWER, NEW, 0)), (seen(NEWER, 0, 0), record(&[NEWER], LastGood::Lost)));
}

#[test]
fn in_every_state_the_module_stays_the_record_knows_it_and_settling_again_changes_nothing() {
    let inodes = [0, OLD, NEW, NEWER, 9];
    let goods = [LastGood::Installed, LastGood::Absent, LastGood::Lost, LastGood::Folder(OLD), LastGood::Folder(9)];
    let entries: [&[u64]; 4] = [&[NEW], &[OLD, NEW], &[OLD, NEW, NEWER], &[]];
    for installed in inodes {
        for staged in inodes {
            for previous in inodes {
                let before = seen(installed, staged, previous);
                let all = [before.installed, before.staged, before.previous];
                if all.iter().flatten().count() != all.iter().flatten().collect::<std::collections::HashSet<_>>().len()
                {
                    continue;
                }
                for good in goods {
                    for entries in entries {
                        let (now, settled) = after(record(entries, good), before);
                        assert_eq!(now.staged, None);
                        assert!(before.installed.is_none() || now.installed == before.installed, "{before:?} {good:?}");
                        let open = settled.as_ref().is_some_and(|record| record.last_good != LastGood::Installed);
                        assert!(now.previous.is_none() || open, "{before:?} {good:?}");
                        assert_eq!(after(settled.clone(), now), (now, settled), "{before:?} {good:?} {entries:?}");
                    }
                }
            }
        }
    }
}
