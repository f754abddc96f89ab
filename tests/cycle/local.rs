//! What an administrator changed on this server survives an update.

use serde_json::{Value, json};

use super::support::{Module, Root, Source, normal};
use super::{changes, statuses};

const INDEX: &str = "/usr/local/lib/updates/modules/app/index.json";

/// Installs 1.0.0, lets `change` edit the installed index.json, offers 2.0.0, and returns the merged index and the notes.
#[track_caller]
fn merged(old: Module, change: impl Fn(&mut Value), new: Module) -> (Value, Value) {
    let (root, source) = (Root::new(), Source::of(&[&old]));
    root.run(&["--source", source.path()]).0.expect(0);
    let mut index = root.read_json(INDEX);
    change(&mut index);
    root.write(INDEX, serde_json::to_string_pretty(&index).unwrap());
    source.publish(&[&new]);
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    assert_eq!(changes(&record), ["app: updated 1.0.0 -> 2.0.0"], "{record:#}");
    let index = root.read_json(INDEX);
    // What is merged once is merged for good: another update without a further change keeps it.
    source.publish(&[&new.clone().metadata("schema_version", json!("2.0.1"))]);
    root.run(&["--source", source.path()]).0.expect(0);
    let again = root.read_json(INDEX);
    assert_eq!(again["configuration"], index["configuration"]);
    (index, normal(&record["updates"][0]["notes"], root.path()))
}

fn app(version: &str) -> Module {
    Module::idle("app", version)
}

#[test]
fn a_value_that_was_changed_locally_stays() {
    let repository = |branch: &str| json!({"url": "https://example.org/app.git", "branch": branch});
    let (index, notes) = merged(
        app("1.0.0").configuration("repo", repository("main")),
        |index| index["configuration"]["repo"]["branch"] = json!("local"),
        app("2.0.0").configuration("repo", repository("main")).configuration("new_key", json!(1)),
    );
    assert_eq!(index["configuration"]["repo"]["branch"], "local");
    assert_eq!(index["configuration"]["new_key"], 1);
    assert_eq!(index["metadata"]["schema_version"], "2.0.0");
    assert_eq!(notes, json!(null), "nothing conflicted");
}

#[test]
fn a_flag_in_an_array_of_objects_with_ids_stays_with_its_object() {
    let (index, _) = merged(
        app("1.0.0").configuration("migrations", json!([{"id": "one", "run": "1.sh"}, {"id": "two", "run": "2.sh"}])),
        |index| index["configuration"]["migrations"][1]["has_run"] = json!(true),
        app("2.0.0").configuration(
            "migrations",
            json!([{"id": "zero", "run": "0.sh"}, {"id": "two", "run": "2b.sh"}, {"id": "one", "run": "1.sh"}]),
        ),
    );
    insta::assert_json_snapshot!(index["configuration"]["migrations"]);
}

#[test]
fn a_key_that_the_new_version_drops_goes_unless_it_was_changed_locally() {
    let (index, notes) = merged(
        app("1.0.0").configuration("dropped", json!("old")).configuration("dropped_changed", json!("old")),
        |index| index["configuration"]["dropped_changed"] = json!("local"),
        app("2.0.0").configuration("kept", json!(true)),
    );
    insta::assert_json_snapshot!(json!({"configuration": index["configuration"], "notes": notes}));
}

#[test]
fn where_both_changed_the_local_value_wins_and_the_report_says_so() {
    let (index, notes) = merged(
        app("1.0.0").configuration("port", json!(80)),
        |index| index["configuration"]["port"] = json!(8080),
        app("2.0.0").configuration("port", json!(443)),
    );
    assert_eq!(index["configuration"]["port"], 8080);
    insta::assert_json_snapshot!(notes);
}

#[test]
fn a_key_that_was_added_or_removed_locally_stays_so() {
    let (index, _) = merged(
        app("1.0.0").configuration("removed", json!(1)).configuration("list", json!([1, 2])),
        |index| {
            index["configuration"].as_object_mut().unwrap().shift_remove("removed");
            index["configuration"]["added"] = json!({"deep": [1]});
        },
        app("2.0.0").configuration("removed", json!(1)).configuration("list", json!([1, 2, 3])),
    );
    insta::assert_json_snapshot!(index["configuration"]);
}

#[test]
fn a_local_version_does_not_hide_the_new_one() {
    let (index, _) = merged(app("1.0.0"), |index| index["metadata"]["priority"] = json!(7), app("2.0.0"));
    assert_eq!(index["metadata"]["priority"], 7);
    assert_eq!(index["metadata"]["schema_version"], "2.0.0");
}

#[test]
fn a_locally_disabled_module_keeps_its_code() {
    let (root, source) = (Root::new(), Source::of(&[&app("1.0.0"), &Module::idle("other", "1")]));
    root.run(&["--source", source.path()]).0.expect(0);
    root.updates(&["disable", "app"]).expect(0);
    let before = root.tree("/usr/local/lib/updates/modules/app");
    source.publish(&[&app("2.0.0").file("new", "")]);
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    assert_eq!(changes(&record), ["app: disabled 1.0.0 -> 2.0.0"]);
    assert_eq!(statuses(&record), ["app: skipped", "other: succeeded"]);
    before.assert_same(&root.tree("/usr/local/lib/updates/modules/app"), "a disabled module's code changed");

    root.updates(&["enable", "app"]).expect(0);
    let (_, record) = root.run(&["--source", source.path()]);
    assert_eq!(changes(&record), ["app: updated 1.0.0 -> 2.0.0"]);
}

#[test]
fn a_module_that_the_author_disables_in_a_new_version_is_updated_and_not_run() {
    let (root, source) = (Root::new(), Source::of(&[&app("1.0.0"), &Module::idle("other", "1")]));
    root.run(&["--source", source.path()]).0.expect(0);
    source.publish(&[&app("2.0.0").metadata("enabled", json!(false))]);
    let (_, record) = root.run(&["--source", source.path()]);
    assert_eq!(statuses(&record), ["app: skipped", "other: succeeded"]);
    assert_eq!(changes(&record), ["app: updated 1.0.0 -> 2.0.0"]);
}

#[test]
fn a_local_patch_reaches_the_module_without_touching_its_file() {
    let code = "import json\ndef main(args):\n    with open('index.json') as file:\n        \
                return {'success': True, 'seen': json.load(file)['configuration']}\n";
    let root = Root::new();
    root.install(&Module::python("app", "1", code).configuration("a", json!(1)).configuration("b", json!({"c": 2})));
    root.write("/etc/updates/modules.d/app.json", r#"{"configuration": {"a": null, "b": {"d": 3}}}"#);
    let before = root.tree("/usr/local/lib/updates/modules/app");
    let (_, record) = root.run(&["--no-sync"]);
    assert_eq!(record["modules"][0]["result"]["seen"], json!({"b": {"c": 2, "d": 3}}), "{record:#}");
    before.assert_same(&root.tree("/usr/local/lib/updates/modules/app"), "the shipped file changed");
}
