//! What the installed program executes: a version that nobody else can write, named by a link as it should be.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use crate::programs::{Artifact, OWN, program};
use crate::scene::Scene;

const LIBRARY: &str = "/usr/local/lib/updates";

fn updated() -> Scene {
    let scene = Scene::offering("0.2.0", &Artifact::good("0.2.0"));
    scene.run_well();
    assert_eq!(scene.version(), "0.2.0");
    scene
}

#[test]
fn a_version_that_somebody_else_could_write_is_not_executed_and_that_is_said() {
    for path in ["", "/versions", "/versions/0.2.0", "/versions/0.2.0/bin", "/versions/0.2.0/bin/updates"] {
        let scene = updated();
        let place = scene.root.at(&format!("{LIBRARY}{path}"));
        let mode = fs::metadata(&place).unwrap().permissions().mode();
        fs::set_permissions(&place, fs::Permissions::from_mode(mode | 0o002)).unwrap();
        let ran = scene.root.updates(&["--version"]);
        assert!(ran.stdout.contains(OWN) && ran.stderr.contains("can be written by everybody"), "{path}: {ran:?}");
        fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
        chown(&place, Some(12345), None).unwrap();
        let ran = scene.root.updates(&["--version"]);
        assert!(ran.stdout.contains(OWN) && ran.stderr.contains("belongs to user 12345"), "{path}: {ran:?}");
        assert_eq!(scene.program()["is_wrong"], true);
        // And a run goes on with the installed program.
        scene.run_well();
        assert_eq!(scene.module_runs(), 2);
        chown(&place, Some(0), None).unwrap();
        assert_eq!(scene.version(), "0.2.0");
    }
}

#[test]
fn a_link_that_names_anything_but_a_version_is_not_followed() {
    let scene = updated();
    let link = scene.root.at(&format!("{LIBRARY}/current"));
    let absolute = scene.root.at(&format!("{LIBRARY}/versions/0.2.0"));
    for target in [absolute.to_str().unwrap(), "versions/../versions/0.2.0", "0.2.0", "versions", "versions/latest"] {
        fs::remove_file(&link).unwrap();
        symlink(target, &link).unwrap();
        let ran = scene.root.updates(&["--version"]);
        assert!(ran.stdout.contains(OWN) && ran.stderr.contains("current"), "{target}: {ran:?}");
    }
    fs::remove_file(&link).unwrap();
    fs::write(&link, "versions/0.2.0").unwrap();
    assert!(scene.root.updates(&["--version"]).expect(0).stdout.contains(OWN));
}

// faults: 62
#[test]
fn a_version_that_cannot_be_executed_any_more_is_said_and_made_anew() {
    let scene = updated();
    let program = scene.root.at(&format!("{LIBRARY}/versions/0.2.0/bin/updates"));
    // Damage that looks like a script to a shell: none may read it.
    fs::write(&program, "echo executed by a shell\n").unwrap();
    let ran = scene.root.updates(&["--version"]);
    assert!(ran.stdout.contains(OWN) && ran.stderr.contains("can't be executed"), "{ran:?}");
    let ran = scene.run();
    ran.expect(0);
    assert_eq!((scene.version(), scene.module_runs()), ("0.2.0".to_owned(), 2));
    scene.assert_tidy("after it was made anew");
}

#[test]
fn a_version_that_does_not_start_any_more_leaves_the_work_to_the_installed_program() {
    let scene = updated();
    let program = scene.root.at(&format!("{LIBRARY}/versions/0.2.0/bin/updates"));
    // As the dynamic loader ends where a library is gone: after the execution, which is too late to come back.
    fs::write(&program, "#!/bin/sh\necho 'libssl.so.3: cannot open shared object file' >&2\nexit 127\n").unwrap();
    for words in [vec!["--version"], vec!["list"]] {
        let ran = scene.root.updates(&words);
        ran.expect(0);
        assert!(ran.stderr.contains("goes on itself") && ran.stderr.contains("libssl.so.3"), "{ran:?}");
    }
    scene.run_well();
    assert_eq!((scene.version(), scene.module_runs()), ("0.2.0".to_owned(), 2), "it was not made anew");
}

#[test]
fn a_package_that_is_newer_than_a_self_update_wins() {
    let scene = updated();
    let newer = program("0.3.0");
    let run = |words: &[&str]| {
        let mut command = std::process::Command::new(&newer);
        command.arg("--root").arg(scene.root.path()).args(words).env("TMPDIR", scene.root.temporary());
        command.output().unwrap()
    };
    assert_eq!(String::from_utf8_lossy(&run(&["--version"]).stdout), "updates 0.3.0\n");
    let shown = String::from_utf8_lossy(&run(&["self", "show"]).stdout).into_owned();
    assert!(shown.contains("updates 0.3.0 is in use") && shown.contains("0.2.0, which a self-update left"), "{shown}");
    assert!(run(&["run", "--source", scene.source.path()]).status.success());
    assert_eq!(scene.module_runs(), 2);
}
