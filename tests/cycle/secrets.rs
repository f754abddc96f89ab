//! A database's password is in the module's own file and in no file of ours.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::module;
use super::support::{Module, Root, Source};

const SECRET: &str = "correct-horse-battery";

fn app(version: &str) -> Module {
    let code = "from updates.utils.state_manager import StateManager\n\n\ndef main(args=None):\n    \
                db = {'type': 'sqlite', 'database': '/srv/app/db', 'password': 'correct-horse-battery'}\n    \
                state = StateManager()\n    \
                done = [state.backup_module_state('app', 'mine', ['/srv/app/conf'], None, [other]) for other in (\n        \
                {'type': 'mysql', 'database': 'x', 'password': 'correct-horse-battery'},)]\n    \
                return {'success': True, 'done': done + [state.backup_module_state('app', 'mine', ['/srv/app/conf'])]}\n";
    // What the module knows by heart is its own affair; the supervisor has it from the manifest and the request alone.
    Module::python("app", version, &code.replace("correct-horse-battery", "' + 'correct-horse' + '-battery"))
        .declares(&["/srv/app/"])
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

/// Files below the root that hold the password, but for the module's own and the copy of it that a merge needs.
fn leaks(root: &Root) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(root.path(), &mut found);
    found.retain(|path| {
        let own = path.ends_with("modules/app/index.json") || path.ends_with("modules/.app.previous/index.json");
        let shipped = path.ends_with("var/lib/updates/catalog/modules/app.json");
        let bytes = fs::read(path).unwrap();
        !own && !shipped && bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
    });
    found
}

// faults: 59
#[test]
fn a_password_reaches_no_file_and_no_output_of_ours() {
    let root = Root::new();
    root.write("/srv/app/conf", "before");
    let declared = |databases| app("1.0.0").configuration("databases", databases);
    let source = Source::of(&[&declared(json!([]))]);
    root.run(&["--source", source.path()]).0.expect(0);

    // A server that is not there, so that the module does not run and the reason is told; and one more try of it.
    let database = json!([{"type": "postgresql", "database": "app", "host": "/nonexistent", "user": "app",
        "password": SECRET}]);
    source.publish(&[&app("1.1.0").configuration("databases", database.clone())]);
    let mut printed = String::new();
    let mut say = |arguments: &[&str]| {
        let ran = root.updates(arguments);
        printed += &format!("{}{}", ran.stdout, ran.stderr);
    };
    say(&["run", "-v", "--source", source.path()]);
    say(&["sandbox", "grant", "app", "--yes"]);
    say(&["--json", "run", "--source", source.path()]);
    say(&["--json", "show", "app"]);
    say(&["show", "app"]);
    say(&["--json", "show", "last"]);
    say(&["logs"]);
    say(&["--json", "sandbox", "show", "app"]);
    assert!(!printed.contains(SECRET), "{printed}");
    assert_eq!(leaks(&root), Vec::<PathBuf>::new());
}

#[test]
fn a_password_in_a_request_reaches_no_file_of_ours() {
    let root = Root::new();
    root.write("/srv/app/conf", "before").install(&app("1.0.0"));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    assert_eq!(module(&record, "app")["result"]["done"], json!([false, true]), "{record:#}");
    assert!(root.exists("/var/backups/updates/app_backup/manifest.json"));
    assert_eq!(leaks(&root), Vec::<PathBuf>::new());
}

// faults: 58
#[test]
fn a_module_whose_database_does_not_answer_does_not_run_and_the_others_do() {
    let root = Root::new();
    let database = json!([{"type": "postgresql", "database": "app", "host": "/nonexistent", "password": SECRET}]);
    let writes = "def main(args=None):\n    open('/srv/app/conf', 'w').write('after')\n    return True\n";
    let app = Module::python("app", "1", writes).declares(&["/srv/app/"]).configuration("databases", database);
    root.write("/srv/app/conf", "before").install(&app).install(&Module::idle("other", "1"));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(20);
    assert_eq!(super::statuses(&record), ["app: failed", "other: succeeded"]);
    let message = module(&record, "app")["message"].as_str().unwrap();
    assert!(message.starts_with("did not run, since its checkpoint can't be taken: "), "{message}");
    assert!(message.contains("app"), "{message}");
    assert_eq!(root.read("/srv/app/conf"), "before");
    assert_eq!(leaks(&root), Vec::<PathBuf>::new());
}
