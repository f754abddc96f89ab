//! The guard by itself: what it does in each state, and killed at each of its steps.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use serde_json::json;

use crate::programs::{Artifact, OWN};
use crate::scene::Scene;

/// Every program that the guard calls.
const COMMANDS: [&str; 8] = ["cat", "flock", "ln", "mkdir", "mv", "readlink", "rm", "sync"];

/// A machine on which 0.3.0 has used up its starts, and 0.2.0 was before it.
fn used_up() -> Scene {
    let scene = Scene::offering("0.2.0", &Artifact::good("0.2.0"));
    scene.run_well();
    scene.root.write("/etc/updates/config.toml", "[self_update]\ntries = 1\n");
    scene.offer("0.3.0", &Artifact::only_tests("0.3.0", "exit 9"));
    scene.run().expect(9);
    scene
}

#[test]
fn without_a_trial_or_with_tries_left_it_changes_nothing() {
    let scene = Scene::offering("0.2.0", &Artifact::only_tests("0.2.0", "exit 9"));
    for action in ["check", "failed"] {
        scene.guard(action);
    }
    scene.run().expect(9);
    let before = scene.root.read("/var/lib/updates/self-update/trial");
    for action in ["check", "failed"] {
        scene.guard(action);
    }
    assert_eq!(scene.root.read("/var/lib/updates/self-update/trial"), before);
    assert_eq!(scene.link().as_deref(), Some("versions/0.2.0"));
}

#[test]
fn it_goes_back_to_the_version_before_or_to_the_installed_program_where_that_is_gone() {
    for is_there in [true, false] {
        let scene = used_up();
        if !is_there {
            fs::remove_dir_all(scene.root.at("/usr/local/lib/updates/versions/0.2.0")).unwrap();
        }
        let said = scene.guard("check");
        assert!(said.contains("0.3.0 was taken back after 1 starts"), "{said}");
        assert_eq!(scene.link().as_deref(), is_there.then_some("versions/0.2.0"));
        assert_eq!(scene.version(), if is_there { "0.2.0" } else { OWN });
        let shown = scene.program();
        assert_eq!(shown["held"][0]["version"], "0.3.0");
        assert!(shown["note"].as_str().unwrap().contains("0.3.0"), "{shown:#}");
        let status = scene.root.updates(&["status"]).stdout;
        assert!(status.contains("updates 0.3.0 did not reach the end of a run"), "{status}");
    }
}

#[test]
fn after_a_failure_it_has_the_service_try_again_with_either_version() {
    let scene = Scene::offering("0.2.0", &Artifact::only_tests("0.2.0", "exit 9"));
    scene.run().expect(9);
    let systemctl = scene.root.at("/srv/systemctl");
    // Whoever is started finds the lock free.
    let script = format!(
        "#!/bin/sh\nflock -n {} echo \"$@\" >>{}\n",
        scene.root.at("/run/updates/lock").display(),
        scene.root.at("/srv/called").display()
    );
    fs::write(&systemctl, script).unwrap();
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
    for (starts, link) in [(1, Some("versions/0.2.0")), (3, None)] {
        let trial = scene.root.at("/var/lib/updates/self-update/trial");
        while scene.root.read("/var/lib/updates/self-update/trial").matches("start").count() < starts {
            let text = fs::read_to_string(&trial).unwrap();
            fs::write(&trial, text + "start\n").unwrap();
        }
        let guard = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/guard/updates-guard");
        let mut command = Command::new(guard);
        command.arg("--root").arg(scene.root.path()).arg("--systemctl").arg(&systemctl).arg("failed");
        assert!(command.status().unwrap().success());
        assert_eq!(scene.link().as_deref(), link);
    }
    assert_eq!(scene.root.read("/srv/called"), "start --no-block updates.service\n".repeat(2));
}

