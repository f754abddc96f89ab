//! The checkpoint of the last successful run stays until the module has succeeded once more, and no run leaves one of its
//! own behind.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use serde_json::json;

use super::support::{Module, Root};
use super::{module, statuses};

const RETAINED: &str = "/var/lib/updates/checkpoints/app_backup";

/// Writes what `/srv/app/next` says into `/srv/app/now`, and fails when that is `fail`.
fn app() -> Module {
    let code = "def main(args):\n    next = open('/srv/app/next').read()\n    open('/srv/app/now', 'w').write(next)\n    \
                return {'success': next != 'fail'}\n";
    Module::python("app", "1.0.0", code).declares(&["/srv/app/"])
}

fn machine(module: &Module) -> Root {
    let root = Root::new();
    root.write("/srv/app/now", "zero").write("/srv/app/next", "one").install(module);
    root
}

fn retained(root: &Root) -> String {
    root.read(&format!("{RETAINED}/files/srv/app/now"))
}

/// What lies in the stores of checkpoints in flight.
fn in_flight(root: &Root) -> Vec<String> {
    let mut found = Vec::new();
    for phase in ["maintenance", "main"] {
        for entry in root.at(&format!("/var/lib/updates/in-flight/{phase}")).read_dir().unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name != "module_backups.json" {
                found.push(format!("{phase}/{name}"));
            }
        }
    }
    found
}

#[test]
fn after_a_run_that_went_well_the_state_before_it_is_kept_until_the_next_one_has() {
    let root = machine(&app());
    root.run(&["--no-sync"]).0.expect(0);
    assert_eq!((retained(&root), in_flight(&root)), ("zero".to_owned(), vec![]));

    root.write("/srv/app/next", "fail");
    root.run(&["--no-sync"]).0.expect(20);
    assert_eq!(root.read("/srv/app/now"), "one");
    assert_eq!((retained(&root), in_flight(&root)), ("zero".to_owned(), vec![]), "a failure takes nobody's way back");

    root.write("/srv/app/next", "two");
    root.run(&["--no-sync"]).0.expect(0);
    assert_eq!((retained(&root), in_flight(&root)), ("one".to_owned(), vec![]));
    let index = root.read_json("/var/lib/updates/checkpoints/module_backups.json");
    assert_eq!(index["app"]["backup_dir"], json!(root.at(RETAINED)), "{index:#}");
}

#[test]
fn a_run_that_changes_nothing_writes_no_checkpoint() {
    let root = machine(&app());
    root.write("/srv/app/now", "one");
    let files = |root: &Root| -> BTreeMap<String, (u64, i64, i64)> {
        let tree = root.at("/var/lib/updates");
        let mut found = BTreeMap::new();
        for folder in ["checkpoints", "checkpoints/app_backup", "in-flight/main", "in-flight/maintenance"] {
            for entry in tree.join(folder).read_dir().unwrap() {
                let (path, status) = (entry.as_ref().unwrap().path(), entry.unwrap().metadata().unwrap());
                found.insert(path.display().to_string(), (status.ino(), status.ctime(), status.ctime_nsec()));
            }
        }
        found
    };
    let idle = Module::python("app", "1.0.1", "def main(args):\n    return True\n").declares(&["/srv/app/"]);
    root.install(&idle);
    root.run(&["--no-sync"]).0.expect(0);
    // A ctime that is as young as the backup itself is looked at once more.
    root.run(&["--no-sync"]).0.expect(0);
    let before = files(&root);
    assert!(before.keys().any(|path| path.ends_with("checkpoints/app_backup")), "{before:#?}");
    root.run(&["--no-sync"]).0.expect(0);
    assert_eq!(files(&root), before);
}

#[test]
fn a_run_with_maintenance_goes_back_to_before_it() {
    let maintenance = "class AppMaintenance:\n    def __init__(self, config):\n        pass\n\n    def run_maintenance(self):\n        \
                       open('/srv/app/now', 'w').write('maintained')\n        return True\n";
    let root = machine(&app().file("maintenance.py", maintenance));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    assert_eq!(module(&record, "app")["attempts"].as_array().unwrap().len(), 2, "{record:#}");
    assert_eq!((retained(&root), in_flight(&root)), ("zero".to_owned(), vec![]));

    // Its main part fails: back to what maintenance left, which went well, and the way back is that of the run before.
    root.write("/srv/app/next", "fail");
    root.run(&["--no-sync"]).0.expect(20);
    assert_eq!(root.read("/srv/app/now"), "maintained");
    assert_eq!((retained(&root), in_flight(&root)), ("zero".to_owned(), vec![]));
}

#[test]
fn a_row_of_a_run_that_was_killed_after_the_promotion_finds_its_checkpoint() {
    let root = machine(&app());
    root.run(&["--no-sync"]).0.expect(0);
    root.write("/srv/app/next", "two");
    let before = root.read(&format!("{RETAINED}/manifest.json"));
    root.run(&["--no-sync"]).0.expect(0);
    // As a kill between the promotion and the end of the row leaves it: the former slot stands where the new one was made.
    let manifest = root.read(&format!("{RETAINED}/manifest.json"));
    let former = root.at("/var/lib/updates/in-flight/main/app_backup");
    std::fs::create_dir_all(former.join("files")).unwrap();
    std::fs::write(former.join("manifest.json"), before).unwrap();
    let checksum = manifest.rsplit('"').nth(1).unwrap();
    let payload =
        json!({"checkpoint": {"store": "/var/lib/updates/in-flight/main", "slot": "app", "checksum": checksum}});
    in_row(&root, &payload.to_string());

    let (ran, record) = root.run(&["--no-sync", "--wait=20"]);
    ran.expect(0);
    assert_eq!(record["recovered"][0]["complete"], true, "{record:#}");
    assert_eq!(statuses(&record), ["app: succeeded"]);
    assert_eq!(root.read("/srv/app/now"), "two", "it was put back, and ran again");
    assert_eq!((retained(&root), in_flight(&root)), ("one".to_owned(), vec![]));
}

/// Notes that `app` was running when the supervisor was killed.
fn in_row(root: &Root, payload: &str) {
    let database = rusqlite::Connection::open(root.at("/var/lib/updates/updates.db")).unwrap();
    let statement = "INSERT INTO in_flight (module, run_id, phase, attempt, payload) \
                     VALUES ('app', '20260101T000000Z-0000', 'main', 1, ?1)";
    database.execute(statement, [payload]).unwrap();
}

#[test]
fn a_restore_that_a_person_asked_for_and_that_was_killed_is_finished_by_the_next_start() {
    let root = machine(&app());
    root.run(&["--no-sync"]).0.expect(0);
    assert_eq!(root.read("/srv/app/now"), "one");
    let manifest = root.read(&format!("{RETAINED}/manifest.json"));
    let checksum = manifest.rsplit('"').nth(1).unwrap();
    let restore = json!({"store": "/var/lib/updates/checkpoints", "slot": "app", "checksum": checksum});
    in_row(&root, &json!({"restore": restore}).to_string());
    root.updates(&["recover"]).expect(0);
    assert_eq!(root.read("/srv/app/now"), "zero");
    root.updates(&["recover"]).expect(0);
    assert_eq!(root.read("/srv/app/now"), "zero", "it is settled");
}
