//! What is refused, and that nothing is changed by it.

use super::support::Module;
use super::{change, root};

#[test]
fn a_backup_of_a_module_that_is_not_put_back_yet_is_refused_and_a_restore_is_the_way_out() {
    let root = root();
    root.updates(&["backup", "create", "web"]).expect(0);
    let good = root.tree("/srv/web");
    root.updates(&["run", "--no-sync"]).expect(0);
    let database = root.at("/var/lib/updates/updates.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    connection
        .execute(
            "INSERT INTO in_flight (module, run_id, phase, attempt, tries, payload)
             VALUES ('web', '20260101T000000Z-0000', 'main', 1, 99, 'null')",
            [],
        )
        .unwrap();
    change(&root);
    let refused = root.updates(&["backup", "create", "web"]);
    refused.expect(21);
    assert!(refused.stderr.contains("web does not run before it is put back"), "{}", refused.stderr);
    root.updates(&["backup", "remove", "web", "checkpoints/web", "--yes"]).expect(21);
    assert!(root.exists("/var/lib/updates/checkpoints/web_backup"));
    // A refusal changes nothing of that.
    let page = "/var/backups/updates/web_backup/files/srv/web/page";
    let former = root.read(page);
    root.write(page, "hellO\n");
    root.updates(&["backup", "restore", "web", "--yes"]).expect(21);
    let tries: u32 =
        connection.query_row("SELECT tries FROM in_flight WHERE module = 'web'", [], |row| row.get(0)).unwrap();
    assert_eq!(tries, 99);
    root.write(page, former);
    root.updates(&["backup", "restore", "web", "--yes"]).expect(0);
    good.assert_same(&root.tree("/srv/web"), "not as it was saved");
    root.updates(&["backup", "create", "web"]).expect(0);
    root.updates(&["run", "--no-sync"]).expect(0);
}

#[test]
fn a_backup_that_another_module_made_under_the_name_is_not_replaced() {
    let root = root();
    let code = "from updates.utils.state_manager import StateManager\n\n\ndef main(args=None):\n    \
                return {'success': StateManager().backup_module_state('web_x', files=['/srv/web/'])}\n";
    root.install(&Module::python("web", "1.0.0", code).declares(&["/srv/web/"]));
    root.updates(&["run", "--no-sync"]).expect(0);
    let saved = root.tree("/var/backups");
    root.install(&Module::python("web_x", "1.0.0", "").declares(&["/srv/x/"]));
    let refused = root.updates(&["backup", "create", "web_x"]);
    refused.expect(2);
    assert!(refused.stderr.contains("updates backup remove web updates/web_x"), "{}", refused.stderr);
    saved.assert_same(&root.tree("/var/backups"), "the other module's backup is gone");
    root.updates(&["backup", "remove", "web", "updates/web_x", "--yes"]).expect(0);
    root.updates(&["backup", "create", "web_x"]).expect(0);
}

#[test]
fn a_backup_that_a_newer_program_made_is_neither_called_damaged_nor_replaced() {
    let root = root();
    root.updates(&["backup", "create", "web"]).expect(0);
    let manifest = "/var/backups/updates/web_backup/manifest.json";
    let newer = root.read(manifest).replacen("{\"format\":2,", "{\"format\":99,", 1);
    root.write(manifest, newer);
    let saved = root.tree("/var/backups");
    change(&root);
    let refused = root.updates(&["backup", "create", "web"]);
    refused.expect(2);
    assert!(refused.stderr.contains("use the newer program; to be rid of it:"), "{}", refused.stderr);
    for look in ["list", "verify"] {
        let told = root.updates(&["backup", look]).stdout;
        assert!(!told.contains("DAMAGED") && !told.contains("backup create"), "{told}");
        assert!(told.contains("use the newer program"), "{told}");
    }
    saved.assert_same(&root.tree("/var/backups"), "what the newer program saved is gone");
}
