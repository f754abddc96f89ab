//! The source against real repositories in temporary folders: local, over http, damaged, hostile.
#![allow(clippy::unwrap_used)]

#[path = "source/damaged.rs"]
mod damaged;
#[path = "source/http.rs"]
mod http;
#[path = "source/killed.rs"]
mod killed;
#[path = "source/repository.rs"]
mod repository;

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use repository::{Node, Origin, dir, file, link, module};
use tempfile::TempDir;
use updates::source::{
    Access, ExportError, FetchError, Fetched, Mirror, Revision, SourceConfig, SourceError, SourceModule, SourceUrl,
    Transfer, Trust,
};

struct World {
    folder: TempDir,
    origin: Origin,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::new(&folder.path().join("origin"));
        Self { folder, origin }
    }

    fn with_module() -> Self {
        let world = Self::new();
        world.origin.commit("main", &[module("hello", "1.0.0")]);
        world
    }

    fn mirror_path(&self) -> PathBuf {
        self.folder.path().join("state/mirror.git")
    }

    fn mirror(&self) -> Mirror {
        Mirror::open_or_create(&self.mirror_path()).unwrap()
    }

    fn config(&self) -> SourceConfig {
        config(self.origin.path().to_str().unwrap())
    }

    fn fetch(&self) -> Fetched {
        fetch(&mut self.mirror(), &self.config()).unwrap()
    }

    fn export(&self, module: &SourceModule) -> (PathBuf, Result<(), ExportError>) {
        let into = self.folder.path().join("exported");
        fs::create_dir(&into).unwrap();
        let result = module.export(&into);
        (into, result)
    }
}

fn config(url: &str) -> SourceConfig {
    SourceConfig {
        url: SourceUrl::new(url).unwrap(),
        branch: "main".into(),
        ssh_key: None,
        access: Access::default(),
        timeout: Duration::from_secs(20),
        trust: Trust::default(),
        allow_non_fast_forward: false,
    }
}

fn fetch(mirror: &mut Mirror, config: &SourceConfig) -> Result<Fetched, FetchError> {
    mirror.fetch(config, &mut |_| ControlFlow::Continue(()))
}

fn modules(revision: &Revision) -> Vec<SourceModule> {
    revision.modules().unwrap().into_iter().map(Result::unwrap).collect()
}

fn rejected(revision: &Revision) -> Vec<String> {
    revision.modules().unwrap().into_iter().filter_map(|m| m.err().map(|e| e.to_string())).collect()
}

#[test]
fn a_first_fetch_brings_the_modules_and_their_index() {
    let world = World::with_module();
    let fetched = world.fetch();
    assert!(fetched.transfer.objects > 0);
    assert_eq!(fetched.rebuilt, None);
    assert_eq!(fetched.revision.summary(), "commit on main");
    let found = modules(&fetched.revision);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].name().as_str(), "hello");
    assert!(String::from_utf8_lossy(found[0].index()).contains("1.0.0"));
}

#[test]
fn a_second_fetch_without_changes_transfers_nothing() {
    let world = World::with_module();
    let first = world.fetch();
    let second = world.fetch();
    assert_eq!(second.transfer, Transfer::default());
    assert_eq!(second.revision, first.revision);
}

#[test]
fn a_later_fetch_transfers_only_what_is_new() {
    let world = World::new();
    let many: Vec<_> = (0..50).map(|i| module(&format!("m{i}"), "1.0.0")).collect();
    world.origin.commit("main", &many);
    let first = world.fetch();
    assert!(first.transfer.objects > 50);
    let mut more = many.clone();
    more.push(module("new", "1.0.0"));
    world.origin.commit("main", &more);
    let second = world.fetch();
    assert!(second.transfer.objects < 10, "{:?}", second.transfer);
    assert_eq!(modules(&second.revision).len(), 51);
}

#[test]
fn the_last_fetched_head_is_there_without_a_fetch_and_when_one_fails() {
    let world = World::with_module();
    assert_eq!(world.mirror().head(&world.config()), None);
    let fetched = world.fetch();
    fs::rename(world.origin.path(), world.folder.path().join("gone")).unwrap();
    let mut mirror = world.mirror();
    let error = fetch(&mut mirror, &world.config()).unwrap_err();
    assert!(matches!(error, FetchError::NoRepository { .. }), "{error}");
    assert!(error.to_string().contains("No such file"), "{error}");
    let head = mirror.head(&world.config()).unwrap();
    assert_eq!(head, fetched.revision);
    assert_eq!(modules(&head).len(), 1);
}

