//! Artifacts that are refused, and versions that fail once they are in use: faults 62, 63 and 68.

use serde_json::{Value, json};

use crate::programs::{Artifact, OWN, program};
use crate::scene::Scene;

/// A run with `artifact` on offer goes on with the old version, says why, and leaves nothing of the artifact.
#[track_caller]
fn refused(scene: &Scene, why: &str) -> Value {
    let record = scene.run_well();
    let program = &record["program"];
    assert_eq!(program["change"], "failed", "{record:#}");
    assert!(program["notes"][0].as_str().unwrap().contains(why), "{program:#}");
    assert_eq!((scene.version(), scene.link()), (OWN.to_owned(), None));
    scene.assert_tidy(why);
    let versions = std::fs::read_dir(scene.root.at("/usr/local/lib/updates/versions"));
    assert_eq!(versions.map_or(0, Iterator::count), 0, "something of it is left");
    record
}

/// The same artifact is not tried again, until it is another one.
#[track_caller]
fn held(scene: &Scene) {
    let record = scene.run_well();
    assert_eq!(record["program"]["change"], "held", "{record:#}");
    scene.offer("0.2.0", &Artifact::script("0.2.0", "# repaired"));
    scene.run_well();
    assert_eq!(scene.version(), "0.2.0");
}

// faults: 62 68
#[test]
fn what_is_no_program_or_for_another_machine_is_refused_and_held() {
    let mut other_machine = std::fs::read(program("0.2.0")).unwrap()[..4096].to_vec();
    // e_machine of an ELF header, elf(5): RISC-V.
    other_machine[18..20].copy_from_slice(&0xf3_u16.to_le_bytes());
    for content in [&b"\x00\x01nothing that starts"[..], &other_machine, b"#!/nonexistent/interpreter\n"] {
        let scene = Scene::offering("0.2.0", &Artifact::with(content));
        refused(&scene, "does not start");
        held(&scene);
    }
}

// faults: 62 68
#[test]
fn a_version_that_crashes_at_once_or_is_another_one_than_promised_is_refused_and_held() {
    let scene = Scene::offering("0.2.0", &Artifact::script("0.2.0", "kill -SEGV $$"));
    refused(&scene, "killed by signal 11");
    held(&scene);
    let scene = Scene::offering("0.2.0", &Artifact::good("0.3.0"));
    refused(&scene, "it is version 0.3.0, and the source promised 0.2.0");
    held(&scene);
    let scene = Scene::offering("0.2.0", &Artifact::script("0.2.0", "echo nonsense; exit 0"));
    refused(&scene, "says nothing that can be read");
}

// faults: 62
#[test]
fn a_version_that_hangs_in_its_self_test_is_ended_with_all_that_it_started() {
    let marker = crate::support::marker();
    let hangs = format!("tail -f /dev/null /{marker} & tail -f /dev/null /{marker}");
    let scene = Scene::offering("0.2.0", &Artifact::script("0.2.0", &hangs));
    refused(&scene, "did not end within 60 s");
    let left = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.ends_with(format!("/{marker}\0").as_bytes())
    });
    assert_eq!(left.count(), 0, "something of it still runs");
}

// faults: 62
#[test]
fn a_version_that_floods_its_output_is_refused() {
    let scene = Scene::offering("0.2.0", &Artifact::script("0.2.0", "head -c 20000000 /dev/zero; exit 1"));
    refused(&scene, "ended with 1");
}

#[test]
fn an_artifact_that_is_not_what_was_announced_is_refused_and_tried_again() {
    let artifact = Artifact::good("0.2.0");
    let path = "artifacts/a.tar.gz";
    let scene = Scene::new();
    scene.source.write(path, &artifact.bytes[..artifact.bytes.len() / 2]);
    scene.index("0.2.0", &artifact.stanza(path));
    refused(&scene, "bytes instead of");

    let mut changed = artifact.bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    scene.source.write(path, &changed);
    scene.index("0.2.0", &artifact.stanza(path));
    refused(&scene, "its SHA-256 is");

    scene.index("0.2.0", &artifact.stanza("artifacts/missing.tar.gz"));
    refused(&scene, "which is not there");

    // It was the way and not the artifact: nothing is held.
    scene.source.write(path, &artifact.bytes);
    scene.index("0.2.0", &artifact.stanza(path));
    scene.run_well();
    assert_eq!(scene.version(), "0.2.0");
}

// faults: 62 68
#[test]
fn an_archive_that_is_cut_short_is_refused_and_held() {
    let whole = Artifact::good("0.2.0");
    let scene = Scene::offering("0.2.0", &Artifact::of(whole.bytes[..whole.bytes.len() / 2].to_vec()));
    refused(&scene, "can't be unpacked");
    held(&scene);
}

