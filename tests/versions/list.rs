//! `updates versions`, and which tags count.

use super::support::{Module, Root, Source};
use super::{follow, listed, module, tag, world};

#[test]
fn versions_are_listed_newest_first_with_what_each_is() {
    let (root, source) = world(&["1.0.0", "1.2.0-rc.1", "1.2.0", "1.10"]);
    root.folder("/srv/app");
    root.run(&[]).0.expect(0);
    assert_eq!(
        listed(&root),
        [
            "1.10 app-v1.10-20240101 installed last_safe branch",
            "1.2.0 app-v1.2.0-20240101",
            "1.2.0-rc.1 app-v1.2.0-rc.1-20240101",
            "1.0.0 app-v1.0.0-20240101",
        ]
    );
    let words = root.updates(&["versions", "app"]);
    words.expect(0);
    assert!(words.stdout.contains("2024-01-01") && words.stdout.contains("installed, last safe"), "{}", words.stdout);

    // On the branch without a tag, and not installed yet.
    source.publish(&[&module("2.0.0")]);
    root.updates(&["run", "nothing-of-this-name"]).expect(2);
    let first = &listed(&root)[0];
    assert_eq!(first, "2.0.0 - branch");
}

#[test]
fn a_version_that_is_installed_and_has_no_tag_is_listed_too() {
    let root = Root::new();
    root.install(&module("0.9.0")).folder("/srv/app");
    assert_eq!(listed(&root), ["0.9.0 - installed"]);
    root.updates(&["runner", "app"]).expect(0);
    assert_eq!(listed(&root), ["0.9.0 - installed last_safe"]);
}

#[test]
fn a_module_that_nobody_knows_is_an_error() {
    let root = Root::new();
    let ran = root.updates(&["versions", "app"]);
    ran.expect(2);
    assert!(ran.stderr.contains("no module app is installed"), "{}", ran.stderr);
}

#[test]
fn names_with_hyphens_are_read_by_what_the_commit_holds() {
    let (root, source) = (Root::new(), Source::new());
    source.publish(&[&Module::idle("app", "1.0.0"), &Module::idle("app-v1", "2.0"), &Module::idle("app-vault", "3")]);
    for name in ["app-v1.0.0-20240101", "app-v1-v2.0-20240101", "app-vault-v3-20240101"] {
        tag(&source, name);
    }
    // Only the pre-release 1-v2.1 of app can be meant: there is no app-v1 of 2.1.
    source.publish(&[&Module::idle("app", "1-v2.1")]);
    tag(&source, "app-v1-v2.1-20240102");
    follow(&root, &source);
    root.run(&[]).0.expect(0);
    let tags = |module: &str| -> Vec<String> {
        let listed = root.updates(&["--json", "versions", module]).json();
        assert!(listed["refused"].is_null(), "{listed:#}");
        let versions = listed["versions"].as_array().unwrap().iter();
        versions
            .filter_map(|version| Some(format!("{} {}", version["version"].as_str()?, version["tag"].as_str()?)))
            .collect()
    };
    assert_eq!(tags("app"), ["1.0.0 app-v1.0.0-20240101", "1-v2.1 app-v1-v2.1-20240102"]);
    assert_eq!(tags("app-v1"), ["2.0 app-v1-v2.0-20240101"]);
    assert_eq!(tags("app-vault"), ["3 app-vault-v3-20240101"]);
}

#[test]
fn tags_that_do_not_hold_together_are_refused_with_a_reason() {
    let (root, source) = world(&["1.0.0"]);
    let blob = source.git(&["rev-parse", "HEAD:modules/app/index.json"]);
    let tree = source.git(&["rev-parse", "HEAD^{tree}"]);
    source.git(&["tag", "app-v1.0.1-20240230"]);
    source.git(&["tag", "app-v1.0.1-20240101"]);
    source.git(&["tag", "app-v1.0.2-20240101", &blob]);
    source.git(&["tag", "app-v1.0.3-20240101", &tree]);
    source.git(&["tag", "--annotate", "--message", "x", "app-v1.0.4-20240101", "app-v1.0.0-20240101"]);
    source.git(&["update-ref", "refs/tags/app-v1.0.5-20240101", "refs/tags/app-v1.0.0-20240101"]);
    source.git(&["tag", "app-v1.0.6"]);
    source.git(&["tag", "other-v1.0.0-20240101"]);
    source.remove("app").write("modules/other/index.json", "{}").commit();
    source.git(&["tag", "app-v1.0.7-20240101"]);
    source.write("modules/app/index.json", "no json").commit();
    source.git(&["tag", "app-v1.0.8-20240101"]);
    source.write("modules/app/index.json", "{\"metadata\": {\"schema_version\": 1}}").commit();
    source.git(&["tag", "app-v1.0.9-20240101"]);
    root.run(&[]);
    let listed = root.updates(&["--json", "versions", "app"]);
    listed.expect(0);
    insta::assert_json_snapshot!(listed.json()["refused"]);
    assert_eq!(super::listed(&root), ["1.0.0 app-v1.0.0-20240101"]);
}

#[test]
fn a_tag_whose_name_is_not_utf_8_stops_nothing() {
    let (root, source) = world(&["1.0.0"]);
    root.folder("/srv/app");
    let head = source.git(&["rev-parse", "HEAD"]);
    let mut packed = format!("{head} refs/tags/app-v1.0.1-\u{1}20240101\n").into_bytes();
    let at = packed.iter().position(|byte| *byte == 1).unwrap();
    packed[at] = 0xff;
    let place = std::path::Path::new(source.path()).join(".git/packed-refs");
    std::fs::write(place, packed).unwrap();
    root.run(&[]).0.expect(0);
    let listed = root.updates(&["--json", "versions", "app"]).json();
    let problem = listed["refused"][0]["problem"].as_str().unwrap_or_default().to_owned();
    assert_eq!(problem, "has a name that is not UTF-8", "{listed:#}");
}