// faults: 65
#[test]
fn a_forced_push_is_refused_until_a_person_allows_it_once() {
    let world = World::with_module();
    let accepted = world.fetch().revision;
    world.origin.force("main", &[module("other", "2.0.0")]);
    let mut mirror = world.mirror();
    let refused = fetch(&mut mirror, &world.config()).unwrap_err();
    assert!(matches!(&refused, FetchError::Rewound { accepted: id, .. } if *id == accepted.id()), "{refused}");
    assert_eq!(mirror.head(&world.config()), Some(accepted));
    let allowed = SourceConfig { allow_non_fast_forward: true, ..world.config() };
    assert!(fetch(&mut mirror, &allowed).is_ok());
    let fetched = world.fetch();
    assert_eq!(modules(&fetched.revision)[0].name().as_str(), "other");
}

#[test]
fn a_changed_url_reuses_the_objects_and_never_shows_the_old_ones_head() {
    let world = World::with_module();
    world.fetch();
    let copy = world.folder.path().join("copy");
    fs::rename(world.origin.path(), &copy).unwrap();
    let config = config(&format!("file://{}", copy.display()));
    let mut mirror = world.mirror();
    assert_eq!(mirror.head(&config), None);
    let fetched = fetch(&mut mirror, &config).unwrap();
    assert_eq!(fetched.transfer.objects, 0);
    assert_eq!(mirror.head(&config), Some(fetched.revision));
}

#[test]
fn a_missing_branch_is_said_with_the_branches_there_are() {
    let world = World::with_module();
    world.origin.commit("stable", &[module("hello", "1.0.0")]);
    let error = |branch: &str| {
        let config = SourceConfig { branch: branch.into(), ..world.config() };
        fetch(&mut world.mirror(), &config).unwrap_err().to_string()
    };
    assert!(error("mian").ends_with("has no branch \"mian\"; did you mean \"main\"?"), "{}", error("mian"));
    assert!(error("production").ends_with("it has main, stable"), "{}", error("production"));
    assert!(error("a..b").contains("is no branch name"));
}

#[test]
fn a_branch_that_disappears_leaves_the_last_head() {
    let world = World::with_module();
    world.fetch();
    world.origin.commit("other", &[module("hello", "1.0.0")]);
    world.origin.remove_reference("refs/heads/main");
    let mut mirror = world.mirror();
    assert!(matches!(fetch(&mut mirror, &world.config()), Err(FetchError::MissingBranch { .. })));
    assert!(mirror.head(&world.config()).is_some());
}

#[test]
fn a_branch_name_that_is_not_utf_8_stops_nothing() {
    let world = World::with_module();
    let reference = world.origin.path().join("refs/heads").join(repository::bytes(b"caf\xe9"));
    fs::copy(world.origin.path().join("refs/heads/main"), reference).unwrap();
    world.fetch();
    let config = SourceConfig { branch: "production".into(), ..world.config() };
    let error = fetch(&mut world.mirror(), &config).unwrap_err().to_string();
    assert!(error.contains("caf\u{fffd}"), "{error}");
}

#[test]
fn an_empty_repository_and_one_without_modules_are_said() {
    let world = World::new();
    let error = fetch(&mut world.mirror(), &world.config()).unwrap_err();
    assert!(matches!(error, FetchError::Empty { .. }), "{error}");
    world.origin.commit("main", &[file("README", "x")]);
    let error = world.fetch().revision.modules().unwrap_err();
    assert!(matches!(error, SourceError::NoModules { .. }), "{error}");
    assert!(error.to_string().contains("has no folder \"modules\""));
}

#[test]
fn a_folder_that_is_no_repository_is_said() {
    let world = World::new();
    let plain = world.folder.path().join("plain");
    fs::create_dir(&plain).unwrap();
    let error = fetch(&mut world.mirror(), &config(plain.to_str().unwrap())).unwrap_err();
    assert!(error.to_string().contains("is not a git repository"), "{error}");
}

#[test]
fn a_repository_of_another_user_can_be_a_source() {
    let world = World::with_module();
    // Only root can give files away; anyone else's files are their own and the rule does not bite.
    if rustix::process::geteuid().is_root() {
        let status =
            std::process::Command::new("chown").args(["-R", "65534"]).arg(world.origin.path()).status().unwrap();
        assert!(status.success());
    }
    assert_eq!(modules(&world.fetch().revision).len(), 1);
}

