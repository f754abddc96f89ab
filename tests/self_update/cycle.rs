//! The good way: a newer version takes the run over, proves itself by reaching its end, and is what is used from then on.

use serde_json::json;

use crate::programs::{Artifact, OWN, pack, program};
use crate::scene::Scene;
use crate::support::{Module, Root};

#[test]
fn a_newer_version_takes_over_the_run_before_any_module_is_touched() {
    let scene = Scene::offering("0.2.0", &Artifact::good("0.2.0"));
    let ran = scene.run();
    let record = ran.expect(0).json();
    // What is printed is the run of the new version, and nothing of the old one's.
    assert_eq!(record["program"], json!(null));
    assert_eq!(record["modules"][0]["module"], "m");
    assert_eq!(scene.module_runs(), 1);
    assert_eq!(scene.version(), "0.2.0");
    assert_eq!(scene.link().as_deref(), Some("versions/0.2.0"));
    scene.assert_tidy("after a run");

    // Both runs are remembered: the old one ended with the flip, and ran nothing.
    let runs = scene.root.updates(&["--json", "history"]).expect(0).json();
    let ids: Vec<String> = runs["runs"]
        .as_array()
        .unwrap_or_else(|| runs.as_array().unwrap())
        .iter()
        .map(|run| run["run_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 2, "{runs:#}");
    let old = ids.iter().map(|id| scene.root.updates(&["--json", "show", id]).expect(0).json());
    let old: Vec<_> = old.filter(|record| record["program"]["to"] == "0.2.0").collect();
    assert_eq!(old.len(), 1);
    assert_eq!((&old[0]["program"]["from"], &old[0]["status"]), (&json!(OWN), &json!("success")));

    let shown = scene.program();
    assert_eq!((&shown["version"], &shown["installed"]), (&json!("0.2.0"), &json!(OWN)));
    assert_eq!(scene.run_well()["modules"][0]["status"], "succeeded");
    assert_eq!(scene.module_runs(), 2);
}

#[test]
fn a_check_says_that_a_newer_version_would_be_installed_and_installs_nothing() {
    let scene = Scene::offering("0.2.0", &Artifact::good("0.2.0"));
    let before = scene.root.machine();
    let ran = scene.root.updates(&["--json", "check", "--exit-code", "--source", scene.source.path()]);
    let record = ran.expect(10).json();
    assert_eq!((&record["program"]["change"], &record["program"]["to"]), (&json!("updated"), &json!("0.2.0")));
    assert_eq!(scene.root.machine(), before);
    assert!(!scene.root.exists("/var/lib/updates/self-update"));
}

#[test]
fn a_version_follows_the_other_and_the_one_before_is_kept() {
    let scene = Scene::offering("0.2.0", &Artifact::good("0.2.0"));
    scene.run_well();
    for version in ["0.3.0", "0.4.0"] {
        scene.offer(version, &Artifact::good(version));
        scene.run_well();
        assert_eq!(scene.version(), version);
    }
    let shown = scene.program();
    assert_eq!((&shown["versions"], &shown["previous"]), (&json!(["0.3.0", "0.4.0"]), &json!("0.3.0")));
    scene.assert_tidy("after three versions");
}

#[test]
fn a_whole_installation_is_unpacked_and_uses_its_own_parts() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    for path in ["bin", "lib/updates"] {
        std::fs::create_dir_all(at(path)).unwrap();
    }
    std::fs::copy(program("0.2.0"), at("bin/updates")).unwrap();
    let runner = program("0.2.0").with_file_name("updates-runner");
    std::fs::copy(runner, at("lib/updates/updates-runner")).unwrap();
    for (from, to) in [("runner/python", "python"), ("sandbox-profiles", "sandbox-profiles")] {
        let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(from);
        let status = std::process::Command::new("cp").arg("-R").arg(from).arg(at("lib/updates").join(to)).status();
        assert!(status.unwrap().success());
    }
    let scene = Scene::offering("0.2.0", &Artifact::of(pack(folder.path())));
    scene.run_well();
    assert_eq!(scene.version(), "0.2.0");
    assert!(scene.root.exists("/usr/local/lib/updates/versions/0.2.0/lib/updates/sandbox-profiles/strict.json"));
    assert_eq!(scene.module_runs(), 1);
}

#[test]
fn an_artifact_comes_by_url_as_well() {
    let scene = Scene::new();
    let artifact = Artifact::good("0.2.0");
    scene.root.write("/srv/artifact.tar.gz", &artifact.bytes);
    let url = format!("file://{}", scene.root.at("/srv/artifact.tar.gz").display());
    scene.index("0.2.0", &json!({"url": url, "size": artifact.bytes.len(), "sha256": artifact.sha256}));
    scene.run_well();
    assert_eq!(scene.version(), "0.2.0");
}

// faults: 62
#[test]
fn an_older_or_equal_version_and_an_index_without_artifacts_change_nothing() {
    let scene = Scene::new();
    for index in [
        json!({"metadata": {"schema_version": "9.0.0"}, "packages": {}}).to_string(),
        "no JSON".to_owned(),
        json!({"metadata": {"schema_version": OWN}, "artifacts": {}}).to_string(),
    ] {
        scene.source.write("index.json", index).commit();
        let record = scene.run_well();
        assert_eq!((&record["program"], &record["problems"]), (&json!(null), &json!(null)), "{record:#}");
    }
    for version in ["0.0.9", OWN] {
        scene.offer(version, &Artifact::with(b"never unpacked"));
        assert_eq!(scene.run_well()["program"], json!(null));
    }
    assert_eq!(scene.link(), None);
    assert!(!scene.root.exists("/usr/local/lib/updates/versions"));
}

#[test]
fn below_the_minimum_version_the_installed_modules_run_and_newer_ones_wait() {
    let scene = Scene::new();
    scene.run_well();
    scene.source.put(&Module::idle("later", "1.0.0"));
    scene.source.write("index.json", json!({"metadata": {"minimum_version": "7.0.0"}}).to_string()).commit();
    let record = scene.run_well();
    assert!(record["problems"][0].as_str().unwrap().contains("asks for updates 7.0.0 or newer"), "{record:#}");
    assert_eq!(scene.module_runs(), 2);
    assert!(!scene.root.modules().join("later").exists());
    let check = scene.root.updates(&["--json", "check", "--source", scene.source.path()]).json();
    assert!(check["problems"][0].as_str().unwrap().contains("7.0.0"), "{check:#}");
    assert_eq!(check["updates"], json!([]));
}

#[test]
fn a_disabled_self_update_is_said_and_does_nothing() {
    let scene = Scene::offering("0.2.0", &Artifact::good("0.2.0"));
    scene.root.write("/etc/updates/config.toml", "[self_update]\nenabled = false\n");
    let record = scene.run_well();
    assert_eq!((&record["program"]["change"], scene.link()), (&json!("disabled"), None));
}

#[test]
fn the_lock_goes_along_so_that_no_other_run_comes_between() {
    let root = Root::new();
    root.folder("/srv/m");
    let scene = Scene::offering(
        "0.2.0",
        // What another run would see at the moment at which the old program is gone and the new one not there yet.
        &Artifact::only_tests(
            "0.2.0",
            "flock -n \"$2/run/updates/lock\" true && echo free >\"$2/srv/lock\" || echo held >\"$2/srv/lock\"",
        ),
    );
    scene.run_well();
    assert_eq!(scene.root.read("/srv/lock"), "held\n");
}
