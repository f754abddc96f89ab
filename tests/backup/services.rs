//! Units that a module declares are saved with it, and put back around its files.

use super::machine::{calls, machine, module};

#[test]
fn a_unit_that_was_stopped_is_started_again_and_one_that_was_started_is_stopped() {
    let root = machine();
    root.install(&module("return True"));
    let created = root.updates(&["backup", "create", "app"]);
    created.expect(0);
    assert!(created.stdout.contains("web.service: active (running), enabled"), "{}", created.stdout);
    std::fs::remove_file(root.at("/opt/units/web.service.active")).unwrap();
    root.write("/opt/units/idle.service.active", "").write("/srv/app/conf", "after");
    let differs = root.updates(&["backup", "show", "app", "--diff"]);
    for line in ["web.service: was active (running), enabled, is inactive", "idle.service: was inactive"] {
        assert!(differs.stdout.contains(line), "{}", differs.stdout);
    }
    root.updates(&["backup", "restore", "app", "--yes"]).expect(0);
    assert_eq!(root.read("/srv/app/conf"), "before");
    assert!(root.exists("/opt/units/web.service.active") && !root.exists("/opt/units/idle.service.active"));
    // It read the file of then.
    assert_eq!(root.read("/opt/units/web.service.read"), "before");
    root.updates(&["backup", "restore", "app"]).expect(0);
}

#[test]
fn a_forced_start_starts_what_did_not_run() {
    let root = machine();
    root.install(&module("return True"));
    root.updates(&["backup", "create", "app"]).expect(0);
    root.updates(&["backup", "restore", "app", "--force-start"]).expect(2);
    root.updates(&["backup", "restore", "app", "--force-start", "--yes"]).expect(0);
    assert!(root.exists("/opt/units/idle.service.active"));
    assert!(calls(&root).contains(&"start idle.service".to_owned()), "{:?}", calls(&root));
}

#[test]
fn without_a_systemd_files_are_saved_and_that_services_are_not_is_said() {
    let root = super::support::Root::new();
    root.install(&module("return True")).write("/srv/app/conf", "before");
    let created = root.updates(&["backup", "create", "app"]);
    created.expect(0);
    assert!(created.stdout.contains("NOT saved: idle.service, web.service"), "{}", created.stdout);
    root.write("/srv/app/conf", "after");
    root.updates(&["backup", "restore", "app", "--yes"]).expect(0);
    assert_eq!(root.read("/srv/app/conf"), "before");
}

#[test]
fn a_unit_that_can_not_be_started_is_told_and_restoring_again_goes_on() {
    let root = machine();
    root.install(&module("return True"));
    root.updates(&["backup", "create", "app"]).expect(0);
    std::fs::remove_file(root.at("/opt/units/web.service.active")).unwrap();
    root.write("/opt/units/web.service.fails", "").write("/srv/app/conf", "after");
    let failed = root.updates(&["backup", "restore", "app", "--yes"]);
    failed.expect(21);
    let said = format!("{}{}", failed.stdout, failed.stderr);
    assert!(
        said.contains("NOT put back") && said.contains("web.service") && said.contains("updates recover"),
        "{said}"
    );
    assert_eq!(root.read("/srv/app/conf"), "before");
    std::fs::remove_file(root.at("/opt/units/web.service.fails")).unwrap();
    let status = root.updates(&["status"]);
    assert!(status.stdout.contains("app:"), "{}", status.stdout);
    root.updates(&["recover"]).expect(0);
    assert!(root.exists("/opt/units/web.service.active"));
    root.updates(&["backup", "restore", "app"]).expect(0);
}

#[test]
fn the_files_of_a_database_are_shown_as_its_dump_and_not_as_left_alone() {
    let root = machine();
    rusqlite::Connection::open(root.at("/srv/app/data.db")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let database = serde_json::json!([{"type": "sqlite", "database": "/srv/app/data.db"}]);
    root.install(&module("return True").configuration("databases", database));
    root.updates(&["backup", "create", "app"]).expect(0);
    let shown = root.updates(&["backup", "show", "app"]).stdout;
    assert!(shown.contains("SQLite /srv/app/data.db: databases/db_0.sqlite"), "{shown}");
    assert!(!shown.contains("left alone"), "{shown}");
}
