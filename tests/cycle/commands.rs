//! The commands around a run: what they print, what they write, and their exit codes.

use serde_json::{Value, json};

use super::support::{Module, Root, Source, normal};

fn ran_once() -> (Root, Value) {
    let root = Root::new();
    root.folder("/srv/app");
    let code = "def main(args):\n    open('/srv/app/new', 'w').close()\n    print('a line of the log')\n    \
                raise OSError('no luck')\n";
    root.install(&Module::python("app", "1.2", code).declares(&["/srv/app/"]));
    root.install(&Module::idle("idle", "2.0.0"));
    let (ran, record) = root.run(&["--no-sync", "--jobs", "1"]);
    ran.expect(20);
    (root, record)
}

#[test]
fn json_of_a_run_is_the_whole_record_and_is_remembered_as_it_is() {
    let (root, record) = ran_once();
    assert_eq!(root.updates(&["--json", "show", "last"]).json(), record);
    assert_eq!(root.updates(&["--json", "show", record["run_id"].as_str().unwrap()]).json(), record);
    for key in ["run_id", "kind", "started", "ended", "status", "updates", "modules"] {
        assert!(!record[key].is_null(), "{key} is missing");
    }
    let mut stable = normal(&record, root.path());
    stable["modules"][0]["result"]["traceback"] = json!("[traceback]");
    insta::assert_json_snapshot!(stable);
}

#[test]
fn what_happened_can_be_read_afterwards() {
    let (root, _) = ran_once();
    let outputs: Vec<String> = [
        &["status"][..],
        &["list"],
        &["history"],
        &["history", "app"],
        &["show", "last"],
        &["show", "app"],
        &["logs", "last", "app"],
    ]
    .iter()
    .map(|arguments| {
        let ran = root.updates(arguments);
        format!("$ updates {} (exit {})\n{}{}", arguments.join(" "), ran.code, ran.stdout, ran.stderr)
    })
    .collect();
    insta::with_settings!({filters => vec![
        (r"\d{8}T\d{6}Z-[0-9a-f]{4}", "[run]"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "[time]"),
        (r"\d+(\.\d+)? ?(ms|s|KiB|MiB)\b", "[measured]"),
    ]}, {
        insta::assert_snapshot!(super::support::normal_text(&outputs.join("\n"), root.path()));
    });
}

#[test]
fn every_list_has_json() {
    let (root, _) = ran_once();
    for arguments in [&["list"][..], &["status"], &["history"], &["logs"], &["show", "app"], &["config", "show"]] {
        let ran = root.updates(&[&["--json"], arguments].concat());
        let value = ran.json();
        assert!(value.is_array() || value.is_object(), "{arguments:?}: {value}");
    }
}

#[test]
fn nothing_happened_yet_is_no_error() {
    let root = Root::new();
    for arguments in [&["status"][..], &["list"], &["history"], &["config", "show"], &["config", "check"]] {
        root.updates(arguments).expect(0);
    }
    assert_eq!(root.updates(&["--json", "list"]).json()["modules"], json!([]));
}

#[test]
fn what_is_not_there_is_said() {
    let (root, _) = ran_once();
    let outputs: Vec<String> = [
        &["show", "nothing"][..],
        &["show", "20200101T000000Z-0000"],
        &["logs", "20200101T000000Z-0000"],
        &["logs", "last", "nothing"],
        &["history", "nothing"],
        &["enable", "nothing"],
        &["runner", "nothing"],
        &["runner", "/no/such/folder"],
        &["run", "--no-sync", "nothing"],
    ]
    .iter()
    .map(|arguments| {
        let ran = root.updates(arguments);
        format!("$ updates {} (exit {})\n{}{}", arguments.join(" "), ran.code, ran.stdout, ran.stderr)
    })
    .collect();
    insta::with_settings!({filters => vec![
        (r"\d{8}T\d{6}Z-[0-9a-f]{4}", "[run]"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "[time]"),
        (r"\d+(\.\d+)? ?(ms|s)\b", "[measured]"),
    ]}, {
        insta::assert_snapshot!(super::support::normal_text(&outputs.join("\n"), root.path()));
    });
}

#[test]
fn exit_codes() {
    let root = Root::new();
    root.updates(&["run", "--no-sync"]).expect(3);
    root.updates(&["run", "--no-such-option"]).expect(2);
    root.updates(&["run", "../app"]).expect(2);
    root.updates(&[]).expect(2);
    root.updates(&["--version"]).expect(0);
    root.updates(&["--help"]).expect(0);
    root.install(&Module::idle("app", "1"));
    root.updates(&["run", "--no-sync"]).expect(0);
    root.updates(&["run", "--no-sync", "nothing"]).expect(2);
    root.updates(&["disable", "app"]).expect(0);
    root.updates(&["run", "--no-sync"]).expect(3);
    root.write("/etc/updates/config.toml", "[run]\njobs = 0\n");
    root.updates(&["run", "--no-sync"]).expect(2);
}

