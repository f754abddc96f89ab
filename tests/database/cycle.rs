//! Databases of servers in whole runs: a service writes while a module runs, the module fails, and all is back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::postgresql_server::server;
use crate::support::{Module, Root};

/// A root with a module of one PostgreSQL database, whose `body` runs once the service has written.
fn root(name: &str, body: &str) -> (Root, Value) {
    let server = server();
    server.sql("postgres", &format!("CREATE ROLE {name} LOGIN CREATEDB PASSWORD 'right-secret'"));
    server.sql("postgres", &format!("CREATE DATABASE {name} OWNER {name}"));
    server.sql(name, &format!("SET ROLE {name}; CREATE TABLE t AS SELECT 1 AS n"));
    let declared = json!({"type": "postgresql", "database": name, "host": "127.0.0.1", "port": server.port,
        "user": name, "password": "right-secret"});
    let code = format!(
        "import os, time\nfrom updates.utils.state_manager import StateManager\n\n\ndef main(args=None):\n    \
         open('/srv/{name}/go', 'w').close()\n    \
         while not os.path.exists('/srv/{name}/done'):\n        time.sleep(0.01)\n    {body}\n"
    );
    let root = Root::new();
    root.folder(&format!("/srv/{name}"));
    root.install(
        &Module::python(name, "1.0.0", &code)
            .declares(&[&format!("/srv/{name}/")])
            .configuration("databases", json!([declared])),
    );
    (root, declared)
}

/// Runs it, and writes as its service would.
fn run_beside_the_service(root: &Root, name: &str) -> crate::support::Ran {
    let run = root.start(&["run", "--no-sync"]);
    crate::server::until("the module runs", || root.exists(&format!("/srv/{name}/go")));
    server().sql(name, "UPDATE t SET n = 2");
    root.write(&format!("/srv/{name}/done"), "");
    run.end()
}

#[test]
fn a_module_that_tells_a_wrong_password_is_put_back_by_the_declared_one() {
    let (root, mut declared) = root("teller", "pass");
    declared["password"] = "wrong-secret".into();
    let body = format!("return {{'success': StateManager().backup_module_state('teller', databases=[{declared}])}}");
    let index = root.modules().join("teller/index.py");
    let code = std::fs::read_to_string(&index).unwrap().replace("pass\n", &format!("{body}\n"));
    std::fs::write(&index, code).unwrap();
    run_beside_the_service(&root, "teller").expect(20);
    assert_eq!(server().sql("teller", "SELECT n FROM t"), "1");
}

#[test]
fn a_run_that_is_killed_is_undone_by_a_recovery_with_the_service_connected() {
    let (root, _) = root("cut_short", "time.sleep(600)");
    let run = root.start(&["run", "--no-sync"]);
    crate::server::until("the module runs", || root.exists("/srv/cut_short/go"));
    server().sql("cut_short", "UPDATE t SET n = 2");
    run.kill_after(Duration::ZERO);
    root.updates(&["recover"]).expect(0);
    assert_eq!(server().sql("cut_short", "SELECT n FROM t"), "1");
    assert_eq!(server().companions("cut_short"), "cut_short");
    assert!(!root.exists("/srv/cut_short/go"));
}
