//! What the source can be, and that it is fetched once.

use super::statuses;
use super::support::{Module, Root, Source, Tree, normal};

#[track_caller]
fn sync_with(source: &str, branch: &str) -> (i32, serde_json::Value) {
    let root = Root::new();
    root.install(&Module::idle("app", "1.0.0"));
    let (ran, record) = root.run(&["--source", source, "--branch", branch]);
    assert_eq!(statuses(&record), ["app: succeeded"], "the installed module must still run");
    (ran.code, normal(&record["sync"], root.path()))
}

#[test]
fn an_unreachable_source_is_said_and_the_installed_modules_run() {
    let missing = Root::new().at("/srv/no-such-repository");
    insta::assert_json_snapshot!("no_repository", sync_with(missing.to_str().unwrap(), "main"));
    insta::assert_json_snapshot!("refused", sync_with("http://127.0.0.1:9/modules.git", "main"));
}

#[test]
fn a_missing_branch_is_said() {
    let source = Source::of(&[&Module::idle("app", "2.0.0")]);
    insta::assert_json_snapshot!(sync_with(source.path(), "stable"));
}

#[test]
fn a_repository_without_modules_is_said() {
    let source = Source::new();
    source.write("README", "nothing here").commit();
    insta::assert_json_snapshot!(sync_with(source.path(), "main"));
}

#[test]
fn an_empty_repository_is_said() {
    insta::assert_json_snapshot!(sync_with(Source::new().path(), "main"));
}

#[test]
fn a_source_of_the_settings_is_followed_on_its_branch() {
    let (root, source) = (Root::new(), Source::of(&[&Module::idle("app", "1.0.0")]));
    source.git(&["checkout", "--quiet", "-b", "stable"]);
    source.publish(&[&Module::idle("app", "2.0.0")]);
    root.write("/etc/updates/config.toml", format!("[source]\nurl = {:?}\nbranch = \"stable\"\n", source.path()));
    let (ran, record) = root.run(&[]);
    ran.expect(0);
    assert_eq!(record["sync"]["branch"], "stable");
    assert_eq!(root.installed_version("app"), "2.0.0");
}

#[test]
fn a_source_that_goes_away_leaves_what_is_installed() {
    let root = Root::new();
    {
        let source = Source::of(&[&Module::idle("app", "1.0.0")]);
        root.run(&["--source", source.path()]).0.expect(0);
    }
    let gone = Root::new().at("/srv/gone");
    let (ran, record) = root.run(&["--source", gone.to_str().unwrap()]);
    assert_eq!(statuses(&record), ["app: succeeded"]);
    assert!(record["sync"]["error"].is_string(), "{record:#}");
    ran.expect(0);
}

#[test]
fn nothing_is_cloned_twice_and_there_is_no_checkout() {
    let (root, source) = (Root::new(), Source::of(&[&Module::idle("app", "1.0.0")]));
    let revision = source.git(&["rev-parse", "HEAD"]);
    let (_, record) = root.run(&["--source", source.path()]);
    assert_eq!(record["sync"]["revision"], revision.as_str());

    let mirror = root.at("/var/lib/updates/mirror.git");
    assert!(!mirror.join(".git").exists() && mirror.join("HEAD").is_file(), "the mirror is one bare repository");
    let objects = Tree::of(&mirror.join("objects"), &[]);
    let (ran, _) = root.run(&["--source", source.path()]);
    ran.expect(0);
    objects.assert_same(&Tree::of(&mirror.join("objects"), &[]), "a second run without a change fetched something");

    source.publish(&[&Module::idle("app", "1.1.0")]);
    root.run(&["--source", source.path()]).0.expect(0);
    let after = Tree::of(&mirror.join("objects"), &[]);
    let lost: Vec<_> = objects.paths().into_iter().filter(|path| !after.paths().contains(path)).collect();
    assert!(lost.is_empty(), "the mirror was made anew: {lost:?}");

    let copies: Vec<_> = Tree::of(root.path(), &["var/lib/updates/mirror.git"])
        .paths()
        .into_iter()
        .filter(|path| path.ends_with(".git") || path.ends_with(".pack"))
        .map(str::to_owned)
        .collect();
    assert!(copies.is_empty(), "{copies:?}");
}

#[test]
fn a_rewritten_history_is_followed_only_when_a_person_allows_it() {
    let (root, source) = (Root::new(), Source::of(&[&Module::idle("app", "1.0.0")]));
    root.run(&["--source", source.path()]).0.expect(0);
    source.put(&Module::idle("app", "1.1.0"));
    source.git(&["add", "--all"]);
    source.git(&["commit", "--quiet", "--amend", "--message", "Rewritten"]);
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    assert_eq!(statuses(&record), ["app: succeeded"], "the installed module must still run");
    assert_eq!(root.installed_version("app"), "1.0.0");
    assert_eq!(record["sync"]["refused"], source.git(&["rev-parse", "HEAD"]).as_str());
    let (ran, _) = root.run(&["--source", source.path(), "--allow-non-fast-forward"]);
    ran.expect(0);
    assert_eq!(root.installed_version("app"), "1.1.0");
}

#[test]
fn modes_links_and_binary_files_arrive_as_they_are() {
    let module = Module::executable("app", "1.0.0", "#!/bin/sh\nexec ./tools/run.sh\n")
        .file_with_mode("tools/run.sh", "#!/bin/sh\ncmp data.bin copy\n", 0o755)
        .file("data.bin", [0u8, 255, 10, 13, 26])
        .file("plain.txt", "text");
    let (root, source) = (Root::new(), Source::new());
    source.put(&module).link("modules/app/copy", "data.bin").commit();
    let (ran, record) = root.run(&["--source", source.path()]);
    assert_eq!(statuses(&record), ["app: succeeded"], "{record:#}\n{}", ran.stderr);
    let folder = root.modules().join("app");
    assert_eq!(std::fs::read(folder.join("data.bin")).unwrap(), [0u8, 255, 10, 13, 26]);
    assert_eq!(std::fs::read_link(folder.join("copy")).unwrap().to_str(), Some("data.bin"));
}
