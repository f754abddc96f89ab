//! Where slots are looked for: each store directly below /var/backups, and nothing that is none.

use serde_json::{Value, json};

use super::root;
use super::support::{Module, Root};

fn labels(root: &Root) -> Vec<String> {
    let list: Value = root.updates(&["--json", "backup", "list"]).json();
    let each = |key: &str| list[key].as_array().unwrap().clone();
    each("slots").into_iter().chain(each("damaged")).map(|slot| slot["slot"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_a_module_asked_for_is_listed_and_belongs_to_it() {
    let root = root();
    let code = "from updates.utils.state_manager import StateManager\n\n\ndef main(args=None):\n    \
                StateManager('/var/backups/own').backup_module_state('own_first', description='its own', \
                files=['/srv/own/'])\n    return {'success': True}\n";
    root.install(&Module::python("own", "1.0.0", code).declares(&["/srv/own/"])).write("/srv/own/file", "x");
    root.updates(&["run", "--no-sync", "own"]).expect(0);
    let slot = &root.updates(&["--json", "backup", "list"]).json()["slots"][0];
    assert_eq!((&slot["slot"], &slot["module"]), (&json!("own/own_first"), &json!("own")), "{slot:#}");
    root.write("/srv/own/file", "y");
    root.updates(&["backup", "restore", "own", "--yes"]).expect(0);
    assert_eq!(root.read("/srv/own/file"), "x");
    root.updates(&["backup", "restore", "web", "own/own_first", "--yes"]).expect(2);
}

#[test]
fn folders_of_other_programs_and_links_are_no_stores() {
    let root = root();
    root.updates(&["backup", "create", "web"]).expect(0);
    root.write("/var/backups/dpkg.status.0", "").write("/var/backups/mysql/daily_backup/dump.sql", "");
    root.write("/var/backups/with space/web_backup/manifest.json", "{}");
    std::os::unix::fs::symlink("updates", root.at("/var/backups/link")).unwrap();
    assert_eq!(labels(&root), ["updates/web"]);
}

#[test]
fn a_store_that_is_called_like_the_supervisors_own_is_named_in_full() {
    let root = root();
    root.updates(&["run", "--no-sync"]).expect(0);
    root.updates(&["backup", "create", "web"]).expect(0);
    std::fs::rename(root.at("/var/backups/updates"), root.at("/var/backups/checkpoints")).unwrap();
    let full = format!("{}/web", root.at("/var/backups/checkpoints").display());
    assert_eq!(labels(&root), [full.as_str(), "checkpoints/web"]);
    root.updates(&["backup", "remove", "web", &full, "--yes"]).expect(0);
    assert_eq!(labels(&root), ["checkpoints/web"]);
}

#[test]
fn other_programs_folders_are_left_alone_whatever_they_are_called() {
    let root = root();
    for name in ["db_backup/dump", ".db_backup.old/dump", ".db_backup.new/dump", ".db_backup.before/dump"] {
        root.write(&format!("/var/backups/other/{name}"), "theirs");
    }
    let before = root.tree("/var/backups/other");
    root.updates(&["run", "--no-sync"]).expect(0);
    root.updates(&["backup", "create", "web"]).expect(0);
    root.updates(&["recover"]).expect(0);
    before.assert_same(&root.tree("/var/backups/other"), "another program's folder was touched");
}
