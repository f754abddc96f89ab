//! MySQL and MariaDB where something is lacking. Each is a sentence with a way out, and leaves the live database alone.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use updates::database::{SavedDatabase, verify};

use crate::mysql_server::server;
use crate::server::{Declared, free_port, truncated};

fn with(name: &str, more: Value) -> Declared {
    let mut value = json!({"type": "mysql", "database": name, "host": server().socket});
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Declared::new(value)
}

fn declared(name: &str) -> Declared {
    server().sql("mysql", &format!("CREATE DATABASE {name}"));
    server().sql(name, "CREATE TABLE t (n INT); INSERT INTO t VALUES (1)");
    with(name, json!({}))
}

// faults: 58 59
#[test]
fn a_mysql_server_that_is_down_a_wrong_password_and_a_missing_database_are_told_apart() {
    declared("my_apart").require().unwrap();
    let down =
        with("my_apart", json!({"host": "127.0.0.1", "port": free_port(), "user": "x", "password": "y"})).refused();
    assert!(down.contains("does not answer; start it"), "{down}");
    let wrong = json!({"host": "127.0.0.1", "port": server().port, "user": "nobody_such", "password": "hunter2"});
    let wrong = with("my_apart", wrong).refused();
    assert!(wrong.contains("does not let in user \"nobody_such\"; correct"), "{wrong}");
    assert!(!wrong.contains("hunter2"), "{wrong}");
    let missing = with("my_apart_not", json!({})).refused();
    assert!(missing.contains("no such database"), "{missing}");
}

#[test]
fn a_user_that_does_not_see_everything_is_refused_and_an_admin_puts_back_what_it_may_not() {
    let server = server();
    declared("my_seen");
    server.sql("mysql", "CREATE USER nobody IDENTIFIED VIA unix_socket; GRANT SELECT ON my_seen.t TO nobody");
    let partial = with("my_seen", json!({"user": "nobody"})).refused();
    assert!(partial.contains("lacks SELECT, SHOW VIEW, TRIGGER"), "{partial}");
    server.sql("mysql", "GRANT ALL PRIVILEGES ON my_seen.* TO nobody");
    let rights = with("my_seen", json!({"user": "nobody"})).refused();
    assert!(rights.contains("could not put it back: it lacks"), "{rights}");
    let declared = with("my_seen", json!({"user": "nobody", "admin_user": "root"}));
    declared.require().unwrap();
    let saved = declared.save();
    server.sql("my_seen", "DELETE FROM t");
    declared.restore(&saved).unwrap();
    assert_eq!(server.sql("my_seen", "SELECT n FROM t"), "1");
}

// faults: 55
#[test]
fn a_mysql_dump_that_was_cut_anywhere_is_found() {
    let declared = declared("my_cut");
    server().sql("my_cut", "CREATE VIEW v AS SELECT n FROM t");
    let saved = declared.save();
    let dump = saved.dump.clone().unwrap();
    let whole = fs::read(declared.slot().join(&dump.file)).unwrap();
    let mut cuts: Vec<usize> = (0..whole.len()).step_by(whole.len() / 60).collect();
    cuts.extend((1..=30).map(|less| whole.len() - less));
    for cut in cuts {
        let saved: SavedDatabase = truncated(&saved, declared.slot(), &whole[..cut]);
        let problem = verify(&saved, declared.slot()).expect_err(&format!("cut at {cut}")).to_string();
        assert!(problem.contains("not whole"), "{problem}");
    }
}

#[test]
fn a_dump_that_fails_to_load_leaves_the_live_database() {
    let declared = declared("my_kept");
    let saved = declared.save();
    server().sql("my_kept", "UPDATE t SET n = 2");
    let path = declared.slot().join(&saved.dump.as_ref().unwrap().file);
    let text = fs::read_to_string(&path).unwrap().replace("INSERT INTO `t`", "INSERT INTO `z`");
    let saved = truncated(&saved, declared.slot(), text.as_bytes());
    let problem = declared.restore(&saved).unwrap_err().to_string();
    assert!(problem.contains("load the dump beside it"), "{problem}");
    assert_eq!(server().sql("my_kept", "SELECT n FROM t"), "2");
    assert_eq!(server().companions("my_kept"), "my_kept");
}

#[test]
fn a_client_that_holds_a_table_for_ever_does_not_hold_a_restore() {
    let declared = declared("my_held");
    let saved = declared.save();
    server().sql("my_held", "UPDATE t SET n = 2");
    std::thread::scope(|scope| {
        scope.spawn(|| server().mysql("my_held", "BEGIN; SELECT n FROM t; SELECT 'holds', SLEEP(600)").ok());
        let held = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = 'my_held' AND INFO LIKE '%SLEEP%'";
        crate::server::until("the table is held", || server().sql("mysql", held) == "1");
        declared.restore(&saved).unwrap();
    });
    assert_eq!(server().sql("my_held", "SELECT n FROM t"), "1");
}

#[test]
fn what_can_not_follow_a_restore_is_refused() {
    let declared = declared("my_referred");
    server().sql("my_referred", "CREATE TABLE p (id INT PRIMARY KEY); CREATE DATABASE my_referring");
    server().sql("my_referring", "CREATE TABLE c (p INT, FOREIGN KEY (p) REFERENCES my_referred.p (id))");
    assert!(declared.refused().contains("foreign keys of the database \"my_referring\""));
    server().sql("my_referring", "DROP TABLE c");
    server().sql("my_referred", "CREATE SEQUENCE s; CREATE TABLE counted (id INT DEFAULT NEXTVAL(s), x INT)");
    let counted = declared.refused();
    assert!(counted.contains("counted.id takes its default from a sequence"), "{counted}");
    server().sql("my_referred", "DROP TABLE counted");
    server().sql("my_referred", "CREATE TABLE large (data LONGBLOB); INSERT INTO large VALUES (REPEAT('x', 9 << 20))");
    let problem = updates::database::dump(&declared.database, 1, declared.slot(), &declared.access()).unwrap_err();
    assert!(problem.to_string().contains("set max_allowed_packet to"), "{problem}");
}

#[test]
fn a_table_that_somebody_keeps_locked_is_said_before_a_module_runs() {
    let mut declared = declared("my_locked");
    declared.timeout = Duration::from_secs(2);
    std::thread::scope(|scope| {
        scope.spawn(|| server().mysql("my_locked", "LOCK TABLES t WRITE; SELECT 'locks', SLEEP(600)").ok());
        let locked = "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = 'my_locked' AND INFO LIKE '%SLEEP%'";
        crate::server::until("the table is locked", || !server().sql("mysql", locked).is_empty());
        let refused = declared.require().unwrap_err().to_string();
        server().sql("mysql", &format!("KILL {}", server().sql("mysql", locked).lines().next().unwrap()));
        assert!(refused.contains("end the client that keeps them locked"), "{refused}");
    });
}

#[test]
fn a_dump_of_the_same_content_is_the_same_file_so_that_slots_keep_it_once() {
    let declared = declared("my_same");
    let (first, again) = (declared.save(), with("my_same", json!({})).save());
    assert_eq!(first.dump.unwrap().sha256, again.dump.unwrap().sha256);
}

#[test]
fn a_mysql_server_that_takes_the_connection_and_says_nothing_has_a_bound() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut declared =
        with("silent", json!({"host": "127.0.0.1", "port": silent.local_addr().unwrap().port(), "password": "x"}));
    declared.timeout = Duration::from_millis(300);
    let refused = declared.refused();
    assert!(refused.contains("does not answer; start it") && refused.contains("did not end within 300ms"), "{refused}");
}
