//! Who runs when, beside whom, and of a group, which one.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::support::{Module, Root};
use super::{module, statuses};

fn order(record: &Value) -> Vec<&str> {
    record["modules"].as_array().unwrap().iter().map(|module| module["module"].as_str().unwrap()).collect()
}

/// Notes when it ran, for longer than another needs to start, and which processes it saw meanwhile.
fn timed(name: &str) -> Module {
    let code = r#"
import os, time

def main(args):
    start = time.monotonic()
    time.sleep(0.3)
    seen = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with open("/proc/%s/cmdline" % pid) as file:
            seen.append(file.read())
    time.sleep(0.3)
    own = os.path.basename(os.path.dirname(os.path.abspath(__file__)))
    others = [each for each in seen if "/modules/" in each and "/modules/%s/" % own not in each]
    return {"success": True, "from": start, "to": time.monotonic(), "others": others, "count": len(seen)}
"#;
    Module::python(name, "1", code)
}

/// When it ran, on the clock of this machine.
#[track_caller]
fn span(record: &Value, name: &str) -> (f64, f64) {
    let result = &module(record, name)["result"];
    (result["from"].as_f64().unwrap(), result["to"].as_f64().unwrap())
}

#[track_caller]
fn side_by_side(record: &Value, one: &str, other: &str) -> bool {
    let (one, other) = (span(record, one), span(record, other));
    one.0 < other.1 && other.0 < one.1
}

#[test]
fn priority_comes_before_name() {
    let root = Root::new();
    for (name, priority) in [("d", 100), ("c", 5), ("b", 100), ("a", 200), ("e", -1)] {
        root.install(&Module::idle(name, "1").metadata("priority", json!(priority)));
    }
    root.install(&Module::idle("bb", "1"));
    let (ran, record) = root.run(&["--no-sync", "--jobs", "1"]);
    ran.expect(0);
    assert_eq!(order(&record), ["e", "c", "b", "bb", "d", "a"]);
}

#[test]
fn named_modules_run_alone_and_the_rest_is_not_mentioned() {
    let root = Root::new();
    for name in ["a", "b", "c"] {
        root.install(&Module::idle(name, "1"));
    }
    let (ran, record) = root.run(&["--no-sync", "--jobs", "1", "c", "a"]);
    ran.expect(0);
    assert_eq!(order(&record), ["a", "c"]);
}

#[test]
fn modules_of_one_priority_run_side_by_side_and_none_sees_the_other() {
    let root = Root::new();
    root.install(&timed("one")).install(&timed("two")).install(&timed("later").metadata("priority", json!(101)));
    let (ran, record) = root.run(&["--no-sync", "--jobs", "2"]);
    ran.expect(0);
    assert!(side_by_side(&record, "one", "two"), "{record:#}");
    for name in ["one", "two"] {
        assert_eq!(module(&record, name)["result"]["others"], json!([]), "{name} saw the other");
        assert_eq!(module(&record, name)["result"]["count"], 1, "itself, and not even init");
        assert!(!side_by_side(&record, name, "later"), "a later priority did not wait");
    }
}

#[test]
fn one_job_means_one_after_the_other() {
    let root = Root::new();
    for name in ["a", "b"] {
        root.install(&timed(name));
    }
    let (_, record) = root.run(&["--no-sync", "--jobs", "1"]);
    assert!(span(&record, "a").1 <= span(&record, "b").0);
}

#[test]
fn an_exclusive_module_runs_alone() {
    let root = Root::new();
    for name in ["a", "c", "d"] {
        root.install(&timed(name));
    }
    root.install(&timed("b").metadata("exclusive", json!(true)));
    let (ran, record) = root.run(&["--no-sync", "--jobs", "4"]);
    ran.expect(0);
    for name in ["a", "c", "d"] {
        assert!(!side_by_side(&record, "b", name), "{name} ran beside the exclusive module");
    }
    assert!(side_by_side(&record, "c", "d"), "the others still run side by side");
}

#[test]
fn modules_that_share_a_declared_path_do_not_run_side_by_side() {
    let root = Root::new();
    root.folder("/srv/shared/deep");
    root.install(&timed("a").declares(&["/srv/shared/"])).install(&timed("b").declares(&["/srv/shared/deep/"]));
    let (_, record) = root.run(&["--no-sync", "--jobs", "2"]);
    assert!(!side_by_side(&record, "a", "b"));
}

/// A machine on which exactly these units are active.
fn root_with_active(units: &[&str]) -> Root {
    let root = Root::new();
    let script = format!(
        r#"#!/bin/sh
# systemctl show [--property=…] UNIT…
separator=
for unit; do
  case $unit in -*|show) continue ;; esac
  case $unit in *.service) ;; *) unit=$unit.service ;; esac
  printf '%sId=%s\n' "$separator" "$unit"
  separator='
'
  case " {} " in
    *" $unit "*) printf 'LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n' ;;
    *) printf 'LoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\n' ;;
  esac
done
"#,
        units.join(" ")
    );
    root.write("/opt/systemctl", script);
    let program = root.at("/opt/systemctl");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    root.write("/etc/updates/config.toml", format!("[run]\nsystemctl = {:?}\n", program.to_str().unwrap()));
    root
}

fn web(name: &str, order: i64) -> Module {
    Module::idle(name, "1")
        .metadata("group", json!("web"))
        .metadata("group_order", json!(order))
        .configuration("service_name", json!(name))
}

#[test]
fn of_a_group_the_first_implementation_whose_service_is_active_runs() {
    let all = [web("apache2", 1), web("nginx", 2), web("caddy", 3)];
    let cases: [(&[&str], &str); 3] = [
        (&["nginx.service", "caddy.service"], "nginx"),
        (&["caddy.service", "apache2.service"], "apache2"),
        (&["caddy.service"], "caddy"),
    ];
    for (active, expected) in cases {
        let root = root_with_active(active);
        for module in &all {
            root.install(module);
        }
        let (ran, record) = root.run(&["--no-sync"]);
        ran.expect(0);
        let ran: Vec<_> = statuses(&record).into_iter().filter(|status| !status.ends_with(": skipped")).collect();
        assert_eq!(ran, [format!("{expected}: succeeded")], "{record:#}");
        assert_eq!(record.get("problems"), None);
    }
}

#[test]
fn a_group_without_an_active_service_is_skipped_with_the_reason() {
    let root = root_with_active(&["sshd.service"]);
    root.install(&web("nginx", 1)).install(&Module::idle("other", "1"));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    assert_eq!(statuses(&record), ["nginx: skipped", "other: succeeded"]);
    insta::assert_json_snapshot!(module(&record, "nginx")["message"]);
}

#[test]
fn without_systemd_the_run_goes_on_and_says_what_it_does_not_know() {
    let root = Root::new();
    root.write("/etc/updates/config.toml", "[run]\nsystemctl = \"/no/such/systemctl\"\n");
    root.install(&web("nginx", 1)).install(&Module::idle("other", "1"));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    assert_eq!(statuses(&record), ["nginx: skipped", "other: succeeded"]);
    insta::assert_json_snapshot!(record["problems"]);
}