/// Runs until the version on trial is gone; how often it was started.
#[track_caller]
fn until_taken_back(scene: &Scene, code: i32) -> usize {
    scene.run().expect(code);
    for starts in 1..9 {
        if scene.link().is_none() {
            return starts;
        }
        assert_eq!(scene.program()["trial"]["starts"], starts);
        let ran = scene.run();
        assert!([code, 0].contains(&ran.code), "{ran:?}");
    }
    panic!("it was never taken back");
}

// faults: 63 68
#[test]
fn a_version_that_crashes_in_each_run_is_taken_back_after_its_tries_held_and_told() {
    let scene = Scene::offering("0.2.0", &Artifact::only_tests("0.2.0", "kill -KILL $$"));
    assert_eq!(until_taken_back(&scene, -9), 4, "three tries, and the run that took it back");
    assert_eq!(scene.version(), OWN);
    // The run that took it back was a run: the module ran, and the note was told.
    assert_eq!(scene.module_runs(), 1);
    let last = scene.root.updates(&["--json", "show", "last"]).json();
    let problems = last["problems"].to_string();
    assert!(problems.contains("updates 0.2.0 did not reach the end of a run in 3 starts"), "{problems}");
    assert_eq!(last["program"]["change"], "held");
    scene.assert_tidy("after it was taken back");
    // Told once, and held for as long as it is the same.
    let record = scene.run_well();
    assert_eq!((&record["problems"], &record["program"]["change"]), (&json!(null), &json!("held")));
    scene.offer("0.3.0", &Artifact::good("0.3.0"));
    scene.run_well();
    assert_eq!(scene.version(), "0.3.0");
}

// faults: 63
#[test]
fn a_version_that_fails_at_the_very_end_is_taken_back_to_the_version_before_it() {
    let scene = Scene::offering("0.2.0", &Artifact::good("0.2.0"));
    scene.run_well();
    scene.root.write("/etc/updates/config.toml", "[self_update]\ntries = 2\n");
    // Everything is done, and the last thing, telling it, fails.
    let ends = format!("exec {} \"$@\" >/dev/full", program("0.3.0").display());
    scene.offer("0.3.0", &Artifact::only_tests("0.3.0", &ends));
    for runs in 2..4 {
        scene.run().expect(1);
        assert_eq!(scene.module_runs(), runs);
        assert_eq!(scene.link().as_deref(), Some("versions/0.3.0"));
    }
    let record = scene.run_well();
    assert_eq!(scene.version(), "0.2.0");
    assert!(record["problems"].to_string().contains("version 0.2.0 is in use again"), "{record:#}");
    scene.assert_tidy("after the end");
}

// faults: 63
#[test]
fn a_version_that_hangs_is_counted_when_it_is_killed() {
    let scene =
        Scene::offering("0.2.0", &Artifact::only_tests("0.2.0", "echo here >\"$2/srv/hangs\"; exec sleep 1000"));
    scene.root.write("/etc/updates/config.toml", "[self_update]\ntries = 1\n");
    let started = scene.root.start(&["run", "--source", scene.source.path()]);
    crate::support::until("the version runs", || scene.root.exists("/srv/hangs"));
    // As TimeoutStartSec= does, which is why SIGTERM must get through.
    started.signal(rustix::process::Signal::TERM);
    started.end().expect(-15);
    assert_eq!(scene.program()["trial"]["starts"], 1);
    scene.run_well();
    assert_eq!((scene.version(), scene.module_runs()), (OWN.to_owned(), 1));
}

#[test]
fn modules_that_fail_and_runs_that_could_not_begin_say_nothing_about_a_version() {
    let scene = Scene::offering("0.2.0", &Artifact::only_tests("0.2.0", "[ -e \"$2/srv/mended\" ] || exit 1"));
    scene.run().expect(1);
    assert_eq!(scene.program()["trial"]["starts"], 1);
    scene.root.write("/srv/mended", "");
    for _ in 0..5 {
        scene.root.updates(&["run", "--no-such-option"]).expect(2);
        scene.root.updates(&["recover"]).expect(0);
    }
    assert_eq!(scene.program()["trial"]["starts"], 1);
    scene.source.publish(&[&crate::support::Module::executable("fails", "1.0.0", "#!/bin/sh\nexit 1\n")]);
    scene.run().expect(20);
    assert_eq!(scene.version(), "0.2.0");
    scene.assert_tidy("after a run with a failed module");
}
