//! A process that installs, confirms and takes back without end is killed again and again. After each recovery every
//! module must be whole, of one version, with the shipped copy of just that version, and nothing may lie around.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use updates::catalog::{Catalog, CatalogEntry, Installed};
use updates::config::Layout;

use super::world::{World, index_text, name, write_module};

const ROOT: &str = "UPDATES_TEST_KILLED_ROOT";

// Not a test of its own: the process that the next test kills. Run without that, it ends at once.
#[test]
fn a_process_that_swaps_without_end() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let catalog = Catalog::open(&Layout::new(Path::new(&root)));
    println!("\nready");
    for round in 0.. {
        for module in ["old", "new"] {
            let next = match catalog.module(&name(module)) {
                Some(CatalogEntry::Installed(module)) => major(&module) + 1,
                _ => 1,
            };
            let version = format!("{next}.0.0");
            let index = index_text(module, &version, json!({}));
            let staged = catalog.stage(&name(module), Some(&version), |folder| write_module(folder, &index, &version));
            staged.unwrap().commit().unwrap();
            match (module, round % 3) {
                ("old", 0) => catalog.confirm(&name(module)).unwrap(),
                ("old", 1) => {}
                _ => drop(catalog.revert(&name(module)).unwrap()),
            }
        }
    }
}

#[test]
fn a_swap_that_is_killed_anywhere_leaves_the_old_or_the_new_version() {
    let world = World::new();
    world.install("old", "1.0.0");
    world.catalog.confirm(&name("old")).unwrap();
    world.edit("old", |index| index["mine"] = json!(1));
    let mut interrupted = 0;
    for attempt in 0..100u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::a_process_that_swaps_without_end", "--nocapture"])
            .env(ROOT, world.root())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"));
        // Each moment a little later than the one before, around again after some rounds of the other process.
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(attempt * 977 % 40_000) {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9), "it ended by itself");

        let recovery = world.catalog.recover().unwrap();
        assert!(recovery.problems.is_empty(), "{:?}", recovery.problems);
        interrupted += usize::from(!recovery.notes.is_empty());
        check(&world);
        assert!(world.catalog.recover().unwrap().notes.is_empty());
    }
    assert!(interrupted > 0, "no kill ever met a swap");
}

fn check(world: &World) {
    let old = world.module("old");
    whole(&old);
    assert_eq!(old.local_changes, ["mine"], "the shipped copy is not that of the installed version");
    if let Some(CatalogEntry::Installed(new)) = world.catalog.module(&name("new")) {
        whole(&new);
        assert!(new.unconfirmed && new.local_changes.is_empty());
    }
    let expected: &[&str] = if old.unconfirmed { &[".old.previous"] } else { &[] };
    assert_eq!(world.hidden(), expected);
    if old.unconfirmed {
        let CatalogEntry::Broken(_) = Catalog::read_folder(&world.folder(".old.previous")) else {
            panic!("a hidden folder passes for a module")
        };
        files_are_of_one_version(&world.folder(".old.previous"));
    }
}

fn whole(module: &Installed) {
    let version = files_are_of_one_version(&module.directory);
    assert_eq!(module.manifest.schema_version.to_string(), version);
    assert_eq!(
        module.tree.as_deref(),
        Some(if version == "1.0.0" && module.name.as_str() == "old" { "tree-of-1.0.0" } else { &version })
    );
}

fn files_are_of_one_version(folder: &Path) -> String {
    let version = fs::read_to_string(folder.join("index.py")).unwrap();
    for file in ["maintenance.py", "components/a.py", "components/b.py"] {
        assert_eq!(fs::read_to_string(folder.join(file)).unwrap(), version);
    }
    let index = super::world::document(&folder.join("index.json"));
    assert_eq!(index["metadata"]["schema_version"], json!(version));
    version
}

fn major(module: &Installed) -> u64 {
    module.manifest.schema_version.to_string().split('.').next().unwrap().parse().unwrap()
}
