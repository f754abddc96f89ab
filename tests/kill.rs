//! SIGKILL to the supervisor at 200 moments of a cycle: after the next start every module is as before or as after its
//! run, its code is the old or the new one, nothing of it is alive, and the database opens.
//!
//! The waiting is the test here: each moment is drawn from a seeded generator over the time that an undisturbed cycle
//! takes on this machine.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Module, Root, Source, Tree, Watch};

/// Moments in one test; there are four of them, so that they run side by side.
const MOMENTS: usize = 50;
const MODULES: [&str; 4] = ["fails", "many", "restarts", "upgrades"];
/// Files that a module writes, one after the other and each in two steps.
const FILES: usize = 12;

/// Appends two lines to each of its files, so that a file between two runs has an odd number of lines, and files of one
/// module of different runs differ in their number. Then has them saved in a slot of its own.
fn writer(name: &str, version: &str, end: &str) -> Module {
    let request = json!({"type": "request", "id": 1, "operation": "state.backup", "arguments":
        {"backup_dir": "/var/backups/updates", "module_name": name, "files": [format!("/srv/{name}")]}});
    let script = format!(
        "#!/bin/sh\nset -eu\nfor i in $(seq {FILES}); do echo begin >>/srv/{name}/$i; done\n\
         for i in $(seq {FILES}); do echo '{version}' >>/srv/{name}/$i; done\n\
         echo $UPDATES_ATTEMPT >>\"$STATE_DIRECTORY/attempts\"\n\
         printf '%s\\n' '{request}' >&3\nread -r reply <&3\n{end}\n"
    );
    Module::executable(name, version, &script).declares(&[&format!("/srv/{name}/")])
}

fn modules(version: &str) -> Vec<Module> {
    vec![
        writer("fails", version, if version == "1.0.0" { "exit 0" } else { "exit 1" }),
        writer("many", "1.0.0", "exit 0"),
        writer("restarts", "1.0.0", "[ $UPDATES_ATTEMPT = 2 ] || exit 75"),
        writer("upgrades", version, "exit 0").file("part/one", version).file("part/two", version),
    ]
}

/// A machine after a good first run, and a source that has moved on since.
struct World {
    first: Root,
    source: Source,
    /// The code of each module before and after the cycle.
    code: BTreeMap<String, [Tree; 2]>,
    undisturbed: Duration,
}

impl World {
    fn new() -> Self {
        let (first, source) = (Root::new(), Source::new());
        let (old, new) = (modules("1.0.0"), modules("2.0.0"));
        source.publish(&old.iter().chain([&Module::idle("idle", "1")]).collect::<Vec<_>>());
        for name in MODULES {
            first.folder(&format!("/srv/{name}"));
        }
        first.run(&["--source", source.path()]).0.expect(0);
        source.publish(&new.iter().collect::<Vec<_>>());

        let (before, undisturbed) = (copy(&first), copy(&first));
        let begun = Instant::now();
        let (ran, record) = undisturbed.run(&["--source", source.path()]);
        let took = begun.elapsed();
        ran.expect(20);
        assert_eq!(record["updates"].as_array().map(Vec::len), Some(2), "{record:#}");
        let shipped = tempfile::tempdir().unwrap();
        let code = |root: &Root, name: &str| Tree::of(&root.modules().join(name), &[]);
        let code = new
            .iter()
            .map(|module| {
                module.write_into(shipped.path());
                let after = Tree::of(&shipped.path().join(&module.name), &[]);
                (module.name.clone(), [code(&before, &module.name), after])
            })
            .collect();
        Self { first, source, code, undisturbed: took }
    }
}

fn copy(root: &Root) -> Root {
    let copy = Root::new();
    let status = Command::new("cp").arg("-a").arg(root.path().join(".")).arg(copy.path()).status().unwrap();
    assert!(status.success());
    copy
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same moments in every run of the test.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        Duration::from_micros(z % u64::try_from(limit.as_micros()).unwrap().max(1))
    }
}

/// How often each module has run, by its files; `Err` when they do not agree.
fn finished_runs(root: &Root, name: &str) -> Result<usize, String> {
    let mut counts = BTreeMap::new();
    for index in 1..=FILES {
        let text = fs::read_to_string(root.at(&format!("/srv/{name}/{index}"))).unwrap_or_default();
        counts.insert(index, text.lines().count());
    }
    let first = counts[&1];
    let lines = |place: &str| {
        let text = fs::read_to_string(root.at(&format!("{place}/{name}_backup/files/srv/{name}/1")));
        text.map_or(0, |text| text.lines().count())
    };
    let (own, retained) = (lines("/var/backups/updates"), lines("/var/lib/updates/checkpoints"));
    if own != counts[&1] {
        return Err(format!(
            "the slot of {name} is of another run than its files: lines {counts:?}, {own} in the slot"
        ));
    }
    if retained % 2 != 0 || retained > counts[&1] {
        return Err(format!("the retained checkpoint of {name} has {retained} lines: {counts:?}"));
    }
    let state = fs::read_to_string(root.at(&format!("/var/lib/updates/state/{name}/attempts"))).unwrap_or_default();
    if counts.values().all(|count| *count == first) && first % 2 == 0 && first / 2 == state.lines().count() {
        return Ok(first / 2);
    }
    Err(format!("{name} is between two runs: lines {counts:?}, {} attempts in its state", state.lines().count()))
}

