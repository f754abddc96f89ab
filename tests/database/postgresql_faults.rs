//! PostgreSQL where something is lacking: cases/faults.md 55, 56, 58, 59 and 61. Each is a sentence with a way out, and
//! leaves the live database alone.

use std::fs;
use std::time::Duration;

use serde_json::json;
use updates::database::{SavedDatabase, require_restore, verify};

use crate::postgresql_server::server;
use crate::server::{Declared, free_port, truncated};

/// A database of a role with password `secret`, as that role declares it.
fn declared(name: &str, rights: &str) -> Declared {
    let server = server();
    server.sql("postgres", &format!("CREATE ROLE {name} LOGIN PASSWORD 'secret' {rights}"));
    server.sql("postgres", &format!("CREATE DATABASE {name} OWNER {name}"));
    server.sql(name, &format!("SET ROLE {name}; CREATE TABLE t AS SELECT 1 AS n"));
    with(name, json!({}))
}

fn with(name: &str, more: serde_json::Value) -> Declared {
    let mut value = json!({"type": "postgresql", "database": name, "host": "127.0.0.1", "port": server().port,
        "user": name, "password": "secret"});
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Declared::new(value)
}

// faults: 58 59
#[test]
fn a_server_that_is_down_a_wrong_password_and_a_missing_database_are_told_apart() {
    declared("apart", "CREATEDB").require().unwrap();
    let down = with("apart", json!({"port": free_port()})).refused();
    assert!(down.contains("does not answer; start it"), "{down}");
    let wrong = with("apart", json!({"password": "hunter2"})).refused();
    assert!(wrong.contains("does not let in role \"apart\"; correct user and password"), "{wrong}");
    assert!(!wrong.contains("hunter2"), "{wrong}");
    let none = with("apart", json!({"password": null})).refused();
    assert!(none.contains("does not let in role"), "{none}");
    let missing = with("apart", json!({"database": "apart_not"})).refused();
    assert!(missing.contains("no such database; create it"), "{missing}");
}

#[test]
fn what_a_role_lacks_is_said_before_anything_is_done() {
    let rights = declared("lacking", "").refused();
    assert!(rights.contains("may not create databases (CREATEDB)"), "{rights}");
    let server = server();
    server.sql("postgres", "ALTER ROLE lacking CREATEDB");
    server.sql("lacking", "CREATE TABLE hidden (n int)");
    let unreadable = with("lacking", json!({})).refused();
    assert!(unreadable.contains("can't read public.hidden"), "{unreadable}");
    server.sql("lacking", "GRANT SELECT ON hidden TO lacking");
    let foreign = with("lacking", json!({})).refused();
    assert!(foreign.contains("no member of postgres"), "{foreign}");
    server.sql("lacking", "ALTER TABLE hidden OWNER TO lacking; CREATE EXTENSION pageinspect");
    let extension = with("lacking", json!({})).refused();
    assert!(extension.contains("only a superuser can create the extension pageinspect"), "{extension}");
    server.sql("lacking", "DROP EXTENSION pageinspect");
    with("lacking", json!({})).require().unwrap();
}

#[test]
fn an_admin_by_the_socket_puts_back_what_the_user_may_not() {
    let server = server();
    let name = "nobody";
    server.sql("postgres", "CREATE ROLE nobody LOGIN");
    server.sql("postgres", "CREATE DATABASE nobody OWNER nobody");
    server.sql(name, "CREATE EXTENSION pageinspect; CREATE TABLE t AS SELECT 1 AS n");
    server.sql(name, "GRANT SELECT ON t TO nobody");
    // The role is let in because the client runs as the system's user of that name.
    let declared = Declared::new(json!({"type": "postgresql", "database": name, "host": server.folder,
        "port": server.port, "user": "nobody", "admin_user": "postgres"}));
    declared.require().unwrap();
    let before = server.content(name);
    let saved = declared.save();
    server.sql(name, "DROP EXTENSION pageinspect; UPDATE t SET n = 2");
    declared.restore(&saved).unwrap();
    crate::server::assert_same(&server.content(name), &before);
}

