//! Heads that do not continue what was accepted, and sources that do not move.

use std::fs;

use super::refusal;
use super::support::{Module, Root, Source};

fn versions(source: &Source, versions: &[&str]) -> Vec<String> {
    versions.iter().map(|version| source.publish(&[&Module::idle("app", version)])).collect()
}

// faults: 65
#[test]
fn a_rewound_branch_is_refused_and_names_both_commits() {
    let (root, source) = (Root::new(), Source::new());
    let commits = versions(&source, &["1.0.0", "2.0.0"]);
    root.run(&["--source", source.path()]).0.expect(0);
    source.git(&["reset", "--quiet", "--hard", &commits[0]]);
    for command in [&["--json", "run"], &["--json", "check"]] {
        let record = root.updates(&[&command[..], &["--source", source.path()]].concat()).json();
        let refusal = refusal(&record);
        assert!(refusal.contains(&commits[0][..12]) && refusal.contains(&commits[1][..12]), "{refusal}");
        assert!(refusal.contains("lies behind"), "{refusal}");
    }
    // Once it goes on, nobody has to do anything.
    source.git(&["reset", "--quiet", "--hard", &commits[1]]);
    versions(&source, &["3.0.0"]);
    root.run(&["--source", source.path()]).0.expect(0);
    assert_eq!(root.installed_version("app"), "3.0.0");
}

// faults: 65
#[test]
fn a_forged_history_with_higher_versions_is_refused_even_after_the_mirror_is_lost() {
    let (root, source) = (Root::new(), Source::new());
    versions(&source, &["1.0.0"]);
    root.run(&["--source", source.path()]).0.expect(0);
    source.git(&["checkout", "--quiet", "--orphan", "other"]);
    source.publish(&[&Module::idle("app", "9.0.0")]);
    source.git(&["branch", "--force", "main", "other"]);
    for spoil in ["nothing", "packs", "all"] {
        let mirror = root.at("/var/lib/updates/mirror.git");
        match spoil {
            "packs" => fs::remove_dir_all(mirror.join("objects")).unwrap(),
            "all" => fs::remove_dir_all(mirror).unwrap(),
            _ => {}
        }
        let (ran, record) = root.run(&["--source", source.path()]);
        ran.expect(0);
        assert!(refusal(&record).contains("does not continue"), "{spoil}: {}", refusal(&record));
        assert_eq!(root.installed_version("app"), "1.0.0", "{spoil}");
    }
}

// faults: 65
#[test]
fn an_older_state_under_another_address_is_refused_and_another_history_is_not() {
    let (root, source) = (Root::new(), Source::new());
    versions(&source, &["1.0.0"]);
    let old = Source::new();
    old.git(&["fetch", "--quiet", source.path(), "main"]);
    old.git(&["reset", "--quiet", "--hard", "FETCH_HEAD"]);
    versions(&source, &["2.0.0"]);
    root.run(&["--source", source.path()]).0.expect(0);
    let (_, record) = root.run(&["--source", old.path()]);
    assert!(refusal(&record).contains("which was accepted from"), "{}", refusal(&record));
    let other = Source::of(&[&Module::idle("other", "1.0.0")]);
    root.run(&["--source", other.path()]).0.expect(0);
    assert_eq!(root.installed_version("other"), "1.0.0");
    // Allowed once, it stays allowed.
    root.run(&["--source", old.path(), "--allow-non-fast-forward"]).0.expect(0);
    let (_, record) = root.run(&["--source", old.path()]);
    assert!(record["sync"]["error"].is_null(), "{record:#}");
    assert_eq!(root.installed_version("app"), "2.0.0", "an older version is never installed by a run");
}

