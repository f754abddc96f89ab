//! `migrations`: scripts in their order, each once; the first that fails takes the whole run back, new code included.

use serde_json::json;

use super::scene::{Scene, assert_step};

fn scene() -> Scene {
    let scene = Scene::new("migrations");
    scene.root.write_as("/srv/app/app.ini", "[main]\nport = 80\n", 0o640, 33, 1_000_000_000);
    scene.root.write_as("/srv/app/old/data", "kept\n", 0o600, 33, 1_000_000_000);
    scene.installed().settings(&json!({"configuration": {"backup_paths": ["/srv/app/"]}}));
    scene.script(
        "migrations/002-move-data.sh",
        "set -eu\nmv /srv/app/old /srv/app/data\necho \"moved by $MIGRATION\"\n",
    );
    scene.script(
        "migrations/010-change-port.py",
        "path = '/srv/app/app.ini'\ntext = open(path).read()\nopen(path, 'w').write(text.replace('80', '8080'))\n",
    );
    scene.script("migrations/1-greet", "#!/bin/sh\necho first >/srv/app/log\n");
    scene.publish("1.1.0");
    scene
}

#[test]
fn scripts_run_in_their_order_and_once() {
    let scene = scene();
    assert_step!("migrations_first", scene.run());
    assert_step!("migrations_second", scene.run());
    assert_step!("migrations_check_after", scene.check());
    scene.script("migrations/011-more.sh", "echo more >>/srv/app/log\n").publish("1.2.0");
    assert_step!("migrations_third", scene.run());
}

#[test]
fn a_check_names_the_scripts_that_would_run() {
    let scene = scene();
    scene.settings(&json!({"configuration": {"backup_paths": ["/srv/app/"], "per_run": 1}}));
    assert_step!("migrations_one_of_three", scene.run());
    assert_step!("migrations_check_before", scene.check());
}

#[test]
fn the_first_script_that_fails_stops_the_run_and_takes_everything_back() {
    let scene = scene();
    scene.run();
    scene.script("migrations/011-begin.sh", "echo begun >>/srv/app/log\n");
    scene.script("migrations/012-fail.sh", "rm -r /srv/app/data\necho 'the disk is on fire' >&2\nexit 5\n");
    scene.script("migrations/013-never.sh", "echo never >>/srv/app/log\n");
    scene.publish("1.2.0");
    assert_step!("migrations_failure", scene.failing_run());
    assert_eq!(scene.root.installed_version("migrations"), "1.1.0");
    // The bad version is held, and what is installed has nothing to do.
    assert_step!("migrations_held", scene.run());
    scene.script("migrations/012-fail.sh", "echo mended >>/srv/app/log\n").publish("1.2.1");
    assert_step!("migrations_mended", scene.run());
}
