//! Requests by the thousand, and requests that hold what must not be logged: the log stays short and says what is missing.

use serde_json::json;

use super::machine::{machine, module, trail};

#[test]
fn requests_by_the_thousand_are_answered_in_turn_and_counted() {
    let root = machine();
    root.install(&module(
        r#"
from updates import _channel
answers = []
for number in range(3000):
    try:
        answers.append(_channel.current.request("state.list", {"backup_dir": "/var/backups/updates"}))
    except _channel.RequestError as error:
        answers.append(str(error))
for number in range(1000):
    try:
        _channel.current.request("no.such.thing%d" % number, {})
    except _channel.RequestError:
        pass
stopped = service.restart("sshd")
return {"success": True, "answers": len(answers), "kinds": len(set(map(str, answers)))}
"#,
    ));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    assert_eq!(record["modules"][0]["result"], json!({"success": true, "answers": 3000, "kinds": 1}));
    let requests = &record["modules"][0]["attempts"][0]["requests"];
    assert_eq!(
        requests,
        &json!([
            {"operation": "service.restart", "refused": 1},
            {"operation": "state.list", "granted": 3000},
            {"operation": "unknown", "refused": 1000}
        ])
    );
    let trail = trail(&root);
    assert!(trail.len() < 500, "{} lines", trail.len());
    assert!(trail.iter().any(|line| line.contains("sshd.service is not declared")), "hidden behind the flood");
    assert!(trail.iter().any(|line| line.ends_with("state.list granted 2800 more times, not listed one by one")));
}

#[test]
fn passwords_reach_neither_log_nor_record() {
    let root = machine();
    root.install(&module(
        r#"
from updates.utils.state_manager import StateManager
database = {"type": "postgresql", "database": "app", "user": "app", "password": "hunter2", "host": "db"}
return {"success": True, "done": StateManager().backup_module_state("app", databases=[database])}
"#,
    ));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    let trail = trail(&root).join("\n");
    assert!(trail.contains("[hidden]") && trail.contains("\"host\":\"db\""), "{trail}");
    assert!(!trail.contains("hunter2") && !record.to_string().contains("hunter2") && !ran.stderr.contains("hunter2"));
}