// The mirror that is made anew has nothing of the first address; what it replaces has.
#[test]
fn an_older_state_under_another_address_is_refused_when_the_mirror_is_made_anew_for_it() {
    let (root, source) = (Root::new(), Source::new());
    let first = versions(&source, &["1.0.0"]).remove(0);
    let old = Source::new();
    old.git(&["fetch", "--quiet", source.path(), "main"]);
    old.git(&["reset", "--quiet", "--hard", "FETCH_HEAD"]);
    versions(&source, &["2.0.0"]);
    root.run(&["--source", source.path()]).0.expect(0);
    // A file of the older state is noise in the mirror.
    let objects = root.at("/var/lib/updates/mirror.git/objects");
    for file in fs::read_dir(objects.join("pack")).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "pack") {
            let pack = root.temporary().join("pack");
            fs::rename(&file, &pack).unwrap();
            fs::remove_file(file.with_extension("idx")).unwrap();
            let mut git = std::process::Command::new("git");
            git.arg("--git-dir").arg(objects.parent().unwrap()).args(["unpack-objects", "-q"]);
            assert!(git.stdin(fs::File::open(pack).unwrap()).status().unwrap().success());
        }
    }
    let blob = source.git(&["rev-parse", &format!("{first}:modules/app/index.json")]);
    let file = objects.join(&blob[..2]).join(&blob[2..]);
    fs::remove_file(&file).unwrap();
    fs::write(file, "noise").unwrap();
    let (_, record) = root.run(&["--source", old.path()]);
    assert!(refusal(&record).contains("which was accepted from"), "{record:#}");
}

#[test]
fn what_is_remembered_and_damaged_is_not_taken_for_nothing() {
    let (root, source) = (Root::new(), Source::of(&[&Module::idle("app", "1.0.0")]));
    root.run(&["--source", source.path()]).0.expect(0);
    fs::write(root.at("/var/lib/updates/sources.json"), "{").unwrap();
    versions(&source, &["2.0.0"]);
    assert!(refusal(&root.run(&["--source", source.path()]).1).contains("sources.json"));
    assert_eq!(root.installed_version("app"), "1.0.0");
}

// faults: 67
#[test]
fn a_source_that_has_not_moved_for_long_is_said_whatever_date_its_commits_have() {
    let (root, source) = (Root::new(), Source::of(&[&Module::idle("app", "1.0.0")]));
    // The commit is of 2024.
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    assert!(record["sync"]["stale_days"].as_u64().unwrap() > 180, "{record:#}");
    let said = root.updates(&["status"]).stdout;
    assert!(said.contains("the source has not moved for"), "{said}");

    // A date in the future hides nothing: when it was first seen here counts.
    source.put(&Module::idle("app", "2.0.0")).git(&["add", "--all"]);
    let tree = source.git(&["write-tree"]);
    let who = "A <a@example.org> 4000000000 +0000";
    let parent = source.git(&["rev-parse", "HEAD"]);
    let text = format!("tree {tree}\nparent {parent}\nauthor {who}\ncommitter {who}\n\nfrom the future\n");
    let file = root.temporary().join("commit");
    fs::write(&file, text).unwrap();
    let commit = source.git(&["hash-object", "-t", "commit", "-w", file.to_str().unwrap()]);
    source.git(&["update-ref", "refs/heads/main", &commit]);
    let (_, record) = root.run(&["--source", source.path()]);
    assert!(record["sync"]["stale_days"].is_null(), "it has just moved: {record:#}");
    let remembered = root.at("/var/lib/updates/sources.json");
    let mut value: serde_json::Value = serde_json::from_slice(&fs::read(&remembered).unwrap()).unwrap();
    value["sources"][0]["moved"] = 1_700_000_000.into();
    fs::write(&remembered, value.to_string()).unwrap();
    let (_, record) = root.run(&["--source", source.path()]);
    assert!(record["sync"]["stale_days"].as_u64().unwrap() > 180, "{record:#}");
    root.write("/etc/updates/config.toml", "[source]\nstale_after = 0\n");
    let (_, record) = root.run(&["--source", source.path()]);
    assert!(record["sync"]["stale_days"].is_null(), "{record:#}");
}
