//! Lines 75 and 78 to 80: what a module says, asks for and takes, judged by what the supervisor makes of it. A second
//! module beside it always runs well.

use serde_json::{Value, json};

use crate::support::{Module, Root};

#[test]
fn every_kind_of_broken_report_is_an_outcome() {
    let reports = [
        r#"{"type":"result","value":{"success":true,"success":false}}"#,
        r#"{"type":"result","value":NaN}"#,
        r#"{"type":"result","value":1e999}"#,
        r#"{"type":"result","type":"log"}"#,
        r#"{"type":"result","value":"\ud800"}"#,
        r#"{"type":"result","value":{"success":"\u0000"}}"#,
        r#"{"type":"result""#,
        r#"{"type":"request","id":-1,"operation":"","arguments":{}}"#,
        r#"{"type":"request","id":18446744073709551616,"operation":"x","arguments":[]}"#,
        r#"{"type":"sandbox","enforcement":{"restrictions":[]}}"#,
        r#"{"type":"hello","protocol":[1],"runner":"mine"}"#,
        r#"{"type":"access","call":"x"}"#,
        "\\377\\376\\000",
    ];
    for report in reports {
        let root = Root::new();
        root.install(&Module::idle("neighbour", "1"));
        let script = format!("#!/bin/sh\nprintf '%b\\n' '{}'\n", report.replace(r"\u", r"\\u"));
        root.install(&Module::executable("broken", "1", &script));
        let (ran, record) = root.run(&["--no-sync"]);
        assert!([0, 20].contains(&ran.code), "{report}: {}\n{}", ran.code, ran.stderr);
        assert_eq!(status(&record, "neighbour"), "succeeded", "{report}: {record:#}");
        let kind = &module(&record, "broken")["attempts"][0]["outcome"]["kind"];
        assert!(kind.is_string(), "{report}: {record:#}");
        assert!(!ran.stderr.contains("panicked"), "{report}: {}", ran.stderr);
    }
}

#[test]
fn a_module_that_takes_more_memory_than_it_may_is_ended_alone() {
    let root = Root::new();
    root.write("/srv/app/file", "before");
    let code = "def main(args):\n    open('/srv/app/file', 'w').write('after')\n    held = bytearray(1 << 30)\n    \
                return len(held) > 0\n";
    root.install(&Module::python("greedy", "1", code).declares(&["/srv/app/"]).sandbox("memory_max", json!("128M")));
    root.install(&Module::idle("neighbour", "1"));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(20);
    assert_eq!(status(&record, "neighbour"), "succeeded", "{record:#}");
    assert_eq!(status(&record, "greedy"), "rolled_back", "{record:#}");
    assert!(module(&record, "greedy").to_string().contains("memory_max"), "the limit is not said: {record:#}");
    assert_eq!(root.read("/srv/app/file"), "before");
}

#[test]
fn no_path_of_a_manifest_climbs() {
    for path in ["/srv/../etc/", "../etc/", "/srv/app/../../etc", "srv/app", "/srv/./app/..", "/srv/app\u{0}x"] {
        for (object, key) in [
            ("configuration", "backup_paths"),
            ("sandbox", "read_write_paths"),
            ("sandbox", "volatile_paths"),
            ("sandbox", "read_only_paths"),
        ] {
            let root = Root::new();
            root.write("/etc/victim", "before").install(&Module::idle("neighbour", "1"));
            let code = "def main(args):\n    open('/etc/victim', 'w').write('after')\n    return True\n";
            root.install(&Module::python("climbs", "1", code).set(object, key, json!([path])));
            let (_, record) = root.run(&["--no-sync"]);
            assert_eq!(status(&record, "neighbour"), "succeeded", "{object}.{key} {path:?}: {record:#}");
            assert_ne!(status(&record, "climbs"), "succeeded", "{object}.{key} {path:?}: {record:#}");
            assert_eq!(root.read("/etc/victim"), "before", "{object}.{key} {path:?}");
        }
    }
}

#[test]
fn a_module_that_edits_its_own_profile_gains_nothing() {
    let root = Root::new();
    root.write("/etc/victim.d/file", "before");
    let own = "/usr/local/lib/updates/modules/own";
    // What it may be is what its bounding set says.
    let code = format!(
        "import json, os\ndef main(args):\n    index = json.load(open('{own}/index.json'))\n    \
         index['sandbox'] = {{'profile': 'legacy', 'private_network': False, 'read_write_paths': ['/etc/victim.d/']}}\n    \
         json.dump(index, open('{own}/index.json.new', 'w'))\n    os.rename('{own}/index.json.new', '{own}/index.json')\n    \
         status = open('/proc/self/status').read()\n    \
         return {{'success': True, 'bounding': status.split('CapBnd:')[1].split()[0],\n            \
         'etc': os.path.ismount('/etc/victim.d'),\n            \
         'interfaces': len(open('/proc/net/dev').readlines())}}\n"
    );
    root.install(&Module::python("own", "1.0.0", &code).declares(&[own]));
    let said = |record: &Value| module(record, "own")["result"].clone();
    let (_, first) = root.run(&["--no-sync"]);
    let (_, second) = root.run(&["--no-sync"]);
    let (third, record) = root.run(&["--no-sync"]);
    for (when, later) in [("second", &second), ("third", &record)] {
        let gained = status(later, "own") == "succeeded" && said(later) != said(&first);
        assert!(!gained, "in the {when} run: {:#}\ninstead of {:#}", said(later), said(&first));
    }
    let words = ["legacy", "sandbox.", "/etc/victim.d"];
    let named = [&second, &record].iter().any(|record| words.iter().any(|word| record.to_string().contains(word)));
    assert!(named, "what it asked for is not reported: {record:#}\n{}", third.stderr);
}

fn module<'a>(record: &'a Value, name: &str) -> &'a Value {
    let modules = record["modules"].as_array().unwrap();
    modules.iter().find(|module| module["module"] == json!(name)).unwrap_or(&Value::Null)
}

fn status<'a>(record: &'a Value, name: &str) -> &'a str {
    module(record, name)["status"].as_str().unwrap_or("not run")
}
