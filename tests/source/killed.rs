//! A process that fetches is killed again and again; each time the next fetch must bring the source's head, whole.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use updates::source::Mirror;

use super::repository::{Node, dir, file};
use super::{World, config, fetch, modules};

const ORIGIN: &str = "UPDATES_TEST_KILLED_ORIGIN";
const MIRROR: &str = "UPDATES_TEST_KILLED_MIRROR";

// Not a test of its own: the process that the next test kills. Run without that, it ends at once.
#[test]
fn a_process_that_fetches() {
    let (Some(origin), Some(mirror)) = (std::env::var_os(ORIGIN), std::env::var_os(MIRROR)) else { return };
    println!("\nready");
    let mut mirror = Mirror::open_or_create(Path::new(&mirror)).unwrap();
    fetch(&mut mirror, &config(origin.to_str().unwrap())).unwrap();
}

#[test]
fn a_fetch_that_is_killed_anywhere_is_made_good_by_the_next_one() {
    let world = World::new();
    let mut interrupted = 0;
    for attempt in 0..30u64 {
        let text = format!("{attempt}");
        let files: Vec<Node> = (0..20).map(|i| file(&format!("f{i}"), &format!("{text} {i}"))).collect();
        world
            .origin
            .commit("main", &[dir("modules", vec![dir("m", [vec![file("index.json", "{}")], files].concat())])]);
        let before = world.mirror_path().exists().then(|| world.mirror().head(&world.config())).flatten();

        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::a_process_that_fetches", "--nocapture"])
            .env(ORIGIN, world.origin.path())
            .env(MIRROR, world.mirror_path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"));
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(attempt * 1171 % 30_000) {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        interrupted += usize::from(world.mirror_path().join("updates-suspect").exists());

        let mut mirror = world.mirror();
        // Offline it would be this one: either the last or the new head, and readable.
        let head = mirror.head(&world.config());
        assert!(head.is_some() || before.is_none());
        if let Some(head) = &head {
            assert_eq!(modules(head).len(), 1);
        }
        let fetched = fetch(&mut mirror, &world.config()).unwrap();
        let (into, result) = world.export(&modules(&fetched.revision)[0]);
        result.unwrap();
        assert_eq!(std::fs::read_to_string(into.join("f7")).unwrap(), format!("{text} 7"));
        std::fs::remove_dir_all(into).unwrap();
    }
    assert!(interrupted > 0, "no kill ever met a fetch");
}
