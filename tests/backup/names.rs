//! Names that are wrong, and what is said to them.

use super::support::Root;
use super::{root, seen};
use crate::assert_seen;

#[test]
fn a_wrong_name_is_answered_with_the_nearest() {
    let root = root();
    root.updates(&["run", "--no-sync"]).expect(0);
    root.updates(&["backup", "create", "web"]).expect(0);
    root.install(&super::support::Module::idle("idle", "1.0.0"));
    assert_seen!(seen(
        &root,
        &[
            &["backup", "create", "wbe"],
            &["backup", "show", "wbe"],
            &["backup", "restore", "nothing-like-it"],
            &["backup", "restore", "web", "updates/wbe"],
            &["backup", "restore", "web", "checkpoint/web"],
            &["backup", "restore", "idle"],
            &["backup", "restore", "idle", "updates/web"],
            &["backup", "remove", "idle", "--yes"],
            &["backup", "verify", "wbe"],
            &["rollback", "wbe"],
            &["rollback", "idle"],
            &["backup", "restore", "../web"],
        ],
    ));
}

#[test]
fn of_several_slots_none_is_guessed() {
    let root = root();
    root.updates(&["backup", "create", "web"]).expect(0);
    for store in ["one", "two"] {
        root.folder(&format!("/var/backups/{store}"));
        let slot = root.at(&format!("/var/backups/{store}/web_backup"));
        copy(&root, "/var/backups/updates/web_backup", &slot);
    }
    std::fs::remove_dir_all(root.at("/var/backups/updates")).unwrap();
    let ran = root.updates(&["backup", "show", "web"]);
    ran.expect(2);
    assert!(ran.stderr.contains("name one of one/web, two/web"), "{}", ran.stderr);
    root.updates(&["backup", "show", "web", "two/web"]).expect(0);
    root.updates(&["backup", "verify"]).expect(0);
}

fn copy(root: &Root, from: &str, to: &std::path::Path) {
    let status = std::process::Command::new("cp").arg("-a").arg(root.at(from)).arg(to).status().unwrap();
    assert!(status.success());
}
