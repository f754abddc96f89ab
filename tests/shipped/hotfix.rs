//! `hotfix`: targets whose conditions hold run once; a required one that fails takes the others back with it.

use serde_json::{Value, json};

use super::scene::{Scene, assert_step};

fn scene() -> Scene {
    let scene = Scene::new("hotfix");
    scene.root.write_as("/srv/site/motd", "welcome\n", 0o640, 33, 1_000_000_000);
    scene.root.write("/srv/site/tool", "#!/bin/sh\necho tool version 2.4.1\n");
    scene.script(
        "scripts/greet.sh",
        "#!/bin/sh\nset -eu\necho \"greeting for $1\"\necho \"hello, $1\" >>/srv/site/motd\n",
    );
    scene.script("scripts/once.py", "import os\nopen('/srv/site/once', 'x').write(os.environ['HOTFIX_ID'] + '\\n')\n");
    scene.script("scripts/break.sh", "echo half >/srv/site/motd\necho 'no luck' >&2\nexit 3\n");
    scene.publish("1.0.0");
    scene
}

fn settings(more: &[Value]) -> Value {
    let always = json!({"type": "always"});
    let tool = |operator: &str| {
        json!({"type": "binary_version", "binary": "sh", "arguments": ["/srv/site/tool"],
        "operator": operator, "version": "2.4"})
    };
    let mut targets = vec![
        json!({"id": "greet", "conditions": [{"type": "file_exists", "path": "/srv/site/motd"}, tool(">=")],
            "script": "scripts/greet.sh", "arguments": ["the site"]}),
        json!({"id": "once", "conditions": [always, {"type": "file_exists", "path": "/srv/site/once", "invert": true},
            {"type": "module_schema", "module": "hotfix", "version": ">=1.0.0"}], "script": "scripts/once.py"}),
        json!({"id": "old-tool", "conditions": [tool("<")], "script": "scripts/break.sh"}),
        json!({"id": "by-hand", "conditions": [always], "script": "scripts/break.sh", "has_run": true}),
        json!({"id": "may-fail", "conditions": [always], "script": "scripts/fail.sh", "enabled": false}),
    ];
    targets.extend_from_slice(more);
    json!({"configuration": {"targets": targets, "backup_paths": ["/srv/site/"]}})
}

fn broken() -> Value {
    json!({"id": "broken", "conditions": [{"type": "always"}], "script": "scripts/break.sh"})
}

#[test]
fn targets_that_apply_run_once() {
    let scene = scene();
    scene.installed().settings(&settings(&[]));
    assert_step!("hotfix_check_before", scene.check());
    assert_step!("hotfix_first", scene.run());
    assert_step!("hotfix_second", scene.run());
    assert_step!("hotfix_check_after", scene.check());
}

#[test]
fn a_required_target_that_fails_takes_back_what_the_others_did() {
    let scene = scene();
    scene.installed().settings(&settings(&[broken()]));
    assert_step!("hotfix_failure", scene.failing_run());
    // The mistake is mended: now all of it runs.
    scene.settings(&settings(&[]));
    assert_eq!(scene.run().result["ran"], json!(["greet", "once"]));
}

#[test]
fn a_target_that_may_fail_is_named_and_tried_again() {
    let scene = scene();
    let mut target = broken();
    target["required"] = json!(false);
    scene.installed().settings(&settings(&[target]));
    assert_step!("hotfix_tolerated", scene.run());
    assert_eq!(scene.run().result["tolerated"], json!({"broken": "exited with 3"}));
}
