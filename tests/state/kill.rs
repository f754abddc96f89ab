//! SIGKILL at any instruction of a backup or a restore: cases/faults.md 1, 6 and 8.
//!
//! The test program runs itself again as a child that works in a loop. It is killed after a seeded number of rounds and
//! then wherever it is, also between two system calls; strike.rs has the calls themselves, each in turn.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::ground::{Ground, declared, name};
use updates::config::Machine;
use updates::state::Store;

const FILES: usize = 12;

/// Not a test of its own: the child's work, and nothing when the program runs as usual.
#[test]
fn child() {
    let (Ok(folder), Ok(work)) = (std::env::var("STATE_TEST_FOLDER"), std::env::var("STATE_TEST_WORK")) else { return };
    let folder = Path::new(&folder);
    let machine = Machine::Root(folder.join("machine"));
    let store = Store::open(&folder.join("store")).unwrap();
    store.recover().unwrap();
    let seal = || store.begin(&name("app"), &name("app"), "").paths(declared(&["/etc/app"])).seal(&machine).unwrap();
    let restore = || store.load(&name("app")).unwrap().unwrap().restore(&machine).unwrap();
    match work.as_str() {
        "seal for ever" => {
            let mut round = 0;
            loop {
                round += 1;
                generation(folder, round);
                drop(seal());
                eprint!(".");
            }
        }
        _ => {
            let mut round = 0;
            loop {
                round += 1;
                disturb(folder, round);
                restore();
                eprint!(".");
            }
        }
    }
}

fn command(ground: &Ground, work: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["kill::child", "--exact", "--nocapture", "--test-threads=1"])
        .env("STATE_TEST_FOLDER", ground.folder.path())
        .env("STATE_TEST_WORK", work)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// Runs the child, and kills it some instructions after it said that `rounds` rounds are over.
fn run_and_kill(ground: &Ground, work: &str, rounds: usize, spin: u64) {
    let mut child = command(ground, work).stderr(Stdio::piped()).spawn().unwrap();
    let mut dots = vec![0; rounds];
    child.stderr.take().unwrap().read_exact(&mut dots).unwrap();
    (0..spin).for_each(|_| std::hint::spin_loop());
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A small generator with a fixed seed; see Marsaglia, "Xorshift RNGs", 2003.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Every file says the same number, and so must every file of a slot.
fn generation(folder: &Path, round: u64) {
    for number in 0..FILES {
        fs::write(folder.join(format!("machine/etc/app/{number}")), round.to_string()).unwrap();
    }
}

/// What a module might do.
fn disturb(folder: &Path, round: u64) {
    let app = folder.join("machine/etc/app");
    for number in 0..FILES {
        let path = app.join(number.to_string());
        match (round + number as u64) % 4 {
            0 => fs::write(&path, "disturbed").unwrap(),
            1 => drop(fs::remove_file(&path)),
            2 => {
                drop(fs::remove_file(&path));
                fs::create_dir(&path).unwrap();
                fs::write(path.join("x"), "x").unwrap();
            }
            _ => fs::write(app.join(format!("planted{number}")), "x").unwrap(),
        }
    }
}

fn slot_is_whole(ground: &Ground) {
    ground.store.recover().unwrap();
    let Some(backup) = ground.store.load(&name("app")).unwrap() else { return };
    backup.verify().unwrap();
    let first = fs::read_to_string(ground.slot().join("files/etc/app/0")).unwrap();
    for number in 1..FILES {
        let path = ground.slot().join(format!("files/etc/app/{number}"));
        assert_eq!(fs::read_to_string(path).unwrap(), first);
    }
    let names = fs::read_dir(ground.store.root()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| name == "app_backup" || name == "module_backups.json"));
}

// faults: 1 8
#[test]
fn a_backup_killed_at_any_moment_leaves_a_whole_slot() {
    let ground = Ground::new();
    let mut seed = 0x5eed;
    for _ in 0..25 {
        run_and_kill(&ground, "seal for ever", random(&mut seed) as usize % 8 + 1, random(&mut seed) % 400_000);
        slot_is_whole(&ground);
    }
}

// faults: 6 8
#[test]
fn a_restore_killed_at_any_moment_is_finished_by_the_next() {
    let ground = Ground::new();
    generation(ground.folder.path(), 1);
    let before = ground.observe("/etc");
    ground.seal(&["/etc/app"]);
    let mut seed = 0xfeed;
    for _ in 0..25 {
        run_and_kill(&ground, "restore for ever", random(&mut seed) as usize % 8 + 1, random(&mut seed) % 400_000);
        ground.restore().unwrap();
        assert_eq!(without_top(ground.observe("/etc")), without_top(before.clone()));
    }
}

/// `/etc` itself is not declared, so its time is nobody's promise.
fn without_top(mut seen: std::collections::BTreeMap<std::path::PathBuf, String>) -> Vec<String> {
    seen.pop_first();
    seen.into_iter().map(|(path, text)| format!("{} {text}", path.display())).collect()
}
