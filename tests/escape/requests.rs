//! Lines 79 and 83 on the way of requests: an executable that speaks the protocol by hand, without the SDK that would
//! keep it from asking for nonsense.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::support::{Module, Root};

/// Asks for everything in `ASK` and keeps what it is told.
const CLIENT: &str = r#"#!/usr/bin/python3
import json, os, socket
channel = socket.socket(fileno=3)
replies = channel.makefile("r")
said = []
for number, (operation, arguments) in enumerate(json.load(open(os.path.dirname(__file__) + "/ask.json"))):
    line = {"type": "request", "id": number, "operation": operation, "arguments": arguments}
    channel.sendall(json.dumps(line).encode() + b"\n")
    said.append(json.loads(replies.readline()))
print(json.dumps({"type": "result", "value": {"success": True, "said": said}}))
"#;

#[test]
fn no_request_reaches_out_of_the_declared_set() {
    let root = Root::new();
    root.write_as("/etc/victim", "before", 0o600, 0, 1_000_000_000);
    root.write("/var/backups/mine/x", "").write("/srv/app/file", "mine");
    root.write("/var/lib/updates/state/neighbour/secret", "before");
    symlink("/etc/victim", root.at("/srv/app/link")).unwrap();
    symlink("/etc", root.at("/srv/app/folder")).unwrap();
    let own = json!({"backup_dir": "/var/backups/updates", "module_name": "climbs"});
    let with = |key: &str, value: Value| {
        let mut arguments = own.clone();
        arguments[key] = value;
        arguments
    };
    let mut asked = Vec::new();
    for path in [
        "/srv/app/../../etc/victim",
        "/etc/victim",
        "/srv/app/link",
        "/srv/app/folder/victim",
        "../etc/victim",
        "/proc/1/root/etc/victim",
        "/srv/app/\u{0}",
        "",
    ] {
        // A link inside of the set is saved as the link that it is.
        if path != "/srv/app/link" {
            asked.push(json!(["state.backup", with("files", json!([path]))]));
        }
        let target = json!({"path": path, "owner": "nobody", "group": "nogroup", "mode": 0o777, "recursive": true});
        asked.push(json!(["permissions.set", {"targets": [target]}]));
    }
    for folder in ["/etc", "../..", "/var/backups/../../etc", "/var/lib/updates", "/srv/app/folder"] {
        for operation in ["state.backup", "state.restore", "state.remove", "state.info"] {
            asked.push(json!([operation, with("backup_dir", json!(folder))]));
        }
    }
    for name in ["../climbs", "neighbour", "climbs/../neighbour", "", "."] {
        for operation in ["state.backup", "state.restore", "state.remove", "state.info", "version.checkout"] {
            asked.push(json!([operation, with("module_name", json!(name))]));
        }
    }
    for unit in ["ssh.service", "../ssh", "-H", "--root=/", "a b", "*", ""] {
        for action in ["status", "start", "stop", "restart", "reload", "enable", "disable"] {
            asked.push(json!([format!("service.{action}"), {"service": unit, "name": unit, "unit": unit}]));
        }
    }
    asked.push(json!(["no.such.operation", {}]));
    let module = Module::executable("climbs", "1.0.0", CLIENT)
        .file("ask.json", serde_json::to_string(&asked).unwrap())
        .declares(&["/srv/app/"]);
    root.install(&module);
    let before = root.machine();
    let ran = root.updates(&["runner", "climbs"]);
    ran.expect(0);
    let value = ran.json();
    let said = value["said"].as_array().unwrap();
    assert_eq!(said.len(), asked.len());
    let granted: Vec<_> = asked
        .iter()
        .zip(said)
        .filter(|(_, reply)| reply.get("error").is_none())
        .map(|(ask, _)| ask.to_string())
        .collect();
    let after = root.machine();
    for path in ["etc/victim", "srv"] {
        before.below(path).assert_same(&after.below(path), "what was asked for");
    }
    assert_eq!(before.below("var/backups").content(), after.below("var/backups").content());
    assert_eq!(root.read("/var/lib/updates/state/neighbour/secret"), "before");
    assert!(granted.is_empty(), "{granted:#?}");
}
