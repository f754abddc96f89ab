//! Which version replaces which.

use serde_json::{Value, json};

use super::support::{Module, Root, Source};
use super::{changes, module, statuses};

#[test]
fn versions_compare_by_semver_whatever_they_leave_out() {
    // Installed, in the source, and what becomes of it.
    let cases = [
        ("1", "1.0.0", "same"),
        ("1.2", "1.2.0", "same"),
        ("1", "2", "updated"),
        ("1.2", "1.10", "updated"),
        ("1.2.3", "1.2.10", "updated"),
        ("1.2.3-rc.1", "1.2.3", "updated"),
        ("1.2.3-rc.1", "1.2.3-rc.2", "updated"),
        ("1.2.3-rc.9", "1.2.3-rc.10", "updated"),
        ("1.2.3", "1.2.3-rc.1", "older"),
        ("2", "1.9.9", "older"),
        ("1.0.0+b", "1.0.0+a", "same"),
    ];
    let (root, source) = (Root::new(), Source::new());
    for (index, (installed, _, _)) in cases.iter().enumerate() {
        source.put(&Module::idle(&format!("m{index:02}"), installed));
    }
    source.commit();
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    assert_eq!(changes(&record).len(), cases.len());
    assert!(changes(&record).iter().all(|change| change.contains(": installed - -> ")), "{record:#}");

    for (index, (_, offered, _)) in cases.iter().enumerate() {
        source.put(&Module::idle(&format!("m{index:02}"), offered).file("mark", *offered));
    }
    source.commit();
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    let expected: Vec<String> = cases
        .iter()
        .enumerate()
        .filter(|(_, (_, _, change))| *change != "same")
        .map(|(index, (installed, offered, change))| format!("m{index:02}: {change} {installed} -> {offered}"))
        .collect();
    assert_eq!(changes(&record), expected);
    for (index, (installed, offered, change)) in cases.iter().enumerate() {
        let name = format!("m{index:02}");
        let present = if *change == "updated" { offered } else { installed };
        assert_eq!(root.installed_version(&name), *present);
        let mark = root.exists(&format!("/usr/local/lib/updates/modules/{name}/mark"));
        assert_eq!(mark, *change == "updated", "{name}: code and version must change together");
        assert_eq!(module(&record, &name)["version"], **present);
    }
}

#[test]
fn what_is_no_version_is_reported_and_skips_that_module_alone() {
    let bad: [(&str, Value); 5] = [
        ("b-unknown", json!("unknown")),
        ("c-empty", json!("")),
        ("d-number", json!(1.5)),
        ("e-four", json!("1.2.3.4")),
        ("f-null", Value::Null),
    ];
    let (root, source) = (Root::new(), Source::new());
    source.put(&Module::idle("a-good", "1.0.0"));
    for (name, version) in &bad {
        source.put(&Module::idle(name, "1").metadata("schema_version", version.clone()));
    }
    source.put(&Module::idle("g-absent", "1").without_metadata("schema_version"));
    source.commit();
    let (ran, record) = root.run(&["--source", source.path()]);
    insta::assert_json_snapshot!(record["updates"]);
    assert_eq!(statuses(&record), ["a-good: succeeded"]);
    ran.expect(0);
}

#[test]
fn an_installed_module_that_the_source_breaks_keeps_running_as_it_is() {
    let (root, source) = (Root::new(), Source::of(&[&Module::idle("app", "1.0.0")]));
    root.run(&["--source", source.path()]).0.expect(0);
    source.publish(&[&Module::idle("app", "unknown")]);
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    assert_eq!(statuses(&record), ["app: succeeded"]);
    assert_eq!(record["updates"][0]["change"], "invalid");
    assert_eq!(root.installed_version("app"), "1.0.0");
}

#[test]
fn a_module_that_left_the_source_stays_installed() {
    let (root, source) = (Root::new(), Source::of(&[&Module::idle("app", "1.0.0"), &Module::idle("other", "1")]));
    root.run(&["--source", source.path()]).0.expect(0);
    source.remove("app").commit();
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    assert_eq!(statuses(&record), ["app: succeeded", "other: succeeded"]);
}
