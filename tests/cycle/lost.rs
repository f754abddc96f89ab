//! The database that says which modules were running is lost with them: what lies in flight still says where they go back to.

use std::fs;
use std::time::Duration;

use super::support::{Module, Root, until};

const DATABASE: &str = "/var/lib/updates/updates.db";

/// Changes its file and a slot of its own, then waits for `/srv/app/go`.
fn app() -> Module {
    let code = "import os, time\nfrom updates.utils.state_manager import backup_module_simple\n\n\ndef main(args):\n    \
                backup_module_simple('app', files=['/srv/app/file'])\n    \
                open('/srv/app/file', 'a').write(' and after')\n    \
                backup_module_simple('app', files=['/srv/app/file'])\n    open('/srv/app/here', 'w').close()\n    \
                while not os.path.exists('/srv/app/go'):\n        time.sleep(0.01)\n    return True\n";
    Module::python("app", "1", code).declares(&["/srv/app/"])
}

fn lose(root: &Root, what: &str) {
    for companion in ["-wal", "-shm"] {
        fs::remove_file(root.at(&format!("{DATABASE}{companion}"))).ok();
    }
    match what {
        "gone" => fs::remove_file(root.at(DATABASE)).unwrap(),
        _ => {
            root.write(DATABASE, "it was a database".repeat(1000));
        }
    }
}

#[test]
fn a_module_that_ran_when_the_history_was_lost_is_put_back_with_its_slots() {
    for what in ["gone", "garbage"] {
        let root = Root::new();
        root.write("/srv/app/file", "before").write("/srv/app/go", "").install(&app());
        root.run(&["--no-sync"]).0.expect(0);
        fs::remove_file(root.at("/srv/app/go")).unwrap();
        fs::remove_file(root.at("/srv/app/here")).unwrap();
        let before = (root.tree("/srv/app"), root.read("/var/backups/updates/app_backup/manifest.json"));
        let run = root.start(&["run", "--no-sync"]);
        until("the module has changed everything", || root.exists("/srv/app/here"));
        run.kill_after(Duration::ZERO);
        lose(&root, what);
        root.install(&Module::idle("idle", "1"));
        let (ran, record) = root.run(&["--no-sync", "--wait=20", "idle"]);
        ran.expect(0);
        assert_eq!(record["recovered"][0]["module"], "app", "{what}: {record:#}");
        assert!(record["problems"].to_string().contains("is older than the history"), "{what}: {record:#}");
        assert_eq!(before, (root.tree("/srv/app"), root.read("/var/backups/updates/app_backup/manifest.json")));
        assert!(!root.exists("/var/lib/updates/in-flight/main/app_backup"));
        assert!(!root.exists("/var/backups/updates/.app_backup.before"));
        let (_, record) = root.run(&["--no-sync", "idle"]);
        assert_eq!((record.get("recovered"), record.get("problems")), (None, None), "{what}: {record:#}");
    }
}

#[test]
fn a_module_that_had_ended_well_when_the_history_was_lost_stays_as_it_is() {
    let root = Root::new();
    root.write("/srv/app/file", "before").write("/srv/app/go", "").install(&app());
    root.run(&["--no-sync"]).0.expect(0);
    let former = root.path().join("former");
    fs::rename(root.at("/var/lib/updates/checkpoints/app_backup"), &former).unwrap();
    root.run(&["--no-sync"]).0.expect(0);
    // As a kill right after the promotion and the end of the row leaves it.
    fs::rename(&former, root.at("/var/lib/updates/in-flight/main/app_backup")).unwrap();
    let after = root.tree("/srv/app");
    lose(&root, "gone");
    root.updates(&["recover"]).expect(0);
    assert_eq!(root.tree("/srv/app"), after);
    assert!(!root.exists("/var/lib/updates/in-flight/main/app_backup"));
}

#[test]
fn a_row_that_was_damaged_holds_its_module_or_gives_way_and_never_stops_every_run() {
    for (damage, held) in [("payload = '{\"checkpoint\": {\"sto'", true), ("phase = 'mbin'", false)] {
        let root = Root::new();
        root.write("/srv/app/file", "before").install(&app());
        let before = root.read("/srv/app/file");
        let run = root.start(&["run", "--no-sync"]);
        until("the module has changed everything", || root.exists("/srv/app/here"));
        run.kill_after(Duration::ZERO);
        let database = rusqlite::Connection::open(root.at(DATABASE)).unwrap();
        assert_eq!(database.execute(&format!("UPDATE in_flight SET {damage}"), []).unwrap(), 1);
        drop(database);
        root.install(&Module::idle("idle", "1"));
        let (ran, record) = root.run(&["--no-sync", "--wait=20", "idle"]);
        if held {
            ran.expect(21);
            assert!(record["recovered"][0]["error"].to_string().contains("--accept app"), "{record:#}");
            assert!(root.exists("/var/lib/updates/in-flight/main/app_backup"), "a person may still want it");
            root.updates(&["recover", "--accept", "app"]).expect(0);
        } else {
            ran.expect(0);
            assert_eq!(root.read("/srv/app/file"), before, "{record:#}");
        }
        root.run(&["--no-sync", "idle"]).0.expect(0);
    }
}

#[test]
fn a_file_that_was_being_written_when_a_run_was_killed_is_removed_by_the_next() {
    let root = Root::new();
    root.write("/srv/app/file", "before").write("/srv/app/go", "").install(&app());
    let folders = ["", "/catalog", "/catalog/modules", "/catalog/safe", "/catalog/grants", "/self-update"];
    for folder in folders {
        root.write(&format!("/var/lib/updates{folder}/.updates-Xy12"), "half of");
    }
    root.run(&["--no-sync"]).0.expect(0);
    for folder in folders {
        assert!(!root.exists(&format!("/var/lib/updates{folder}/.updates-Xy12")), "left in {folder}");
    }
}
