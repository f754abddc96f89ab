//! A tree of many files takes little more memory than one of few: cases/faults.md 37.

use std::fs;
use std::process::Command;

use crate::child::{Ended, Work, command};
use crate::ground::Ground;

const FILES: usize = 50_000;

/// Private memory that the work may take beyond what the waiting child has, in bytes; what is only reserved is not counted.
const BOUND: u64 = 32 << 20;

/// Does the work under a limit of private memory and says how it ended.
fn limited(ground: &Ground, work: Work) -> Ended {
    let (mut command, control) = command(ground, work);
    let mut child = command.spawn().unwrap();
    control.recv(&mut [0; 8]).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap();
    let size: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
    let limit = format!("--data={}", size * 1024 + BOUND);
    let set = Command::new("prlimit").arg(limit).arg(format!("--pid={}", child.id())).status();
    assert!(set.unwrap().success());
    control.send(b"go").unwrap();
    child.wait().unwrap();
    control.set_nonblocking(true).unwrap();
    let mut said = vec![0; 64 << 10];
    Ended::of(control.recv(&mut said).ok().map(|length| &said[..length]))
}

#[test]
fn fifty_thousand_files_are_saved_and_restored_in_bounded_memory() {
    let ground = Ground::in_memory();
    for number in 0..FILES {
        let folder = ground.at(&format!("/etc/app/{}", number / 500));
        if number % 500 == 0 {
            fs::create_dir(&folder).unwrap();
        }
        fs::write(folder.join(format!("a-file-with-a-usual-name-{number}")), "x").unwrap();
    }
    assert_eq!(limited(&ground, Work::Seal), Ended::Done);
    fs::remove_dir_all(ground.at("/etc/app/7")).unwrap();
    assert_eq!(limited(&ground, Work::Seal), Ended::Done);
    fs::remove_dir_all(ground.at("/etc/app/8")).unwrap();
    assert_eq!(limited(&ground, Work::Restore), Ended::Done);
    assert_eq!(fs::read_dir(ground.at("/etc/app/8")).unwrap().count(), 500);
}
