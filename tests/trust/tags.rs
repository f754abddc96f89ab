//! `verify = "tag"`: a signed tag of the head covers everything, a module's own tag covers the module.

use std::fs;

use super::keys::{Keys, settings, tag, with_ssh};
use super::support::{Module, Root, Source};
use super::{not_installed, refusal};

struct World {
    root: Root,
    source: Source,
    keys: Keys,
    ann: Vec<String>,
}

fn world(modules: &[&Module]) -> World {
    let (root, source, keys) = (Root::new(), Source::of(modules), Keys::new());
    let ann = with_ssh(&keys.ssh("ann"));
    settings(&root, &source, "tag", &format!("ann@example.org {}\n", keys.public("ann")));
    World { root, source, keys, ann }
}

impl World {
    #[track_caller]
    fn refused(&self, words: &str) {
        let (_, record) = self.root.run(&[]);
        assert!(refusal(&record).contains(words), "{}", refusal(&record));
        assert!(!self.root.exists("/usr/local/lib/updates/modules/app"));
    }
}

#[test]
fn a_signed_tag_of_the_head_covers_it_through_a_tag_of_the_tag_as_well() {
    let world = world(&[&Module::idle("app", "1.0.0")]);
    world.refused("no trusted tag covers commit");
    world.source.git(&["tag", "--annotate", "--message", "plain", "inner"]);
    world.refused("is not signed");
    let eve = with_ssh(&world.keys.ssh("eve"));
    tag(&world.source, &eve, "release-0");
    world.refused("is not in source.allowed_signers");
    let mut words: Vec<&str> = world.ann.iter().flat_map(|setting| ["-c", setting.as_str()]).collect();
    words.extend(["tag", "--sign", "--message", "Signed", "release-1", "inner"]);
    world.source.git(&words);
    let (ran, record) = world.root.run(&[]);
    ran.expect(0);
    assert_eq!(world.root.installed_version("app"), "1.0.0");
    assert!(record["sync"]["signer"].as_str().unwrap().contains("tag release-1"), "{record:#}");
    // A commit on top is covered by none of them.
    world.source.publish(&[&Module::idle("app", "2.0.0")]);
    let (_, record) = world.root.run(&[]);
    assert!(refusal(&record).contains("no trusted tag covers commit"), "{record:#}");
    assert_eq!(world.root.installed_version("app"), "1.0.0");
}

#[test]
fn a_tag_served_under_another_name_is_refused() {
    let world = world(&[&Module::idle("app", "1.0.0")]);
    tag(&world.source, &world.ann, "v1");
    let object = world.source.git(&["rev-parse", "refs/tags/v1"]);
    world.source.git(&["update-ref", "refs/tags/v2", &object]);
    world.source.git(&["update-ref", "-d", "refs/tags/v1"]);
    world.refused("what was signed is named \"v1\"");
}

#[test]
fn each_module_is_covered_by_its_own_tag_as_long_as_its_files_are_the_tagged_ones() {
    let world = world(&[&Module::idle("app", "1.0.0"), &Module::idle("web", "1.0.0")]);
    tag(&world.source, &world.ann, "app-v1.0.0-20241208");
    let (ran, record) = world.root.run(&[]);
    ran.expect(0);
    assert_eq!(world.root.installed_version("app"), "1.0.0");
    assert!(not_installed(&record, "web").contains("no trusted tag covers web 1.0.0"), "{record:#}");
    assert!(!world.root.exists("/usr/local/lib/updates/modules/web"));
    assert!(world.root.updates(&["status"]).stdout.contains("no trusted tag covers web 1.0.0"));

    // The head moves on; app's files stay, web's tag is of other files.
    tag(&world.source, &world.ann, "web-v1.0.0-20241208");
    world
        .source
        .write("modules/web/index.py", "def main(args=None):\n    return {'success': True, 'forged': 1}\n")
        .commit();
    let (_, record) = world.root.run(&[]);
    assert!(not_installed(&record, "web").contains("is of other files than these"), "{record:#}");

    // A version that nobody tagged does not become installable by an old tag of the module.
    world.source.publish(&[&Module::idle("app", "2.0.0")]);
    let (_, record) = world.root.run(&[]);
    assert_eq!(world.root.installed_version("app"), "1.0.0", "{record:#}");
    tag(&world.source, &world.ann, "app-v2.0.0-20241209");
    world.root.run(&[]).0.expect(0);
    assert_eq!(world.root.installed_version("app"), "2.0.0");
}

#[test]
fn a_module_s_own_tag_speaks_for_no_version_of_the_program_and_a_tag_of_the_head_does() {
    let world = world(&[&Module::idle("app", "1.0.0")]);
    let platform = format!("{}-linux", std::env::consts::ARCH);
    let artifact = serde_json::json!({"url": "file:///nonexistent/archive", "size": 1, "sha256": "0".repeat(64)});
    let metadata = serde_json::json!({"schema_version": "99.0.0", "minimum_version": "99.0.0"});
    let index = serde_json::json!({"metadata": metadata, "artifacts": {platform: artifact}});
    world.source.write("index.json", index.to_string()).commit();
    let note = |record: &serde_json::Value| record["program"]["notes"].as_array().unwrap()[0].to_string();

    let (_, record) = world.root.run(&[]);
    assert!(refusal(&record).contains("no trusted tag") && record["program"].is_null(), "{record:#}");

    tag(&world.source, &world.ann, "app-v1.0.0-20241208");
    let (ran, record) = world.root.run(&[]);
    ran.expect(0);
    assert!(note(&record).contains("covered by tags of single modules only"), "{record:#}");
    assert!(!world.root.exists("/usr/local/lib/updates/versions"));
    // Nor does the minimum that it names keep anything from being installed.
    assert_eq!(world.root.installed_version("app"), "1.0.0");

    tag(&world.source, &world.ann, "release-1");
    let (_, record) = world.root.run(&[]);
    assert!(note(&record).contains("cannot fetch file:///nonexistent/archive"), "{record:#}");
}

#[test]
fn an_unsigned_head_that_was_refused_is_not_in_the_way_of_the_good_one() {
    let world = world(&[&Module::idle("app", "1.0.0")]);
    tag(&world.source, &world.ann, "v1");
    world.root.run(&[]).0.expect(0);
    let good = world.source.git(&["rev-parse", "HEAD"]);
    world.source.publish(&[&Module::idle("app", "6.6.6")]);
    assert!(refusal(&world.root.run(&[]).1).contains("no trusted tag"));
    world.source.git(&["reset", "--quiet", "--hard", &good]);
    world.source.publish(&[&Module::idle("app", "2.0.0")]);
    tag(&world.source, &world.ann, "v2");
    let (_, record) = world.root.run(&[]);
    assert!(record["sync"]["error"].is_null(), "{record:#}");
    assert_eq!(world.root.installed_version("app"), "2.0.0");
    assert!(fs::read_to_string(world.root.at("/var/lib/updates/sources.json")).unwrap().contains("\"head\""));
}
