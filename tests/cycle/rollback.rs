//! New versions that fail: their code and their files are taken back, and they are not tried again.

use serde_json::json;

use super::support::{Module, Root, Source, Tree, normal, until};
use super::{changes, module, statuses};

/// Writes its version into its declared file, and fails when told to.
fn app(version: &str, fails: bool) -> Module {
    let code = format!(
        "def main(args):\n    with open('/srv/app/version', 'w') as file:\n        file.write('{version}')\n    \
         if {}:\n        raise RuntimeError('{version} is broken')\n    return {{'success': True, 'updated': True}}\n",
        if fails { "True" } else { "False" }
    );
    Module::python("app", version, &code).file("data/of", version).declares(&["/srv/app/"])
}

fn root_with_first_version() -> (Root, Source) {
    let (root, source) = (Root::new(), Source::of(&[&app("1.0.0", false)]));
    root.folder("/srv/app");
    root.run(&["--source", source.path()]).0.expect(0);
    assert_eq!(root.read("/srv/app/version"), "1.0.0");
    (root, source)
}

#[test]
fn a_broken_new_version_is_taken_back_held_and_replaced_by_a_newer_one() {
    let (root, source) = root_with_first_version();
    let (code, files) = (root.tree("/usr/local/lib/updates/modules"), root.tree("/srv"));

    source.publish(&[&app("2.0.0", true)]);
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(20);
    assert_eq!(changes(&record), ["app: updated 1.0.0 -> 2.0.0"]);
    assert_eq!(statuses(&record), ["app: rolled_back"]);
    let rollback = &module(&record, "app")["rollback"];
    assert_eq!((&rollback["code"], &rollback["complete"]), (&json!(true), &json!(true)), "{rollback:#}");
    assert_eq!(code.content(), root.tree("/usr/local/lib/updates/modules").content(), "the code is not back");
    files.assert_same(&root.tree("/srv"), "the files are not back");

    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    assert_eq!(changes(&record), ["app: held 1.0.0 -> 2.0.0"]);
    insta::assert_json_snapshot!(record["updates"][0]["notes"]);
    assert_eq!(statuses(&record), ["app: updated"], "the former version runs on");
    assert_eq!(root.read("/srv/app/version"), "1.0.0");

    source.publish(&[&app("2.0.1", false)]);
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    assert_eq!(changes(&record), ["app: updated 1.0.0 -> 2.0.1"]);
    assert_eq!(root.read("/srv/app/version"), "2.0.1");
}

#[test]
fn a_local_change_survives_the_return_to_the_former_version() {
    let (root, source) = root_with_first_version();
    let index = "/usr/local/lib/updates/modules/app/index.json";
    let mut changed = root.read_json(index);
    changed["configuration"]["local"] = json!(true);
    root.write(index, changed.to_string());
    source.publish(&[&app("2.0.0", true)]);
    root.run(&["--source", source.path()]).0.expect(20);
    assert_eq!(root.read_json(index), changed);
}

#[test]
fn a_new_module_whose_first_run_fails_is_taken_away_again() {
    let (root, source) = (Root::new(), Source::of(&[&app("1.0.0", true), &Module::idle("other", "1")]));
    root.folder("/srv/app");
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(20);
    assert_eq!(statuses(&record), ["app: rolled_back", "other: succeeded"]);
    assert!(!root.exists("/srv/app/version"));
    assert!(!root.modules().join("app").exists(), "the module that never ran well is still installed");
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    assert_eq!(record["updates"][0]["change"], "held", "{record:#}");
}

#[test]
fn a_version_that_has_run_well_keeps_its_code_when_it_fails_later() {
    let code = "import os\ndef main(args):\n    if os.path.exists('/srv/app/break'):\n        \
                open('/srv/app/half', 'w').close()\n        raise OSError('broken today')\n    return {'success': True}\n";
    let (root, source) = (Root::new(), Source::of(&[&Module::python("app", "1", code).declares(&["/srv/app/"])]));
    root.folder("/srv/app");
    root.run(&["--source", source.path()]).0.expect(0);
    root.write("/srv/app/break", "");
    let installed = Tree::of(&root.modules(), &[]);
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(20);
    assert_eq!(module(&record, "app")["rollback"]["code"], false);
    assert!(!root.exists("/srv/app/half"));
    assert_eq!(installed.content(), Tree::of(&root.modules(), &[]).content());
}

#[test]
fn a_restarted_module_is_read_afresh() {
    // The first attempt rewrites the code that it may write: its own folder is in its declared set.
    let code = "import os\nVERSION = 1\ndef main(args):\n    if VERSION == 1:\n        \
                source = open(__file__).read()\n        \
                open(__file__, 'w').write(source.replace('VERSION = 1', 'VERSION = 2'))\n        \
                return False\n    return {'success': True, 'version': VERSION}\n";
    let root = Root::new();
    root.install(&Module::python("app", "1", code).declares(&["/usr/local/lib/updates/modules/app/"]));
    let (ran, record) = root.run(&["--no-sync"]);
    assert_eq!(module(&record, "app")["result"]["version"], 2, "{record:#}\n{}", ran.stderr);
    ran.expect(0);
}

