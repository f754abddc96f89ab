//! SIGKILL at every step of a restore, and one more restore: the live database is never gone, and the end is the same.
//!
//! The test program runs itself again as a child, with client programs in `PATH` that count the calls that change
//! something, and kill the child before one of them or while it runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use updates::database::SavedDatabase;

use crate::server::Declared;
use crate::{mysql_server, postgresql_server};

/// Not a test of its own: the child's work, and nothing when the program runs as usual.
#[test]
fn child() {
    let Ok(work) = std::env::var("DATABASE_TEST_CHILD") else { return };
    let work: Value = serde_json::from_str(&work).unwrap();
    let declared = Declared::at(work["declared"].clone(), work["slot"].as_str().unwrap().into());
    let saved: SavedDatabase = serde_json::from_value(work["saved"].clone()).unwrap();
    declared.restore(&saved).unwrap();
}

/// Puts a program into `folder` that stands for `real`. `changes` is a shell condition.
fn counting(folder: &Path, real: &Path, changes: &str) {
    let (name, real) = (real.file_name().unwrap(), real.display());
    let (count, at) = (folder.join("count"), folder.join("at"));
    let script = format!(
        "#!/bin/sh\n\
         if [ \"$1\" = --version ] || ! {{ {changes}; }}; then exec {real} \"$@\"; fi\n\
         n=$(($(cat {count}) + 1)); echo $n >{count}\n\
         [ \"$n\" = \"$(cat {at})\" ] || exec {real} \"$@\"\n\
         if [ -e {folder}/during ]; then {real} \"$@\" & sleep 0.03; fi\n\
         kill -9 $PPID\n",
        count = count.display(),
        at = at.display(),
        folder = folder.display(),
    );
    let path = folder.join(name);
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Restores with a kill at each step. `lost` says whether the live database is gone; `disturb` and `check` are of it.
fn at_every_step(
    declaration: Value,
    programs: &dyn Fn(&Path),
    disturb: &dyn Fn(),
    lost: &dyn Fn() -> bool,
    check: &dyn Fn(),
) {
    let declared = Declared::new(declaration.clone());
    let saved = declared.save();
    let folder = tempfile::tempdir().unwrap();
    programs(folder.path());
    let work = json!({"declared": declaration, "slot": declared.slot(), "saved": saved}).to_string();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let mut killed = 0;
    // Killed before a step is killed after the one before it. Between the two lies every second step.
    for at in 1.. {
        disturb();
        fs::write(folder.path().join("count"), "0").unwrap();
        fs::write(folder.path().join("at"), at.to_string()).unwrap();
        match at % 2 == 0 {
            true => fs::write(folder.path().join("during"), "").unwrap(),
            false => drop(fs::remove_file(folder.path().join("during"))),
        }
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "kill::child", "--nocapture"]).env("DATABASE_TEST_CHILD", &work).env("PATH", &path);
        let ran = child.output().unwrap();
        match (ran.status.signal(), ran.status.success()) {
            (Some(9), _) => killed += 1,
            (None, true) => break,
            _ => panic!("step {at}: {}", String::from_utf8_lossy(&ran.stderr)),
        }
        assert!(!lost(), "step {at}: the live database is gone");
        declared.restore(&saved).unwrap_or_else(|error| panic!("again after step {at}: {error}"));
        check();
    }
    assert!(killed >= 6, "{killed} kills");
}

#[test]
fn a_postgresql_restore_that_is_killed_at_any_step_comes_to_the_same_end() {
    let server = postgresql_server::server();
    server.sql("postgres", "CREATE ROLE killed LOGIN CREATEDB PASSWORD 'killed'");
    server.sql("postgres", "CREATE DATABASE killed OWNER killed");
    server.sql("killed", "SET ROLE killed; CREATE TABLE t AS SELECT 1 AS n");
    at_every_step(
        json!({"type": "postgresql", "database": "killed", "host": "127.0.0.1", "port": server.port,
            "user": "killed", "password": "killed"}),
        &|folder| {
            let changes = "case \"$0\" in *pg_restore) true ;; *psql) \
                grep -qE '(CREATE|ALTER|DROP) DATABASE|_terminate_' /dev/stdin ;; *) false ;; esac";
            for name in ["psql", "pg_restore", "pg_dump", "pg_isready"] {
                counting(folder, &postgresql_server::program(name), changes);
            }
        },
        &|| drop(server.sql("killed", "UPDATE t SET n = 2")),
        &|| server.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'killed'") != "1",
        &|| {
            assert_eq!(server.sql("killed", "SELECT n FROM t"), "1");
            assert_eq!(server.companions("killed"), "killed");
        },
    );
}

#[test]
fn a_mysql_restore_that_is_killed_at_any_step_comes_to_the_same_end() {
    let server = mysql_server::server();
    server.sql("mysql", "CREATE DATABASE killed");
    server.sql("killed", "CREATE TABLE t (n INT); INSERT INTO t VALUES (1); CREATE VIEW v AS SELECT n FROM t");
    server.sql("killed", "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW SET NEW.n = 7; CREATE TABLE u (n INT)");
    let before = server.content("killed");
    at_every_step(
        json!({"type": "mysql", "database": "killed", "host": server.socket}),
        &|folder| {
            let changes = "case \"$0\" in *dump*) false ;; *) grep -qE 'CREATE|DROP|RENAME|ALTER' /dev/stdin ;; esac";
            for name in ["mariadb", "mariadb-dump"] {
                counting(folder, &mysql_server::program(name), changes);
            }
        },
        &|| drop(server.sql("killed", "UPDATE t SET n = 2; DROP VIEW v; DROP TABLE IF EXISTS u; DROP TRIGGER r")),
        // Each table is there, as it was or as it is to be.
        &|| !matches!(server.mysql("killed", "SELECT n FROM t").as_deref(), Ok("1" | "2")),
        &|| {
            crate::server::assert_same(&server.content("killed"), &before);
            assert_eq!(server.companions("killed"), "killed");
        },
    );
}