#[test]
fn a_trial_of_a_version_that_is_not_in_use_is_tidied_away_and_half_a_trial_left_to_be_begun_anew() {
    let scene = Scene::offering("0.2.0", &Artifact::good("0.2.0"));
    scene.run_well();
    let whole = "version 0.2.0\nprevious none\nsha256 ab\ntries 1\nstart\n";
    let texts =
        ["", "vers", "version", "version ../../../../etc", "version 0.2.0/..\ntries 1\nstart\nstart\n", "\0\0\0\0\0\0"];
    for text in texts {
        scene.root.write("/var/lib/updates/self-update/trial", text);
        scene.guard("check");
        assert_eq!(scene.link().as_deref(), Some("versions/0.2.0"), "{text:?}");
        assert!(scene.root.exists("/var/lib/updates/self-update/trial"), "{text:?}");
        // Begun anew and proved, like any other.
        scene.run_well();
        assert_eq!(scene.version(), "0.2.0");
        scene.assert_tidy(text);
    }
    scene.root.write("/var/lib/updates/self-update/trial", whole.replace("0.2.0", "0.9.9"));
    scene.guard("check");
    assert_eq!(scene.link().as_deref(), Some("versions/0.2.0"));
    assert!(!scene.root.exists("/var/lib/updates/self-update/trial"));
    assert!(!scene.root.exists("/var/lib/updates/self-update/held"));
    // Only the last newline is missing: it is whole.
    scene.root.write("/var/lib/updates/self-update/trial", whole.trim_end());
    scene.guard("check");
    assert_eq!(scene.link(), None);
}

#[test]
fn a_run_that_holds_the_lock_is_left_to_reach_its_end() {
    let scene = used_up();
    let lock = fs::File::options().write(true).open(scene.root.at("/run/updates/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    scene.guard("check");
    assert_eq!(scene.link().as_deref(), Some("versions/0.3.0"));
    drop(lock);
    scene.guard("check");
    assert_eq!(scene.link().as_deref(), Some("versions/0.2.0"));
}

/// Runs the guard with programs of which the `step`th ends it by SIGKILL, before or after it has done its work. False
/// when there were fewer.
fn killed_at(scene: &Scene, step: usize, after: bool) -> bool {
    let shims = tempfile::tempdir().unwrap();
    let count = shims.path().join("count");
    fs::write(&count, "").unwrap();
    let shim = shims.path().join("shim");
    let real = "PATH=/usr/bin:/bin \"${0##*/}\" \"$@\"";
    let script = format!(
        "#!/bin/sh\necho x >>{count}\nwhile read -r x; do n=$((n + 1)); done <{count}\n\
         if [ $n = {step} ]; then {} kill -KILL $PPID; exit 1; fi\n{real}\n",
        if after { format!("{real};") } else { String::new() },
        count = count.display(),
    );
    fs::write(&shim, script).unwrap();
    fs::set_permissions(&shim, fs::Permissions::from_mode(0o755)).unwrap();
    for command in COMMANDS {
        symlink(&shim, shims.path().join(command)).unwrap();
    }
    let guard = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/guard/updates-guard");
    let mut command = Command::new(guard);
    command
        .arg("--root")
        .arg(scene.root.path())
        .arg("check")
        .env("PATH", format!("{}:/usr/bin:/bin", shims.path().display()));
    let killed = !command.status().unwrap().success();
    // What the guard had called holds its lock for another moment.
    let lock = fs::File::options().write(true).open(scene.root.at("/run/updates/lock")).unwrap();
    let free = || rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok();
    crate::support::until("the lock is free", free);
    drop(lock);
    let calls = fs::read_to_string(&count).unwrap().lines().count();
    assert_eq!(killed, calls >= step, "step {step} of {calls}");
    killed
}

#[test]
fn killed_at_any_of_its_steps_the_next_call_ends_what_it_began() {
    let scene = used_up();
    let saved = tempfile::tempdir().unwrap();
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
        assert!(status.success());
    };
    copy(scene.root.path(), saved.path());
    let mut steps = 0;
    for after in [false, true] {
        for step in 1.. {
            for place in ["usr", "var/lib/updates"] {
                fs::remove_dir_all(scene.root.path().join(place)).unwrap();
            }
            copy(saved.path(), scene.root.path());
            if !killed_at(&scene, step, after) {
                break;
            }
            steps += 1;
            let what = format!("killed at step {step}, {}", if after { "after" } else { "before" });
            // At every moment there is a program that works.
            assert!(["0.3.0", "0.2.0"].contains(&scene.link().unwrap().strip_prefix("versions/").unwrap()), "{what}");
            scene.guard("check");
            assert_eq!(scene.link().as_deref(), Some("versions/0.2.0"), "{what}");
            let shown = scene.program();
            assert_eq!(shown["held"].as_array().unwrap().len(), 1, "{what}: {shown:#}");
            assert_eq!(shown["trial"], json!(null), "{what}");
            assert!(shown["note"].as_str().unwrap().contains("0.3.0"), "{what}");
        }
    }
    assert!(steps > 20, "only {steps} steps");
    scene.run_well();
    scene.assert_tidy("after the guard");
}
