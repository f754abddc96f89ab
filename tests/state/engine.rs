//! What long work says and heeds: progress, an interrupt, further slots to link from, and a look at a part of a slot.

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use updates::database::Passwords;
use updates::state::{Damage, Live, Sealed, StateError, Step, Store};

use crate::ground::{Ground, declared, name};

#[test]
fn a_backup_and_its_verification_tell_how_far_they_have_come() {
    let ground = Ground::new();
    for number in 0..200 {
        ground.write(&format!("/etc/app/{number}"), "x");
    }
    let mut told = Vec::new();
    let pending = ground.store.begin(&name("app"), &name("app"), "").paths(declared(&["/etc/app"]));
    let (sender, receiver) = std::sync::mpsc::channel();
    let backup =
        pending.progress(move |progress| sender.send(progress).unwrap()).seal(&ground.machine()).unwrap().into_backup();
    told.extend(receiver.try_iter());
    let end = told.last().unwrap();
    assert_eq!((end.step, end.done, end.total, end.bytes), (Step::Copy, 201, Some(201), 200));
    assert!(told.iter().any(|progress| progress.step == Step::Walk && progress.done == 201));
    let mut last = None;
    backup.verify_with(&mut |progress| last = Some(progress)).unwrap();
    assert_eq!(last.map(|last| (last.step, last.done, last.total)), Some((Step::Verify, 201, Some(201))));
}

#[test]
fn an_interrupt_ends_a_backup_and_leaves_the_former_slot() {
    let ground = Ground::new();
    ground.write("/etc/app/a", "one");
    let former = ground.seal(&["/etc/app"]).info().checksum;
    ground.write("/etc/app/a", "two");
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"!").unwrap();
    let (machine, passwords) = (ground.machine(), Passwords::default());
    let live = Live {
        machine: &machine,
        systemd: None,
        passwords: &passwords,
        interrupt: Some(reader.as_fd()),
        by_content: false,
    };
    let sealed = ground.store.begin(&name("app"), &name("app"), "").paths(declared(&["/etc/app"])).seal(live);
    assert!(matches!(sealed, Err(StateError::Interrupted(_))), "{sealed:?}");
    assert_eq!(ground.load().info().checksum, former);
    assert!(!ground.store.root().join(".app_backup.new").exists());
}

#[test]
fn a_further_slot_lends_its_content_and_is_returned_when_it_says_what_is_live() {
    let ground = Ground::new();
    ground.write("/etc/app/same", "same");
    ground.write("/etc/app/other", "one");
    // Long enough ago by the file system's clock.
    let probe = ground.folder.path().join("probe");
    let ctime = || {
        fs::write(&probe, "").unwrap();
        let found = fs::metadata(&probe).unwrap();
        found.ctime() * 1_000_000_000 + found.ctime_nsec()
    };
    let start = ctime();
    while ctime() < start + 30_000_000 {}
    let kept = Store::open(&ground.folder.path().join("kept")).unwrap();
    let seal = |store: &Store| {
        store.begin(&name("app"), &name("app"), "").paths(declared(&["/etc/app"])).seal(&ground.machine()).unwrap()
    };
    let further = seal(&kept).into_backup();
    let pending = || ground.store.begin(&name("app"), &name("app"), "").paths(declared(&["/etc/app"]));
    let again = pending().link_from(&further).seal(&ground.machine()).unwrap();
    assert!(matches!(&again, Sealed::Reused(slot) if slot.path() == further.path()));
    ground.write("/etc/app/other", "two");
    let written = pending().link_from(&further).seal(&ground.machine()).unwrap();
    assert!(matches!(&written, Sealed::Written(..)));
    let inode = |slot: &std::path::Path, name: &str| fs::metadata(slot.join("files/etc/app").join(name)).unwrap().ino();
    assert_eq!(inode(&ground.slot(), "same"), inode(further.path(), "same"));
    assert_ne!(inode(&ground.slot(), "other"), inode(further.path(), "other"));
    written.into_backup().verify().unwrap();
}

#[test]
fn a_look_at_a_part_finds_rot_when_it_comes_to_it_and_counts_what_it_saw() {
    let ground = Ground::new();
    ground.write("/etc/app/a", "one");
    let backup = ground.seal(&["/etc/app"]);
    let sampled = backup.verify_within(Duration::from_secs(60)).unwrap();
    assert_eq!((sampled.looked_at, sampled.of), (2, 2));
    assert_eq!(backup.verify_within(Duration::ZERO).unwrap().looked_at, 1);
    fs::write(ground.slot().join("files/etc/app/a"), "onf").unwrap();
    let found = backup.verify_within(Duration::from_secs(60));
    assert!(matches!(found, Err(StateError::Damaged { damage: Damage::Differs(_), .. })), "{found:?}");
}

#[test]
fn hundreds_of_files_with_several_names_come_back_in_the_manifests_order() {
    let ground = Ground::new();
    for number in 0..300 {
        ground.write(&format!("/etc/app/d{}/f{number}", number % 7), &"y".repeat(number * 97));
        fs::hard_link(
            ground.at(&format!("/etc/app/d{}/f{number}", number % 7)),
            ground.at(&format!("/etc/app/a{number}")),
        )
        .unwrap();
    }
    let before = ground.observe("/etc/app");
    let backup = ground.seal(&["/etc/app"]);
    let paths: Vec<_> = backup.entries().unwrap().map(|entry| entry.unwrap().path).collect();
    assert!(paths.is_sorted() && paths.len() == 608, "{}", paths.len());
    fs::remove_dir_all(ground.at("/etc/app")).unwrap();
    ground.restore().unwrap();
    assert_eq!(ground.observe("/etc/app"), before);
    backup.verify().unwrap();
}
