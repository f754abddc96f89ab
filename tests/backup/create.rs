//! Making a backup: what is in it, what it leaves in place when it fails.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::json;

use super::support::{Module, Root};
use super::{change, root, web};

#[test]
fn it_holds_what_the_module_declares_and_its_own_state_and_lies_open_to_ls_and_cat() {
    let root = root();
    root.install(
        &web().sandbox("read_write_paths", json!(["/srv/more/"])).sandbox("volatile_paths", json!(["/srv/cache/"])),
    );
    root.write("/srv/more/file", "more")
        .write("/srv/cache/file", "cache")
        .write("/var/lib/updates/state/web/count", "5");
    let created = root.updates(&["--json", "backup", "create", "web"]).expect(0).json();
    let files = "/var/backups/updates/web_backup/files";
    assert_eq!(root.read(&format!("{files}/srv/web/page")), "hello\n");
    assert_eq!(root.read(&format!("{files}/srv/more/file")), "more");
    assert_eq!(root.read(&format!("{files}/var/lib/updates/state/web/count")), "5");
    assert!(!root.exists(&format!("{files}/srv/cache/file")));
    assert!(created["left_out"][0].as_str().unwrap().starts_with("/srv/cache"), "{created:#}");
    let index = root.read_json("/var/backups/updates/module_backups.json");
    assert_eq!(index["web"]["module_name"], "web");
}

#[test]
fn what_has_not_changed_is_shared_and_counted_so() {
    let root = root();
    settle(&root);
    root.updates(&["backup", "create", "web"]).expect(0);
    root.write("/srv/web/new", "new");
    let created = root.updates(&["--json", "backup", "create", "web"]).expect(0).json();
    assert_eq!((&created["unchanged"], &created["copied"]), (&json!(2), &json!(1)), "{created:#}");
    settle(&root);
    let created = root.updates(&["--json", "backup", "create", "web"]).expect(0).json();
    let again = root.updates(&["--json", "backup", "create", "web"]).expect(0).json();
    assert_eq!((&again["reused"], &again["checksum"]), (&json!(true), &created["checksum"]));
}

/// Waits until the file system's clock has gone on: what is as young as a backup is copied once more by the next.
fn settle(root: &Root) {
    let tick = || {
        root.write("/probe", "");
        let found = fs::metadata(root.at("/probe")).unwrap();
        (found.ctime(), found.ctime_nsec() / 50_000_000)
    };
    let begun = tick();
    while tick() <= (begun.0, begun.1 + 1) {}
    fs::remove_file(root.at("/probe")).unwrap();
}

#[test]
fn one_that_fails_leaves_the_former_as_it_was() {
    let root = root();
    root.updates(&["backup", "create", "web"]).expect(0);
    let former = root.tree("/var/backups");
    root.install(&web().declares(&["/srv/web/", "/srv/link/below/"])).folder("/srv/elsewhere");
    std::os::unix::fs::symlink("elsewhere", root.at("/srv/link")).unwrap();
    change(&root);
    let ran = root.updates(&["backup", "create", "web"]);
    ran.expect(2);
    assert!(ran.stderr.contains("/srv/link is a symbolic link"), "{}", ran.stderr);
    former.assert_same(&root.tree("/var/backups"), "the former backup is not as it was");
}

#[test]
fn a_module_without_anything_to_save_says_so() {
    let root = Root::new();
    root.install(&Module::idle("idle", "1.0.0"));
    root.updates(&["run", "--no-sync"]).expect(0);
    let ran = root.updates(&["backup", "create", "idle"]);
    ran.expect(2);
    assert!(ran.stderr.contains("idle declares nothing that could be saved"), "{}", ran.stderr);
}

#[test]
fn a_slot_that_is_damaged_is_replaced() {
    let root = root();
    root.updates(&["backup", "create", "web"]).expect(0);
    root.write("/var/backups/updates/web_backup/manifest.json", "{");
    root.updates(&["backup", "create", "web"]).expect(0);
    root.updates(&["backup", "verify", "web"]).expect(0);
}

/// A file system of 256 KiB where backups are kept, gone with the value.
struct Small<'a>(&'a Root);

impl<'a> Small<'a> {
    fn new(root: &'a Root) -> Self {
        root.folder("/var/backups/updates");
        let place = root.at("/var/backups/updates");
        let mount =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "none"]).arg(place).status();
        assert!(mount.unwrap().success());
        Self(root)
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let place = self.0.at("/var/backups/updates");
        std::process::Command::new("umount").arg(place).status().unwrap();
    }
}

#[test]
fn where_there_is_no_room_it_says_how_much_it_needs_and_the_former_stays() {
    let root = root();
    let _small = Small::new(&root);
    root.updates(&["backup", "create", "web"]).expect(0);
    let former = root.tree("/var/backups");
    root.write("/srv/web/large", vec![7; 3 << 20]);
    let refused = root.updates(&["backup", "create", "web"]);
    refused.expect(1);
    for said in ["the backup of web needs 3.0 MiB", "/var/backups/updates has", "KiB free; free some or move it"] {
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    former.assert_same(&root.tree("/var/backups"), "the former backup is not as it was");
    root.updates(&["backup", "verify"]).expect(0);
}

#[test]
fn where_a_rollback_has_no_room_to_save_the_present_it_names_the_way_back_without() {
    let root = root();
    root.updates(&["run", "--no-sync"]).expect(0);
    root.write("/srv/web/large", vec![7; 3 << 20]);
    let _small = Small::new(&root);
    let refused = root.updates(&["rollback", "web", "--yes"]);
    refused.expect(1);
    assert!(refused.stderr.contains("updates backup restore web checkpoints/web"), "{}", refused.stderr);
    assert!(root.exists("/srv/web/large"));
    root.updates(&["backup", "restore", "web", "checkpoints/web", "--yes"]).expect(0);
    assert!(!root.exists("/srv/web/large") && !root.exists("/srv/web/visits"));
}