fn assert_settled(world: &World, root: &Root, what: &str) {
    Watch { root: root.path(), marker: None }.assert_none();
    for name in MODULES {
        let runs = finished_runs(root, name).unwrap_or_else(|error| panic!("{what}: {error}"));
        // The restarting module runs twice at each cycle.
        let allowed: &[usize] = match name {
            "fails" => &[1],
            "restarts" => &[2, 4],
            _ => &[1, 2],
        };
        assert!(allowed.contains(&runs), "{what}: {name} has run {runs} times");
        let code = Tree::of(&root.modules().join(name), &[]).content();
        let known = world.code[name].iter().any(|version| version.content() == code);
        assert!(known, "{what}: the code of {name} is neither the old nor the new: {code:#?}");
    }
    assert_tidy(root, what);
    for phase in ["maintenance", "main"] {
        let left = names(&root.at(&format!("/var/lib/updates/in-flight/{phase}")));
        assert!(left.iter().all(|name| name == "module_backups.json"), "{what}: left in flight: {left:?}");
    }
    assert_database_opens(root, what);
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).into_iter().flatten().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

// The former code stays beside the new one until that has run well.
fn is_former_code(name: &str) -> bool {
    MODULES.iter().any(|module| name == format!(".{module}.previous"))
}

fn assert_tidy(root: &Root, what: &str) {
    let modules: Vec<_> = names(&root.modules()).into_iter().filter(|name| !is_former_code(name)).collect();
    assert_eq!(modules, ["fails", "idle", "many", "restarts", "upgrades"], "{what}: modules/");
    assert_eq!(names(root.temporary()), Vec::<String>::new(), "{what}: left in TMPDIR");
    for folder in [
        "/var/lib/updates/checkpoints",
        "/var/lib/updates/in-flight/maintenance",
        "/var/lib/updates/in-flight/main",
        "/var/backups/updates",
        "/var/lib/updates/catalog",
        "/usr/local/lib/updates",
        "/var/lib/updates",
    ] {
        let left: Vec<_> = names(&root.at(folder))
            .into_iter()
            .filter(|name| name.starts_with('.') && name != ".lock" || name.contains("tmp") || name.contains("pending"))
            .collect();
        assert!(left.is_empty(), "{what}: left in {folder}: {left:?}");
    }
}

fn assert_database_opens(root: &Root, what: &str) {
    let status = root.updates(&["status"]);
    assert!([0, 20].contains(&status.code), "{what}: {status:#?}");
    let database = rusqlite::Connection::open(root.at("/var/lib/updates/updates.db")).unwrap();
    let answer: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(answer, "ok", "{what}");
}

fn kill_at_moments(seed: u64) {
    let world = World::new();
    let mut random = Random(seed);
    // A little longer than an undisturbed cycle, so that the last steps are hit as well.
    let span = world.undisturbed.mul_f64(1.1);
    let (mut killed, mut recovered) = (0, 0);
    for number in 0..MOMENTS {
        let root = copy(&world.first);
        let moment = random.below(span);
        let mut what = format!("seed {seed}, number {number}, killed after {moment:?} of {:?}", world.undisturbed);
        let ran = root.start(&["run", "--source", world.source.path()]).kill_after(moment);
        killed += usize::from(ran.code == -9);
        if number % 4 == 3 {
            // The restart is killed as well, in the middle of what it puts back.
            let moment = random.below(world.undisturbed / 4);
            root.start(&["run", "--no-sync", "--wait=20", "idle"]).kill_after(moment);
            what.push_str(&format!(", its successor after {moment:?}"));
        }
        // A child that was about to become a runner holds the lock until it sees that its supervisor is gone.
        let (ran, record) = root.run(&["--no-sync", "--wait=20", "idle"]);
        assert_eq!(ran.code, 0, "{what}: {record:#}\n{}", ran.stderr);
        recovered += usize::from(!record["recovered"].is_null());
        assert_settled(&world, &root, &what);
        if number % 10 == 9 {
            let (ran, record) = root.run(&["--source", world.source.path()]);
            assert!([0, 20].contains(&ran.code), "{what}: {record:#}");
            let statuses: Vec<_> = record["modules"].as_array().unwrap().iter().map(|m| &m["status"]).collect();
            assert!(!statuses.contains(&&json!("rollback_failed")), "{what}: {record:#}");
            for name in MODULES {
                finished_runs(&root, name).unwrap_or_else(|error| panic!("{what}, after a whole cycle: {error}"));
            }
            assert!(!names(&root.modules()).iter().any(|name| is_former_code(name)), "{what}, after a whole cycle");
        }
    }
    assert!(killed > MOMENTS / 2, "only {killed} of {MOMENTS} kills came before the end");
    assert!(recovered > MOMENTS / 8, "only {recovered} of {MOMENTS} kills hit a module at work");
}

// faults: 5 8 21
#[test]
fn a_supervisor_that_is_killed_at_any_moment_leaves_nothing_half_done_a() {
    kill_at_moments(1);
}

#[test]
fn a_supervisor_that_is_killed_at_any_moment_leaves_nothing_half_done_b() {
    kill_at_moments(2);
}

#[test]
fn a_supervisor_that_is_killed_at_any_moment_leaves_nothing_half_done_c() {
    kill_at_moments(3);
}

#[test]
fn a_supervisor_that_is_killed_at_any_moment_leaves_nothing_half_done_d() {
    kill_at_moments(4);
}
