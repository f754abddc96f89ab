//! PostgreSQL: cases/faults.md 54 to 59, and what makes a restore exact.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::postgresql_server::server;
use crate::server::{Declared, assert_same};

/// A role with a password that may do what a restore needs, and a database of its own.
fn own_database(name: &str) -> Declared {
    let server = server();
    server.sql("postgres", &format!("CREATE ROLE {name} LOGIN CREATEDB PASSWORD 'se cret'"));
    server.sql("postgres", &format!("CREATE DATABASE {name} OWNER {name}"));
    Declared::new(json!({"type": "postgresql", "database": name, "host": "127.0.0.1", "port": server.port,
        "user": name, "password": "se cret"}))
}

// faults: 54 57
#[test]
fn everything_in_a_database_and_about_it_comes_back_with_clients_that_come_again_and_again() {
    let server = server();
    let name = "we\"ird 'na=me";
    let quoted = "\"we\"\"ird 'na=me\"";
    server.sql("postgres", "CREATE ROLE weird_owner; CREATE ROLE weird_reader");
    server.sql("postgres", &format!("CREATE DATABASE {quoted} OWNER weird_owner CONNECTION LIMIT 40"));
    for statement in [
        format!("COMMENT ON DATABASE {quoted} IS 'it''s \\ ours'"),
        format!("ALTER DATABASE {quoted} SET search_path = \"$user\", public, \"a, b\""),
        format!("ALTER DATABASE {quoted} SET my.setting = 'x ''y'"),
        format!("ALTER ROLE weird_reader IN DATABASE {quoted} SET work_mem = '8MB'"),
        format!("REVOKE CONNECT ON DATABASE {quoted} FROM PUBLIC"),
        format!("GRANT CONNECT, CREATE ON DATABASE {quoted} TO weird_reader WITH GRANT OPTION"),
        format!("SET ROLE weird_reader; GRANT CONNECT ON DATABASE {quoted} TO trusting; RESET ROLE"),
        "CREATE EXTENSION pg_trgm".to_owned(),
        "CREATE TABLE t (id serial PRIMARY KEY, text text); ALTER TABLE t OWNER TO weird_owner".to_owned(),
        "INSERT INTO t (text) SELECT 'row ' || n FROM generate_series(1, 500) n".to_owned(),
        "GRANT SELECT (text) ON t TO weird_reader".to_owned(),
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW v AS SELECT text FROM t".to_owned(),
        "SELECT lo_from_bytea(4711, decode('00ff10', 'hex')); ALTER LARGE OBJECT 4711 OWNER TO weird_owner".to_owned(),
    ] {
        server.sql(name, &statement);
    }
    let declared = Declared::new(json!({"type": "postgresql", "database": name,
        "host": server.folder, "port": server.port.to_string()}));
    declared.require().unwrap();
    let before = server.content(name);
    let saved = declared.save();
    server.sql(name, "DROP TABLE t CASCADE; SELECT lo_unlink(4711); CREATE TABLE other ()");
    server.sql("postgres", &format!("ALTER DATABASE {quoted} RESET ALL; GRANT CONNECT ON DATABASE {quoted} TO PUBLIC"));
    assert!(server.content(name) != before);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    server.psql(name, "SELECT pg_sleep(0.05)").ok();
                }
            });
        }
        let restored = declared.restore(&saved);
        done.store(true, Ordering::Relaxed);
        restored.unwrap();
    });
    assert_same(&server.content(name), &before);
    assert_eq!(server.sql(name, "SELECT encode(lo_get(4711), 'hex')"), "00ff10");
    assert_eq!(server.companions("we\"ird"), name);
}

#[test]
fn a_role_with_a_password_saves_and_restores_its_own_database() {
    let server = server();
    let declared = own_database("own");
    server.sql("own", "SET ROLE own; CREATE TABLE t AS SELECT 1 AS n; CREATE EXTENSION pg_trgm");
    let before = server.content("own");
    declared.require().unwrap();
    let saved = declared.save();
    server.sql("own", "DROP TABLE t");
    declared.restore(&saved).unwrap();
    assert_same(&server.content("own"), &before);
    // A module may have dropped all of it.
    server.sql("postgres", "DROP DATABASE own");
    declared.restore(&saved).unwrap();
    assert_same(&server.content("own"), &before);
    assert_eq!(server.companions("own"), "own");
}