#[test]
fn the_failure_of_one_touches_no_other() {
    let (root, source) = root_with_first_version();
    let writes = |name: &str| {
        let code =
            format!("def main(args):\n    open('/srv/{name}/done', 'w').close()\n    return {{'success': True}}\n");
        Module::python(name, "1", &code).declares(&[&format!("/srv/{name}/")])
    };
    source.publish(&[&app("2.0.0", true), &writes("before"), &writes("zafter")]);
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(20);
    assert_eq!(module(&record, "before")["status"], "succeeded", "{record:#}");
    assert_eq!(module(&record, "zafter")["status"], "succeeded", "{record:#}");
    assert!(root.exists("/srv/before/done") && root.exists("/srv/zafter/done"));
}

/// Succeeds at once, or fails when its neighbour has long succeeded.
fn neighbour(name: &str, path: &str, fails: bool) -> Module {
    let end = if fails { "time.sleep(0.7)\n    raise OSError('too late')" } else { "return {'success': True}" };
    let code = format!(
        "import os, time\ndef main(args):\n    time.sleep(0.2)\n    for folder in ('{path}', os.environ['STATE_DIRECTORY']):\n        \
         os.makedirs(folder, exist_ok=True)\n        open(folder + '/file', 'w').write('{name}')\n    {end}\n"
    );
    Module::python(name, "1", &code).declares(&[&format!("{path}/")])
}

#[test]
fn what_neighbours_did_meanwhile_below_the_same_new_folder_is_not_rolled_back() {
    let root = Root::new();
    root.install(&neighbour("bad", "/srv/new/bad", true)).install(&neighbour("good", "/srv/new/good", false));
    let (ran, record) = root.run(&["--no-sync", "--jobs", "2"]);
    ran.expect(20);
    assert_eq!(statuses(&record), ["bad: rolled_back", "good: succeeded"]);
    assert_eq!(root.read("/var/lib/updates/state/good/file"), "good");
    assert_eq!(root.read("/srv/new/good/file"), "good");
    assert!(!root.exists("/srv/new/bad/file") && !root.exists("/var/lib/updates/state/bad/file"));
}

#[test]
fn what_neighbours_did_meanwhile_in_their_state_directories_is_not_rolled_back() {
    let root = Root::new();
    root.folder("/srv/bad").folder("/srv/good");
    root.install(&neighbour("bad", "/srv/bad", true)).install(&neighbour("good", "/srv/good", false));
    let (ran, record) = root.run(&["--no-sync", "--jobs", "2"]);
    ran.expect(20);
    assert_eq!(statuses(&record), ["bad: rolled_back", "good: succeeded"]);
    assert_eq!(root.read("/var/lib/updates/state/good/file"), "good");
    assert!(!root.exists("/var/lib/updates/state/bad/file"));
}

#[test]
fn a_rollback_that_fails_needs_a_person_and_the_module_does_not_run_before_it_is_put_back() {
    let code = "import os, time\ndef main(args):\n    open('/srv/app/file', 'w').write('after')\n    \
                open('/srv/app/here', 'w').close()\n    while not os.path.exists('/srv/app/go'):\n        \
                time.sleep(0.01)\n    raise OSError('no luck')\n";
    let root = Root::new();
    root.write("/srv/app/file", "before").install(&Module::python("app", "1", code).declares(&["/srv/app/"]));
    root.install(&Module::idle("other", "1"));
    let run = root.start(&["--json", "run", "--no-sync"]);
    until("the module runs", || root.exists("/srv/app/here"));
    // As by a disk that loses a bit: what was saved is not what it was.
    let saved = "/var/lib/updates/in-flight/main/app_backup/files/srv/app/file";
    let content = root.read(saved);
    root.write(saved, "brfore").write("/srv/app/go", "");
    let ran = run.end();
    ran.expect(21);
    let record = ran.json();
    assert_eq!(statuses(&record), ["app: rollback_failed", "other: succeeded"]);
    insta::assert_json_snapshot!(normal(&module(&record, "app")["rollback"], root.path()));
    assert_eq!(root.read("/srv/app/file"), "after", "a damaged slot must not touch anything");
    let status = root.updates(&["status"]);
    assert!(status.stdout.contains("NEEDS YOU"), "{}", status.stdout);

    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(21);
    assert_eq!(statuses(&record), ["app: rollback_failed", "other: succeeded"]);
    assert_eq!(root.read("/srv/app/file"), "after", "it ran although it was not put back");

    let message = module(&record, "app")["message"].as_str().unwrap();
    for way in ["updates recover", "updates backup restore app", "updates recover --accept app"] {
        assert!(message.contains(way), "{message}");
    }

    root.write(saved, content);
    let (ran, record) = root.run(&["--no-sync", "other"]);
    ran.expect(0);
    assert_eq!(record["recovered"][0]["complete"], true, "{record:#}");
    assert_eq!(root.read("/srv/app/file"), "before");
    assert!(!root.exists("/srv/app/go") && !root.exists("/srv/app/here"));
}

#[test]
fn the_summary_repeats_failures_last_with_the_command_that_shows_more() {
    let (root, source) = root_with_first_version();
    source.publish(&[&app("2.0.0", true), &Module::idle("zebra", "1")]);
    let ran = root.updates(&["run", "--source", source.path()]);
    ran.expect(20);
    let tail: Vec<&str> = ran.stdout.lines().rev().take(3).collect();
    assert!(ran.stdout.trim_end().ends_with("updates logs last app"), "{}\n---\n{tail:?}", ran.stdout);
    assert!(ran.stdout.contains("2.0.0 is broken"), "{}", ran.stdout);
}
