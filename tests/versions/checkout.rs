//! `updates checkout`: another version in place of the installed one, and it stays.

use serde_json::json;

use super::support::{Module, Root, Source};
use super::{change, follow, last_safe, listed, module, tag, world};

#[test]
fn an_older_version_is_installed_from_the_object_store_runs_and_stays_until_unhold() {
    let (root, _source) = world(&["1.0.0", "2.0.0"]);
    root.folder("/srv/app");
    root.run(&[]).0.expect(0);
    assert_eq!(root.installed_version("app"), "2.0.0");

    let ran = root.updates(&["checkout", "app", "1.0.0"]);
    ran.expect(0);
    assert!(ran.stdout.contains("2.0.0 -> 1.0.0 (app-v1.0.0-20240101)"), "{}", ran.stdout);
    assert!(ran.stdout.contains("It stays at 1.0.0") && ran.stdout.contains("updates unhold app"), "{}", ran.stdout);
    assert_eq!(root.installed_version("app"), "1.0.0");
    assert!(listed(&root)[1].contains("installed unconfirmed"), "{:?}", listed(&root));
    assert_eq!(last_safe(&root), "2.0.0", "it has not run yet");

    let (ran, record) = root.run(&[]);
    ran.expect(0);
    assert_eq!((change(&record), root.read("/srv/app/ran").as_str()), ("held", "1.0.0"));
    assert_eq!(last_safe(&root), "1.0.0");
    for command in ["check", "run"] {
        let words = root.updates(&[command]).stdout;
        assert!(words.contains("1.0.0 stays: a person checked out 1.0.0"), "{command}: {words}");
    }
    for command in ["status", "list"] {
        let words = root.updates(&[command]).stdout;
        assert!(words.contains("a person checked out 1.0.0"), "{command}: {words}");
    }

    root.updates(&["unhold", "app"]).expect(0);
    let (ran, record) = root.run(&[]);
    ran.expect(0);
    assert_eq!((change(&record), last_safe(&root)), ("updated", json!("2.0.0")));
}

#[test]
fn without_a_version_the_last_safe_one_comes_back() {
    let (root, source) = world(&["1.0.0"]);
    root.folder("/srv/app");
    root.run(&[]).0.expect(0);
    source.publish(&[&module("2.0.0")]);
    tag(&source, "app-v2.0.0-20240201");
    root.updates(&["checkout", "app", "2.0.0"]).expect(0);
    assert_eq!(root.installed_version("app"), "2.0.0", "a version that was not synced yet is fetched");
    root.updates(&["checkout", "app"]).expect(0);
    assert_eq!(root.installed_version("app"), "1.0.0");
    let again = root.updates(&["checkout", "app"]);
    again.expect(0);
    assert!(again.stdout.contains("is installed already"), "{}", again.stdout);
}

#[test]
fn the_last_safe_version_needs_no_tag() {
    let (root, source) = (Root::new(), Source::of(&[&module("1.0.0")]));
    follow(&root, &source);
    root.folder("/srv/app");
    root.run(&[]).0.expect(0);
    source.publish(&[&module("2.0.0")]);
    // Nor does that of the branch's head.
    root.updates(&["checkout", "app", "2.0.0"]).expect(0);
    assert_eq!(root.installed_version("app"), "2.0.0");
    root.updates(&["checkout", "app"]).expect(0);
    assert_eq!(root.installed_version("app"), "1.0.0");
}

#[test]
fn a_version_that_fails_its_first_run_goes_back_and_what_kept_it_is_over() {
    let (root, source) = (Root::new(), Source::new());
    source.publish(&[&super::failing("1.0.0")]);
    tag(&source, "app-v1.0.0-20240101");
    source.publish(&[&module("2.0.0")]);
    tag(&source, "app-v2.0.0-20240101");
    follow(&root, &source);
    root.folder("/srv/app");
    root.run(&[]).0.expect(0);
    root.updates(&["checkout", "app", "1.0.0"]).expect(0);
    let (ran, record) = root.run(&[]);
    ran.expect(20);
    assert_eq!(record["modules"][0]["rollback"]["code"], true);
    assert_eq!((root.installed_version("app"), last_safe(&root)), ("2.0.0".into(), json!("2.0.0")));
    assert_eq!(root.read("/srv/app/ran"), "2.0.0");
    // The hold was of 1.0.0; 2.0.0 is not kept by it.
    source.publish(&[&module("2.1.0")]);
    let (ran, record) = root.run(&[]);
    ran.expect(0);
    assert_eq!(change(&record), "updated");

    // A person may try it again, and is told that it failed.
    let again = root.updates(&["checkout", "app", "1.0.0"]);
    again.expect(0);
    assert!(again.stdout.contains("it failed before: ") && again.stdout.contains("bad"), "{}", again.stdout);
}

