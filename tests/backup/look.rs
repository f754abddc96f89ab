//! What people read, command by command, and that looking changes nothing.

use super::support::Root;
use super::{change, root, seen};
use crate::assert_seen;

#[test]
fn a_backup_from_its_making_to_its_end() {
    let root = root();
    let before = seen(
        &root,
        &[&["backup", "list"], &["backup", "create", "web"], &["backup", "create", "web"], &["backup", "list"]],
    );
    change(&root);
    let after = seen(
        &root,
        &[
            &["backup", "show", "web", "--diff"],
            &["backup", "restore", "web"],
            &["backup", "restore", "web", "--yes"],
            &["backup", "restore", "web"],
            &["backup", "show", "web", "--diff"],
            &["history"],
            &["show", "last"],
            &["backup", "verify"],
            &["backup", "remove", "web"],
            &["backup", "remove", "web", "--yes"],
            &["backup", "verify"],
        ],
    );
    assert_seen!(format!("{before}\n{after}"));
}

#[test]
fn a_rollback_and_its_undoing() {
    let root = root();
    root.updates(&["run", "--no-sync"]).expect(0);
    assert_seen!(seen(
        &root,
        &[
            &["rollback", "web"],
            &["rollback", "web", "--yes"],
            &["rollback", "web"],
            &["backup", "list"],
            &["backup", "restore", "web", "web_before-rollback", "--yes"],
            &["history"],
        ],
    ));
}

#[test]
fn long_lists_are_cut_and_counted_unless_all_is_asked_for() {
    let root = root();
    root.updates(&["backup", "create", "web"]).expect(0);
    for number in 0..60 {
        root.write(&format!("/srv/web/many/{number:02}"), "");
        root.write(&format!("/srv/web/new-{number:02}"), "");
    }
    let short = root.updates(&["backup", "show", "web", "--diff"]);
    assert!(short.stdout.contains("more paths (in all: 1 attributes, 61 new)"), "{}", short.stdout);
    assert!(!short.stdout.contains("new-59"), "{}", short.stdout);
    let long = root.updates(&["backup", "show", "web", "--diff", "-v"]);
    assert!(long.stdout.contains("new-59") && !long.stdout.contains("more path"), "{}", long.stdout);
    let json = root.updates(&["--json", "backup", "show", "web", "--diff"]).json();
    assert_eq!(json["differences"]["paths"].as_array().unwrap().len(), 62);
}

#[test]
fn looking_writes_nothing() {
    let root = Root::new();
    let before = super::support::Tree::of(root.path(), &[]);
    root.updates(&["backup", "list"]).expect(0);
    root.updates(&["backup", "verify"]).expect(0);
    before.assert_same(&super::support::Tree::of(root.path(), &[]), "a look at nothing made something");

    let root = super::root();
    root.updates(&["backup", "create", "web"]).expect(0);
    change(&root);
    let before = super::support::Tree::of(root.path(), &[]);
    for arguments in [
        &["backup", "list"][..],
        &["backup", "show", "web"],
        &["backup", "show", "web", "--diff"],
        &["backup", "verify", "web"],
    ] {
        root.updates(arguments).expect(0);
    }
    before.assert_same(&super::support::Tree::of(root.path(), &[]), "a look changed something");
}

#[test]
fn every_answer_has_json() {
    let root = root();
    root.updates(&["run", "--no-sync"]).expect(0);
    let created = root.updates(&["--json", "backup", "create", "web", "--description", "by a program"]).json();
    assert_eq!(
        (&created["slot"], &created["reused"], &created["files"]),
        (&"updates/web".into(), &false.into(), &3.into())
    );
    assert_eq!(created["description"], "by a program");
    let list = root.updates(&["--json", "backup", "list"]).json();
    let labels: Vec<_> = list["slots"].as_array().unwrap().iter().map(|slot| slot["slot"].as_str().unwrap()).collect();
    assert_eq!(labels, ["updates/web", "checkpoints/web"]);
    let slot = &list["slots"][0];
    assert_eq!((&slot["kind"], &slot["bytes"]), (&"backup".into(), &16.into()), "{slot:#}");
    assert!(slot["created"].as_str().unwrap().ends_with('Z'));
    change(&root);
    let asked = root.updates(&["--json", "backup", "restore", "web"]);
    asked.expect(2);
    assert_eq!(asked.json()["done"], false);
    assert_eq!(root.read("/srv/web/page"), "changed\n");
    let done = root.updates(&["--json", "backup", "restore", "web", "--yes"]).expect(0).json();
    assert_eq!((&done["done"], &done["run"]["kind"]), (&true.into(), &"restore".into()));
    assert_eq!(done["run"]["modules"][0]["status"], "restored");
    let kinds: Vec<String> = done["changes"]["paths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| format!("{} {}", each["change"].as_str().unwrap(), each["path"].as_str().unwrap()))
        .collect();
    assert_eq!(
        kinds,
        ["attributes /srv/web", "remove /srv/web/added", "create /srv/web/other", "content /srv/web/page"]
    );
    let nothing = root.updates(&["--json", "backup", "restore", "web"]).expect(0).json();
    assert_eq!((&nothing["done"], &nothing["changes"]["paths"]), (&false.into(), &serde_json::json!([])));
    assert_eq!(root.updates(&["--json", "backup", "verify"]).expect(0).json()["damaged"], serde_json::json!([]));
    assert_eq!(root.updates(&["--json", "backup", "remove", "web", "--yes"]).expect(0).json()["removed"], true);
}