#[test]
fn enable_and_disable_write_the_local_patch_and_nothing_else() {
    let root = Root::new();
    root.install(
        &Module::idle("app", "1")
            .configuration("components", json!({"web": true, "mail": {"enabled": true, "port": 25}}))
            .configuration("other", json!(1)),
    );
    root.write("/etc/updates/modules.d/app.json", r#"{"configuration": {"other": 2}}"#);
    let modules = root.tree("/usr");
    let patch = || root.read_json("/etc/updates/modules.d/app.json");

    root.updates(&["disable", "app"]).expect(0);
    assert_eq!(patch()["metadata"]["enabled"], false);
    assert_eq!(patch()["configuration"], json!({"other": 2}));
    assert_eq!(root.updates(&["run", "--no-sync"]).code, 3);

    root.updates(&["enable", "app"]).expect(0);
    root.updates(&["run", "--no-sync"]).expect(0);

    root.updates(&["disable", "app", "web"]).expect(0);
    assert_eq!(patch()["configuration"]["components"]["web"], false);
    root.updates(&["disable", "app", "mail"]).expect(0);
    assert_eq!(patch()["configuration"]["components"]["mail"]["enabled"], false);
    root.updates(&["enable", "app", "web"]).expect(0);
    assert_ne!(patch()["configuration"]["components"]["web"], false);
    assert_eq!(patch()["configuration"]["other"], 2);

    let unknown = root.updates(&["disable", "app", "wbe"]);
    assert_ne!(unknown.code, 0);
    assert!(unknown.stderr.contains("web"), "{}", unknown.stderr);
    modules
        .below("usr/local/lib/updates/modules")
        .assert_same(&root.tree("/usr").below("usr/local/lib/updates/modules"), "the shipped files changed");
}

#[test]
fn components_are_found_in_the_older_places_too() {
    let root = Root::new();
    root.install(&Module::idle("old", "1").set("config", "components", json!({"web": true})));
    root.install(&Module::idle("paths", "1").set(
        "config",
        "target_paths",
        json!({"components": {"web": {"path": "/srv/web"}}}),
    ));
    root.updates(&["disable", "old", "web"]).expect(0);
    assert_eq!(root.read_json("/etc/updates/modules.d/old.json")["config"]["components"]["web"], false);
    root.updates(&["disable", "paths", "web"]).expect(0);
    let patch = root.read_json("/etc/updates/modules.d/paths.json");
    assert_eq!(patch["config"]["target_paths"]["components"]["web"], json!({"enabled": false}));
}

#[test]
fn settings_show_where_they_come_from_and_mistakes_name_file_and_key() {
    let root = Root::new();
    root.write("/etc/updates/config.toml", "[source]\nurl = \"/srv/modules.git\"\n");
    root.write("/etc/updates/config.d/10-jobs.toml", "[run]\njobs = 3\n");
    let shown = root.updates(&["config", "show"]);
    shown.expect(0);
    assert!(shown.stdout.contains("10-jobs.toml") && shown.stdout.contains("/srv/modules.git"), "{}", shown.stdout);
    root.updates(&["config", "check"]).expect(0);

    for (mistake, named) in [
        ("[run]\njobs = 0\n", "run.jobs"),
        ("[run]\njbos = 2\n", "jbos"),
        ("[run]\njobs = \"two\"\n", "jobs"),
        ("[source\n", "20-bad.toml"),
    ] {
        root.write("/etc/updates/config.d/20-bad.toml", mistake);
        let ran = root.updates(&["config", "check"]);
        ran.expect(2);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains("20-bad.toml") && said.contains(named), "{mistake}: {said}");
    }
}

#[test]
fn the_runner_command_prints_the_result_and_nothing_else_on_stdout() {
    let source = Source::new();
    let code = "def main(args):\n    print('to the log')\n    return {'success': True, 'args': args}\n";
    source.put(&Module::python("app", "1", code));
    let root = Root::new();
    let path = source.modules().join("app");
    let path = path.to_str().unwrap();
    let ran = root.updates(&["runner", path, "--", "--fast", "två"]);
    ran.expect(0);
    assert_eq!(ran.json(), json!({"success": true, "args": ["--fast", "två"]}));
    assert!(ran.stderr.contains("to the log"), "{}", ran.stderr);
    let ran = root.updates(&["runner", "--check", path]);
    assert_eq!(ran.json()["args"], json!(["--check"]));
    root.install(&Module::python("app", "1", code));
    assert_eq!(root.updates(&["runner", "app"]).json()["args"], json!([]));
}

#[test]
fn a_failing_module_fails_the_runner_command() {
    let root = Root::new();
    root.folder("/srv/app");
    let code = "def main(args):\n    open('/srv/app/new', 'w').close()\n    raise OSError('no luck')\n";
    root.install(&Module::python("app", "1", code).declares(&["/srv/app/"]));
    let ran = root.updates(&["runner", "app"]);
    ran.expect(20);
    assert_eq!(ran.json()["error"], "OSError: no luck");
    assert!(!root.exists("/srv/app/new"));
}