#[test]
fn local_changes_of_index_json_go_along() {
    let (root, _source) = world(&["1.0.0", "2.0.0"]);
    root.folder("/srv/app");
    root.run(&[]).0.expect(0);
    let place = "/usr/local/lib/updates/modules/app/index.json";
    let mut index = root.read_json(place);
    index["configuration"]["mine"] = json!("kept");
    root.write(place, index.to_string());
    root.updates(&["checkout", "app", "1.0.0"]).expect(0);
    let index = root.read_json(place);
    assert_eq!(
        (&index["configuration"]["mine"], &index["metadata"]["schema_version"]),
        (&json!("kept"), &json!("1.0.0"))
    );
}

#[test]
fn a_version_that_asks_for_more_than_was_granted_needs_a_person() {
    let (root, source) = (Root::new(), Source::new());
    source.publish(&[&Module::idle("app", "1.0.0").declares(&["/srv/app/", "/etc/more/"])]);
    tag(&source, "app-v1.0.0-20240101");
    source.publish(&[&Module::idle("app", "2.0.0").declares(&["/srv/app/"])]);
    follow(&root, &source);
    root.folder("/srv/app");
    root.run(&[]).0.expect(0);
    let refused = root.updates(&["checkout", "app", "1.0.0"]);
    refused.expect(2);
    let way_out = "updates sandbox grant app --for 1.0.0";
    assert!(refused.stderr.contains("to write /etc/more") && refused.stderr.contains(way_out), "{}", refused.stderr);
    assert_eq!(root.installed_version("app"), "2.0.0");
    root.updates(&["sandbox", "grant", "app", "--for", "1.0.0", "--yes"]).expect(0);
    root.updates(&["checkout", "app", "1.0.0"]).expect(0);
    assert_eq!(root.installed_version("app"), "1.0.0");
}

#[test]
fn a_module_that_is_not_installed_yet_is_installed() {
    let (root, source) = world(&["1.0.0", "2.0.0"]);
    root.folder("/srv/app");
    source.publish(&[&Module::idle("other", "1")]);
    root.updates(&["checkout", "app", "1.0.0"]).expect(0);
    let (ran, record) = root.run(&[]);
    ran.expect(0);
    assert_eq!((change(&record), root.read("/srv/app/ran").as_str()), ("held", "1.0.0"));
}

#[test]
fn what_is_not_signed_is_not_checked_out_where_signatures_are_asked_for() {
    let (root, source) = world(&["1.0.0", "2.0.0"]);
    root.folder("/srv/app");
    root.run(&[]).0.expect(0);
    root.write(
        "/etc/updates/config.toml",
        format!("[source]\nurl = \"{}\"\nverify = \"tag\"\nallowed_signers = \"/dev/null\"\n", source.path()),
    );
    let refused = root.updates(&["checkout", "app", "1.0.0"]);
    assert_ne!(refused.code, 0);
    assert_eq!(root.installed_version("app"), "2.0.0");
}

#[test]
fn a_version_that_does_not_exist_is_said_with_those_there_are() {
    let (root, _source) = world(&["1.0.0", "2.0.0"]);
    root.folder("/srv/app");
    root.run(&[]).0.expect(0);
    let ran = root.updates(&["checkout", "app", "3.0.0"]);
    ran.expect(2);
    let named = "no version 3.0.0 of app; it has 2.0.0, 1.0.0";
    assert!(ran.stderr.trim_end().ends_with(named), "each once, the newest first: {}", ran.stderr);
    root.updates(&["checkout", "nobody"]).expect(2);
}