#[test]
fn tags_come_along_move_and_disappear() {
    let world = World::with_module();
    world.origin.tag("hello-v1.0.0-20240610", "main");
    world.fetch();
    let tags = || -> Vec<String> {
        let repository = git2::Repository::open_bare(world.mirror_path()).unwrap();
        let references = repository.references_glob("refs/sources/*/tags/*").unwrap();
        references.map(|r| r.unwrap().name().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
    };
    assert_eq!(tags(), ["hello-v1.0.0-20240610"]);
    world.origin.remove_reference("refs/tags/hello-v1.0.0-20240610");
    world.origin.tag("hello-v1.0.1-20240611", "main");
    world.fetch();
    assert_eq!(tags(), ["hello-v1.0.1-20240611"]);
}

#[test]
fn the_caller_can_stop_a_fetch() {
    let world = World::with_module();
    let mut mirror = world.mirror();
    let error = mirror.fetch(&world.config(), &mut |_| ControlFlow::Break(())).unwrap_err();
    assert!(matches!(error, FetchError::Cancelled { .. }), "{error}");
    assert_eq!(mirror.head(&world.config()), None);
    drop(mirror);
    world.fetch();
}

#[test]
fn folders_that_can_not_be_modules_are_each_reported_and_the_others_read() {
    let world = World::new();
    let big = format!("{{\"a\":\"{}\"}}", "x".repeat(2 << 20));
    world.origin.commit(
        "main",
        &[dir(
            "modules",
            vec![
                file("README.md", "not a module"),
                dir("good", vec![file("index.json", "{}")]),
                dir("Twin", vec![file("index.json", "{}")]),
                dir("twin", vec![file("index.json", "{}")]),
                dir("noindex", vec![file("index.py", "")]),
                dir("large", vec![file("index.json", &big)]),
                dir("linked", vec![link("index.json", "/etc/shadow")]),
                dir("folded", vec![dir("index.json", vec![file("x", "")])]),
                dir("..", vec![file("index.json", "{}")]),
                dir("a b", vec![file("index.json", "{}")]),
                dir(".git", vec![file("index.json", "{}")]),
                dir("__pycache__", vec![file("x.pyc", "")]),
                Node::submodule("sub"),
                link("elsewhere", "good"),
            ],
        )],
    );
    let revision = world.fetch().revision;
    let good: Vec<_> = revision.modules().unwrap().into_iter().flatten().map(|m| m.name().to_string()).collect();
    assert_eq!(good, ["good"]);
    insta::assert_snapshot!(rejected(&revision).join("\n"));
}

#[test]
fn a_name_that_is_not_utf_8_is_reported() {
    let world = World::new();
    world.origin.commit("main", &[dir("modules", vec![Node::named(b"caf\xe9", vec![file("index.json", "{}")])])]);
    assert_eq!(rejected(&world.fetch().revision), ["modules/caf\u{fffd}: the name is not UTF-8"]);
}

#[test]
fn an_export_has_the_files_modes_and_links_of_the_tree() {
    let world = World::new();
    world.origin.commit(
        "main",
        &[dir(
            "modules",
            vec![dir(
                "m",
                vec![
                    file("index.json", "{}"),
                    Node::executable("index", "#!/bin/sh\n"),
                    dir("components", vec![dir("a", vec![file("x.py", "pass\n"), link("up", "../../index.json")])]),
                    link("link", "components/a/x.py"),
                ],
            )],
        )],
    );
    let (into, result) = world.export(&modules(&world.fetch().revision)[0]);
    result.unwrap();
    let mode = |path: &str| fs::symlink_metadata(into.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(fs::read_to_string(into.join("link")).unwrap(), "pass\n");
    assert_eq!(fs::read_to_string(into.join("components/a/up")).unwrap(), "{}");
    assert_eq!((mode("index.json"), mode("index"), mode("components"), mode("")), (0o644, 0o755, 0o755, 0o755));
}

#[test]
fn an_export_into_a_folder_that_holds_something_is_refused() {
    let world = World::with_module();
    let found = modules(&world.fetch().revision);
    fs::create_dir(world.folder.path().join("full")).unwrap();
    fs::write(world.folder.path().join("full/x"), "").unwrap();
    assert!(matches!(found[0].export(&world.folder.path().join("full")), Err(ExportError::Path(_))));
}

#[test]
fn hostile_trees_are_refused_and_nothing_lands_outside() {
    let mut deep = file("x", "");
    for _ in 0..70 {
        deep = dir("d", vec![deep]);
    }
    let cases: Vec<(&str, Vec<Node>)> = vec![
        ("the link to \"/etc/passwd\" leads out", vec![link("l", "/etc/passwd")]),
        ("the link to \"../../x\" leads out", vec![dir("a", vec![link("l", "../../x")])]),
        ("leads out", vec![link("a", "b"), link("c", "a/../../x")]),
        ("..: the name is not allowed", vec![dir("..", vec![file("x", "outside")])]),
        (".git: the name is not allowed", vec![dir(".git", vec![file("config", "")])]),
        ("a/.GIT: the name is not allowed", vec![dir("a", vec![file(".GIT", "")])]),
        ("File exists", vec![link("a", "."), dir("a", vec![file("x", "")])]),
        ("File exists", vec![file("a", "1"), file("a", "2")]),
        ("sub: is a submodule", vec![Node::submodule("sub")]),
        ("more than 10000 files", vec![Node::repeated(10_001, "")]),
        ("lies deeper than 64 folders", vec![deep]),
    ];
    for (message, mut nodes) in cases {
        let world = World::new();
        nodes.push(file("index.json", "{}"));
        world.origin.commit("main", &[dir("modules", vec![dir("m", nodes)])]);
        let before = files_below(world.folder.path()).len();
        let module = &modules(&world.fetch().revision)[0];
        let fetched = files_below(world.folder.path()).len();
        assert!(before < fetched);
        let (into, result) = world.export(module);
        let error = result.unwrap_err().to_string();
        assert!(error.contains(message), "{error} does not say {message}");
        assert_eq!(files_below(world.folder.path()).len() - files_below(&into).len(), fetched, "{message}");
    }
}

#[test]
fn a_module_of_more_bytes_than_are_taken_is_refused() {
    let world = World::new();
    let nodes = vec![Node::repeated(5, &"x".repeat(64 << 20)), file("index.json", "{}")];
    world.origin.commit("main", &[dir("modules", vec![dir("m", nodes)])]);
    let (_, result) = world.export(&modules(&world.fetch().revision)[0]);
    assert!(matches!(result, Err(ExportError::TooLarge)));
}

#[test]
fn an_http_source_is_fetched_incrementally() {
    let world = World::with_module();
    let server = http::serve(world.origin.path(), None);
    let config = config(&server.url("origin"));
    let first = fetch(&mut world.mirror(), &config).unwrap();
    assert!(first.transfer.objects > 0);
    assert_eq!(fetch(&mut world.mirror(), &config).unwrap().transfer.objects, 0);
    world.origin.commit("main", &[module("hello", "1.1.0")]);
    let next = fetch(&mut world.mirror(), &config).unwrap();
    assert!(next.transfer.objects > 0 && next.transfer.objects < 6, "{:?}", next.transfer);
}

#[test]
fn an_http_source_that_is_not_there_says_what_it_is() {
    let world = World::with_module();
    let server = http::serve(world.origin.path(), None);
    let error = fetch(&mut world.mirror(), &config(&server.url("nothing"))).unwrap_err();
    assert!(matches!(error, FetchError::NoRepository { .. }), "{error:?}");
    let closed = server.url("origin");
    drop(server);
    let error = fetch(&mut world.mirror(), &config(&closed)).unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
}

#[test]
fn an_http_source_with_a_password_takes_it_from_the_url_and_never_prints_or_stores_it() {
    let world = World::with_module();
    let server = http::serve(world.origin.path(), Some(("me", "s3cretword")));
    let good = server.url("origin").replace("http://", "http://me:s3cretword@");
    fetch(&mut world.mirror(), &config(&good)).unwrap();
    for path in files_below(&world.mirror_path()) {
        assert!(!String::from_utf8_lossy(&fs::read(&path).unwrap()).contains("s3cretword"), "{}", path.display());
    }
    let bad = server.url("origin").replace("http://", "http://me:wr0ngword@");
    let error = fetch(&mut world.mirror(), &config(&bad)).unwrap_err();
    assert!(matches!(error, FetchError::Authentication { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("wr0ng"), "{error}");
    let error = fetch(&mut world.mirror(), &config(&server.url("origin"))).unwrap_err();
    assert!(error.to_string().contains("asks for authentication"), "{error}");
}

#[test]
fn an_ssh_source_that_nobody_serves_is_unreachable() {
    let world = World::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = fetch(&mut world.mirror(), &config(&format!("ssh://git@127.0.0.1:{port}/x"))).unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.file_type().unwrap().is_file() {
                files.push(entry.path());
            }
        }
    }
    files
}
