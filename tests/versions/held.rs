//! What stays as it is: by a person's word, or because a version failed.

use super::support::{Module, Root, Source};
use super::{change, failing, follow, last_safe, listed, module, world};

#[test]
fn a_held_module_stays_at_its_version_and_everybody_says_so() {
    let (root, source) = world(&["1.0.0"]);
    root.folder("/srv/app");
    root.run(&[]).0.expect(0);
    let ran = root.updates(&["hold", "app", "--until", "2999-12-24", "--reason", "the festive season"]);
    ran.expect(0);
    assert!(ran.stdout.contains("app stays at 1.0.0: a person holds it until 2999-12-24 00:00"), "{}", ran.stdout);
    source.publish(&[&module("2.0.0")]);
    let (ran, record) = root.run(&[]);
    ran.expect(0);
    assert_eq!((change(&record), root.installed_version("app").as_str()), ("held", "1.0.0"));
    assert_eq!(record["updates"][0]["by_person"], true);
    for command in [&["check"][..], &["run"], &["status"], &["list"], &["versions", "app"]] {
        let words = root.updates(command).stdout;
        assert!(
            words.contains("a person holds it until 2999-12-24 00:00 (the festive season)"),
            "{command:?}: {words}"
        );
    }
    root.updates(&["unhold", "app"]).expect(0);
    assert_eq!(change(&root.run(&[]).1), "updated");
    let nothing = root.updates(&["unhold", "app"]);
    nothing.expect(0);
    assert!(nothing.stdout.contains("nothing of app was held"), "{}", nothing.stdout);
}

#[test]
fn a_hold_that_is_over_vanishes_by_itself_and_one_in_the_past_is_refused() {
    let (root, source) = world(&["1.0.0"]);
    root.folder("/srv/app");
    root.run(&[]).0.expect(0);
    for bad in ["2020-01-01", "2020-01-01T00:00:00Z", "tomorrow", "2999-02-30"] {
        root.updates(&["hold", "app", "--until", bad]).expect(2);
    }
    root.updates(&["hold", "nobody"]).expect(2);
    root.updates(&["hold", "app", "--until", "2999-01-01"]).expect(0);
    let place = "/var/lib/updates/catalog/kept.json";
    root.write(place, root.read(place).replace("2999", "2001").replace("2998-12", "2001-12"));
    assert!(!root.updates(&["list"]).stdout.contains("holds it"));
    source.publish(&[&module("2.0.0")]);
    assert_eq!(change(&root.run(&[]).1), "updated");
}

// faults: 68
#[test]
fn a_version_that_failed_is_not_tried_again_until_it_changes_or_a_person_says_so() {
    let (root, source) = (Root::new(), Source::of(&[&module("1.0.0")]));
    follow(&root, &source);
    root.folder("/srv/app");
    root.run(&[]).0.expect(0);
    source.publish(&[&failing("2.0.0")]);
    root.run(&[]).0.expect(20);
    assert_eq!((root.installed_version("app").as_str(), last_safe(&root)), ("1.0.0", "1.0.0".into()));
    assert!(listed(&root).contains(&"2.0.0 - branch held".to_owned()), "{:?}", listed(&root));
    let said = root.updates(&["status"]).stdout;
    assert!(said.contains("2.0.0 is held until the source changes it or you say `updates unhold app`"), "{said}");

    // The same content in another commit is the same version.
    source.write("README", "moved on").commit();
    let (ran, record) = root.run(&[]);
    ran.expect(0);
    assert_eq!(change(&record), "held");
    // Changed, under the same number.
    source.publish(&[&failing("2.0.0").file("more", "x")]);
    let (ran, record) = root.run(&[]);
    ran.expect(20);
    assert_eq!(change(&record), "updated");
    // By a person's word.
    root.updates(&["unhold", "app"]).expect(0);
    let (ran, record) = root.run(&[]);
    ran.expect(20);
    assert_eq!((change(&record), last_safe(&root)), ("updated", "1.0.0".into()));
}

#[test]
fn the_global_index_takes_any_shape_of_last_safe_versions_that_the_original_left() {
    for left in ["\"1.0\"", "[1]", "null", "{\"other\": \"1\", \"app\": 7}"] {
        let (root, _source) = world(&["1.0.0"]);
        root.folder("/srv/app");
        root.write("/usr/local/lib/updates/index.json", format!("{{\"lastSafeVersion\": {left}, \"mine\": 1}}"));
        root.run(&[]).0.expect(0);
        let index = root.read_json("/usr/local/lib/updates/index.json");
        assert_eq!((&index["lastSafeVersion"]["app"], &index["mine"]), (&"1.0.0".into(), &1.into()), "{left}");
    }
}

#[test]
fn a_module_run_alone_is_safe_too_and_a_check_says_nothing_of_that() {
    let (root, source) = (Root::new(), Source::of(&[&Module::idle("app", "1.0.0")]));
    follow(&root, &source);
    root.updates(&["checkout", "app", "1.0.0"]).expect(0);
    root.updates(&["check", "--no-sync"]).expect(0);
    assert!(last_safe(&root).is_null());
    root.updates(&["runner", "app"]).expect(0);
    assert_eq!(last_safe(&root), "1.0.0");
}
