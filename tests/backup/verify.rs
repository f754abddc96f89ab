//! Damage is found, named with its way out, and never put back.

use super::{change, root, seen};
use crate::assert_seen;

#[test]
fn a_flipped_byte_is_found_by_verify_alone_and_refused_before_the_first_write() {
    let root = root();
    root.updates(&["run", "--no-sync"]).expect(0);
    root.updates(&["backup", "create", "web"]).expect(0);
    root.write("/var/backups/updates/web_backup/files/srv/web/page", "hellO\n");
    root.updates(&["backup", "list"]).expect(0);
    change(&root);
    let before = root.tree("/srv");
    assert_seen!(seen(
        &root,
        &[&["backup", "verify"], &["-q", "backup", "verify"], &["backup", "restore", "web", "--yes"]]
    ));
    before.assert_same(&root.tree("/srv"), "a damaged slot was put back");
    // Nothing of it waits to be gone on with.
    let recovered = root.updates(&["recover"]);
    assert!(recovered.stdout.contains("Nothing to recover"), "{}", recovered.stdout);
    root.updates(&["backup", "create", "web"]).expect(0);
    root.updates(&["backup", "verify"]).expect(0);
}

#[test]
fn a_broken_manifest_is_listed_as_damaged_with_the_way_out() {
    let root = root();
    root.updates(&["run", "--no-sync"]).expect(0);
    root.updates(&["backup", "create", "web"]).expect(0);
    for slot in ["/var/backups/updates/web_backup", "/var/lib/updates/checkpoints/web_backup"] {
        let manifest = format!("{slot}/manifest.json");
        let text = root.read(&manifest);
        root.write(&manifest, &text[..text.len() - 10]);
    }
    assert_seen!(seen(
        &root,
        &[
            &["backup", "list"],
            &["backup", "show", "web"],
            &["backup", "verify", "web"],
            &["backup", "restore", "web", "--yes"],
            &["rollback", "web", "--yes"],
            &["backup", "remove", "web", "--yes"],
            &["backup", "remove", "web", "checkpoints/web", "--yes"],
            &["backup", "list"],
        ],
    ));
}
