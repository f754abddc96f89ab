//! MySQL and MariaDB: what cases/faults.md asks of PostgreSQL in 54 to 59, of these.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::mysql_server::server;
use crate::server::{Declared, assert_same};

// faults: 54
#[test]
fn everything_in_a_mysql_database_comes_back_below_open_connections() {
    let server = server();
    // Without quotes: mysqldump can't dump the events of a database that has one in its name.
    // Without quotes: mysqldump can't dump the events of a database that has one in its name.
    let name = "we`ird; na=me";
    server.sql("mysql", "CREATE DATABASE `we``ird; na=me` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
    server.sql("mysql", "CREATE USER other; GRANT ALL PRIVILEGES ON *.* TO other");
    for statement in [
        "CREATE TABLE parent (id INT PRIMARY KEY AUTO_INCREMENT, data BLOB, text TEXT)",
        "CREATE TABLE `a;child``` (id INT, parent INT, FOREIGN KEY (parent) REFERENCES parent (id))",
        "CREATE TABLE versioned (id INT) WITH SYSTEM VERSIONING",
        "CREATE SEQUENCE counter START WITH 7",
        "INSERT INTO parent (data, text) VALUES (X'00ff0a27', 'it''s\n\\\\ ünï 😀'), (NULL, NULL)",
        "INSERT INTO `a;child``` VALUES (1, 1)",
        "INSERT INTO versioned VALUES (1); UPDATE versioned SET id = 2",
        "CREATE DEFINER = other TRIGGER stamp BEFORE INSERT ON parent FOR EACH ROW SET NEW.text = 'stamped'",
        "CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN (SELECT COUNT(*) FROM parent)",
        "CREATE PROCEDURE p() SELECT 'a;b'",
        "CREATE DEFINER = other VIEW v AS SELECT id, f() FROM parent",
        "CREATE VIEW w AS SELECT * FROM v",
        "CREATE EVENT sweep ON SCHEDULE EVERY 1 HOUR STARTS '2030-01-01' DO DELETE FROM parent",
    ] {
        server.sql(name, statement);
    }
    let declared = Declared::new(json!({"type": "mysql", "database": name, "host": server.socket}));
    declared.require().unwrap();
    let before = server.content(name);
    let saved = declared.save();
    server.sql(
        name,
        "DROP TABLE `a;child```; INSERT INTO parent VALUES (); DROP VIEW w; CREATE TABLE w (id INT); DROP FUNCTION f;
         CREATE FUNCTION g() RETURNS INT RETURN 1; DROP EVENT sweep; CREATE TABLE gained (id INT);
         CREATE TRIGGER other BEFORE UPDATE ON parent FOR EACH ROW SET NEW.text = 'x';
         ALTER DATABASE CHARACTER SET latin1",
    );
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    server.mysql(name, "BEGIN; SELECT COUNT(*) FROM parent; SELECT SLEEP(0.05)").ok();
                }
            });
        }
        let restored = declared.restore(&saved);
        done.store(true, Ordering::Relaxed);
        restored.unwrap();
    });
    assert_same(&server.content(name), &before);
    assert_eq!(server.companions("we`ird"), name);
}

#[test]
fn a_user_with_rights_on_its_own_database_saves_and_restores_it() {
    let server = server();
    server.sql("mysql", "CREATE DATABASE my_own; CREATE USER my_own IDENTIFIED BY 'se cret'");
    server.sql("mysql", "GRANT ALL PRIVILEGES ON my_own.* TO my_own");
    let declared = Declared::new(json!({"type": "mariadb", "database": "my_own", "host": "127.0.0.1",
        "port": server.port, "user": "my_own", "password": "se cret"}));
    let problem = declared.require().unwrap_err().to_string();
    let pattern = problem.split("ALL PRIVILEGES on ").nth(1).unwrap_or_else(|| panic!("{problem}"));
    let pattern = pattern.split(',').next().unwrap();
    server.sql("mysql", &format!("GRANT ALL PRIVILEGES ON {pattern} TO my_own"));
    declared.require().unwrap();
    server.sql("my_own", "CREATE TABLE t (n INT); INSERT INTO t VALUES (1)");
    let before = server.content("my_own");
    let saved = declared.save();
    server.sql("my_own", "DELETE FROM t");
    declared.restore(&saved).unwrap();
    assert_same(&server.content("my_own"), &before);
    // A module may have dropped all of it.
    server.sql("mysql", "DROP DATABASE my_own");
    declared.restore(&saved).unwrap();
    assert_same(&server.content("my_own"), &before);
    assert_eq!(server.companions("my_own"), "my_own");
}