// faults: 55
#[test]
fn a_dump_that_was_cut_anywhere_is_found_without_a_server() {
    let declared = declared("cut", "CREATEDB");
    server().sql("cut", "INSERT INTO t SELECT generate_series(1, 3000); SELECT lo_from_bytea(4711, 'abc')");
    let unreadable = declared.refused();
    assert!(unreadable.contains("can't read the large object 4711"), "{unreadable}");
    server().sql("cut", "ALTER LARGE OBJECT 4711 OWNER TO cut");
    let saved = declared.save();
    let dump = saved.dump.clone().unwrap();
    let whole = fs::read(declared.slot().join(&dump.file)).unwrap();
    let mut cuts: Vec<usize> = (0..whole.len()).step_by(whole.len() / 40).collect();
    cuts.extend((1..=8).map(|less| whole.len() - less));
    for cut in cuts {
        let saved: SavedDatabase = truncated(&saved, declared.slot(), &whole[..cut]);
        let problem = verify(&saved, declared.slot()).expect_err(&format!("cut at {cut}")).to_string();
        assert!(problem.contains("not whole"), "{problem}");
    }
}

// faults: 56
#[test]
fn a_missing_role_is_named_and_a_dump_that_fails_to_load_leaves_the_live_database() {
    let server = server();
    let declared = declared("kept", "CREATEDB SUPERUSER");
    server.sql("postgres", "CREATE ROLE gone");
    server.sql("kept", "CREATE TABLE theirs (n int); ALTER TABLE theirs OWNER TO gone");
    let saved = declared.save();
    server.sql("kept", "DROP TABLE theirs; UPDATE t SET n = 2");
    server.sql("postgres", "DROP ROLE gone");
    let problem = require_restore(&saved, declared.slot(), &declared.access()).unwrap_err().to_string();
    assert!(problem.contains("the role \"gone\"; create it again"), "{problem}");
    // What is found only when it is loaded.
    let mut value = serde_json::to_value(&saved).unwrap();
    let details = &mut value["dump"]["details"]["postgresql"];
    (details["roles"], details["owners"]) = (json!([]), json!([]));
    let unnamed = serde_json::from_value(value).unwrap();
    let problem = declared.restore(&unnamed).unwrap_err().to_string();
    assert!(problem.contains("load the dump beside it") && problem.contains("gone"), "{problem}");
    assert_eq!(server.sql("kept", "SELECT n FROM t"), "2");
    assert_eq!(server.companions("kept"), "kept");
}

#[test]
fn a_server_that_takes_the_connection_and_says_nothing_has_a_bound() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut declared = with("silent", json!({"port": silent.local_addr().unwrap().port()}));
    declared.timeout = Duration::from_millis(300);
    assert!(declared.refused().contains("did not end within 300ms"));
}

#[test]
fn below_another_root_a_server_must_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut declared = Declared::new(json!({"type": "postgresql", "database": "app"}));
    declared.root = folder.path().to_owned();
    assert!(declared.refused().contains("names neither host nor port"));
    // A socket directory is looked for below the root first.
    fs::create_dir_all(folder.path().join("run")).unwrap();
    std::os::unix::fs::symlink(&server().folder, folder.path().join("run/postgresql")).unwrap();
    let mut declared = Declared::new(
        json!({"type": "postgresql", "database": "postgres", "host": "/run/postgresql", "port": server().port}),
    );
    declared.root = folder.path().to_owned();
    declared.require().unwrap();
}

#[test]
fn a_transaction_that_was_prepared_and_left_does_not_hold_a_restore() {
    let declared = declared("prepared", "CREATEDB SUPERUSER");
    let saved = declared.save();
    server().sql("prepared", "BEGIN; UPDATE t SET n = 2; PREPARE TRANSACTION 'it''s left'");
    declared.restore(&saved).unwrap();
    assert_eq!(server().sql("prepared", "SELECT n FROM t"), "1");
}

