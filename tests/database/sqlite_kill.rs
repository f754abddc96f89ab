//! SIGKILL at the system calls of a restore of an SQLite database: cases/faults.md 6 and 8.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use updates::database::{self, Access, Passwords, SavedDatabase};

use crate::sqlite_ground::{Ground, contents};

#[test]
fn a_restore_killed_at_any_write_is_finished_by_the_next() {
    let ground = Ground::new();
    for mode in ["DELETE", "WAL"] {
        drop(fs::remove_file(ground.at("")));
        ground.sql(&format!(
            "PRAGMA journal_mode={mode}; CREATE TABLE t(a, b);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<60) INSERT INTO t SELECT i, zeroblob(900) FROM n"
        ));
        let before = contents(&ground.at(""));
        let saved = ground.dump();
        fs::write(ground.folder.path().join("saved.json"), serde_json::to_vec(&saved).unwrap()).unwrap();
        let harms: [fn(&Ground); 3] = [
            |ground| ground.sql("DELETE FROM t WHERE a > 5; CREATE TABLE IF NOT EXISTS u AS SELECT randomblob(9000)"),
            |ground| fs::write(ground.at(""), vec![7; 9000]).unwrap(),
            |ground| fs::remove_file(ground.at("")).unwrap(),
        ];
        let mut kills = 0;
        for (number, harm) in harms.into_iter().enumerate() {
            for call in
                ["pwrite64", "write", "fsync", "fdatasync", "ftruncate", "renameat", "unlink", "unlinkat", "openat"]
            {
                let mut when = 1;
                loop {
                    harm(&ground);
                    let killed = killed_at(&ground, call, when);
                    ground.restore(&saved).unwrap();
                    assert_eq!(contents(&ground.at("")), before, "{mode} {number} {call} {when}");
                    assert_eq!(ground.names(), ["app.db"], "{mode} {number} {call} {when}");
                    if !killed {
                        break;
                    }
                    kills += 1;
                    when += 1 + when / 2;
                }
            }
        }
        assert!(kills > 20, "only {kills} kills");
    }
}

/// Not a test of its own: the work of a child that is killed, and nothing when the program runs as usual.
#[test]
fn child() {
    let Ok(folder) = std::env::var("SQLITE_TEST_FOLDER") else { return };
    let folder = Path::new(&folder);
    let saved: SavedDatabase = serde_json::from_slice(&fs::read(folder.join("saved.json")).unwrap()).unwrap();
    let (root, passwords) = (folder.join("machine"), Passwords::default());
    let access = Access {
        root: &root,
        passwords: &passwords,
        timeout: Duration::from_secs(60),
        interrupt: None,
        by_content: false,
    };
    database::restore(&saved, &folder.join("dumps"), &access).unwrap();
}

/// Restores in a child that gets a SIGKILL at the `when`th call of `call`; says whether it came to that.
fn killed_at(ground: &Ground, call: &str, when: usize) -> bool {
    let status = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={call}:signal=KILL:when={when}")])
        .arg(std::env::current_exe().unwrap())
        .args(["sqlite_kill::child", "--exact", "--test-threads=1"])
        .env("SQLITE_TEST_FOLDER", ground.folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("strace(1) is installed; packaging/setup does it");
    assert!(status.success() || status.signal() == Some(9), "the child failed by itself at {call} {when}");
    !status.success()
}
