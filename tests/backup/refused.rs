//! What is refused, and that nothing is changed by it.

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