#[test]
fn whatever_only_somebody_else_could_make_again_is_found_before_a_module_runs() {
    let server = server();
    declared("foreigners", "CREATEDB");
    let superusers = "it is no member of postgres";
    for (make, unmake, said) in [
        ("CREATE SCHEMA s", "DROP SCHEMA s", superusers),
        ("CREATE TYPE mood AS ENUM ('a')", "DROP TYPE mood", superusers),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT SELECT ON TABLES TO foreigners",
            "ALTER DEFAULT PRIVILEGES FOR ROLE postgres REVOKE SELECT ON TABLES FROM foreigners",
            superusers,
        ),
        ("CREATE FOREIGN DATA WRAPPER w", "DROP FOREIGN DATA WRAPPER w", superusers),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE internal AS 'pg_backend_pid'; ALTER FUNCTION f() OWNER TO foreigners",
            "DROP FUNCTION f",
            "only a superuser can create the function f",
        ),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql LEAKPROOF AS 'SELECT 1'; ALTER FUNCTION f() OWNER TO foreigners",
            "DROP FUNCTION f",
            "only a superuser can create the function f",
        ),
        ("CREATE PUBLICATION p FOR ALL TABLES", "DROP PUBLICATION p", "only a superuser can create the publication p"),
        (
            "ALTER DATABASE foreigners SET log_min_duration_statement = 100",
            "ALTER DATABASE foreigners RESET log_min_duration_statement",
            "can't set log_min_duration_statement",
        ),
        (
            "ALTER ROLE postgres IN DATABASE foreigners SET work_mem = '5MB'",
            "ALTER ROLE postgres IN DATABASE foreigners RESET work_mem",
            "can't set anything for postgres",
        ),
    ] {
        server.sql("foreigners", make);
        let refused = with("foreigners", json!({})).refused();
        assert!(refused.contains(said), "{make}: {refused}");
        server.sql("foreigners", unmake);
    }
    // What it may do itself is no reason.
    server.sql(
        "foreigners",
        "ALTER DATABASE foreigners SET work_mem = '5MB'; CREATE EXTENSION hstore; SET ROLE foreigners; CREATE SCHEMA own;
         CREATE TYPE own.mood AS ENUM ('a'); CREATE DOMAIN own.positive AS int CHECK (value > 0);
         CREATE TYPE own.span AS RANGE (subtype = int4); CREATE TYPE own.pair AS (a int, b own.mood);
         CREATE TABLE own.parts (id int) PARTITION BY RANGE (id);
         CREATE TABLE own.first PARTITION OF own.parts FOR VALUES FROM (0) TO (10);
         CREATE FUNCTION own.one() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
         ALTER DEFAULT PRIVILEGES IN SCHEMA own GRANT SELECT ON TABLES TO PUBLIC",
    );
    let own = with("foreigners", json!({}));
    let before = server.content("foreigners");
    let saved = own.save();
    server.sql("foreigners", "DROP SCHEMA own CASCADE; ALTER DATABASE foreigners RESET work_mem");
    own.restore(&saved).unwrap();
    crate::server::assert_same(&server.content("foreigners"), &before);
}

#[test]
fn a_client_that_the_role_can_not_end_is_named_and_the_others_stay_connected() {
    let server = server();
    let declared = declared("watched", "CREATEDB");
    let saved = declared.save();
    server.sql("watched", "UPDATE t SET n = 2");
    let mut watcher = server.client("psql", "watched");
    let mut watcher = watcher.args(["-X", "-q", "-c", "SELECT pg_sleep(600)"]).spawn().unwrap();
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'watched'";
    crate::server::until("the superuser is connected", || server.sql("postgres", sessions) == "1");
    let kept = declared.restore(&saved).unwrap_err().to_string();
    assert!(kept.contains("can't end the sessions of postgres there; end them"), "{kept}");
    assert_eq!(server.sql("watched", "SELECT n FROM t"), "2");
    assert_eq!(server.companions("watched"), "watched");
    server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'watched'");
    watcher.wait().unwrap();
    declared.restore(&saved).unwrap();
    assert_eq!(server.sql("watched", "SELECT n FROM t"), "1");
}
