//! `permissions`: declared owners and modes are put back, links are not followed, and a target that can't be had takes
//! back what was changed for the others.

use serde_json::{Value, json};

use super::scene::{Scene, assert_step};

fn scene() -> Scene {
    let scene = Scene::new("permissions");
    let root = &scene.root;
    root.write_as("/srv/app/secret", "key\n", 0o644, 0, 1_000_000_000);
    root.write_as("/srv/app/data/one", "1\n", 0o600, 0, 1_000_000_000);
    root.write_as("/srv/app/data/deep/run.sh", "#!/bin/sh\n", 0o755, 0, 1_000_000_000);
    root.write_as("/srv/outside", "not declared\n", 0o600, 0, 1_000_000_000);
    std::os::unix::fs::symlink("/srv/outside", root.at("/srv/app/data/link")).unwrap();
    scene.installed();
    scene
}

fn settings(more: &[Value]) -> Value {
    let mut targets = vec![
        json!({"path": "/srv/app/secret", "owner": "root", "group": "www-data", "mode": "0640"}),
        json!({"path": "/srv/app/data", "owner": "www-data", "group": "www-data", "mode": "0640", "recursive": true}),
        json!({"path": "/srv/app/cache", "mode": "0700", "optional": true}),
        json!({"path": "/srv/app/later", "mode": "0700", "enabled": false}),
    ];
    targets.extend_from_slice(more);
    json!({"configuration": {"targets": targets, "backup_paths": ["/srv/app/"]}})
}

#[test]
fn owners_and_modes_are_put_right_once() {
    let scene = scene();
    scene.settings(&settings(&[]));
    assert_step!("permissions_check_before", scene.check());
    assert_step!("permissions_first", scene.run());
    assert_step!("permissions_second", scene.run());
    assert_step!("permissions_check_after", scene.check());
}

#[test]
fn a_target_that_is_not_there_takes_back_what_was_changed() {
    let scene = scene();
    scene.settings(&settings(&[json!({"path": "/srv/app/missing", "mode": "0600"})]));
    assert_step!("permissions_failure", scene.failing_run());
}

#[test]
fn a_target_that_is_not_declared_is_read_only_and_takes_everything_back() {
    let scene = scene();
    scene.settings(&settings(&[json!({"path": "/srv/outside", "mode": "0644"})]));
    assert_step!("permissions_undeclared", scene.failing_run());
}
