//! Between the steps: what comes together at a bad moment, and must still leave a program that works and says the truth.

use serde_json::json;

use crate::programs::{Artifact, OWN};
use crate::scene::Scene;
use crate::support::{Module, until};

const TRIAL: &str = "/var/lib/updates/self-update/trial";

// faults: 63
#[test]
fn a_version_that_used_up_its_tries_is_not_executed_again_where_the_guard_fails_too() {
    let scene = Scene::offering("0.2.0", &Artifact::only_tests("0.2.0", "echo x >>\"$2/srv/starts\"; exit 9"));
    scene.root.write("/etc/updates/config.toml", "[self_update]\ntries = 1\n");
    scene.run().expect(9);
    // Where the guard writes what it holds, it can't.
    scene.root.folder("/var/lib/updates/self-update/held.guard");
    for runs in 1..3 {
        let ran = scene.run();
        let record = ran.expect(0).json();
        assert!(ran.stderr.contains("was not taken back"), "{ran:?}");
        assert_eq!(record["program"]["change"], "held", "{record:#}");
        assert_eq!(scene.module_runs(), runs);
        assert_eq!(scene.root.read("/srv/starts"), "x\n");
    }
    std::fs::remove_dir(scene.root.at("/var/lib/updates/self-update/held.guard")).unwrap();
    scene.run_well();
    assert_eq!((scene.version(), scene.link()), (OWN.to_owned(), None));
}

#[test]
fn newer_modules_wait_for_their_minimum_also_where_the_version_was_installed_and_not_executed() {
    // What the self-test leaves can't be executed any more.
    let artifact = Artifact::script(
        "0.2.0",
        "case \" $* \" in *' self-test '*) printf 'nothing that starts' >\"$0.new\"; \
         chmod 755 \"$0.new\"; mv \"$0.new\" \"$0\" ;; esac",
    );
    let scene = Scene::new();
    scene.run_well();
    let path = "artifacts/a.tar.gz";
    scene.source.write(path, &artifact.bytes);
    scene.source.put(&Module::idle("later", "1.0.0"));
    let platform = format!("{}-linux", std::env::consts::ARCH);
    let index = json!({
        "metadata": {"schema_version": "0.2.0", "minimum_version": "0.2.0"},
        "artifacts": {platform: artifact.stanza(path)},
    });
    scene.source.write("index.json", index.to_string()).commit();
    let record = scene.run_well();
    let problems = record["problems"].to_string();
    assert!(problems.contains("was not put in use"), "{record:#}");
    assert!(problems.contains("asks for updates 0.2.0 or newer"), "{record:#}");
    assert!(!scene.root.modules().join("later").exists());
    assert_eq!((scene.module_runs(), scene.link()), (2, None));
}

#[test]
fn a_version_that_the_source_writes_in_short_is_gone_back_to_as_any_other() {
    let scene = Scene::offering("0.2", &Artifact::good("0.2.0"));
    scene.run_well();
    assert_eq!(scene.link().as_deref(), Some("versions/0.2"));
    scene.root.write("/etc/updates/config.toml", "[self_update]\ntries = 1\n");
    scene.offer("0.3", &Artifact::only_tests("0.3.0", "exit 9"));
    scene.run().expect(9);
    scene.guard("check");
    assert_eq!((scene.link().as_deref(), scene.version().as_str()), (Some("versions/0.2"), "0.2.0"));
    scene.offer("0.4", &Artifact::good("0.4.0"));
    scene.run_well();
    assert_eq!(scene.program()["previous"], "0.2");
    scene.root.updates(&["self", "rollback"]).expect(0);
    assert_eq!(scene.version(), "0.2.0");
}

#[test]
fn a_run_outside_of_the_window_neither_proves_a_version_nor_counts_against_it() {
    let scene = Scene::offering("0.2.0", &Artifact::only_tests("0.2.0", "[ -e \"$2/srv/mended\" ] || exit 9"));
    scene.run().expect(9);
    scene.root.write("/srv/mended", "");
    let hour = |ahead: i64| {
        let time = jiff::Timestamp::now() + jiff::ToSpan::hours(ahead);
        time.to_zoned(jiff::tz::TimeZone::UTC).strftime("%H:%M").to_string()
    };
    scene.root.write("/etc/updates/config.toml", format!("[run]\nwindow = [\"{}-{}\"]\n", hour(11), hour(13)));
    for _ in 0..4 {
        scene.run().expect(3);
        assert_eq!(scene.program()["trial"]["starts"], 1);
    }
    scene.root.updates(&["run", "--ignore-window", "--source", scene.source.path()]).expect(0);
    assert_eq!((scene.version().as_str(), &scene.program()["trial"]), ("0.2.0", &json!(null)));
}

// faults: 63
#[test]
fn a_version_that_a_person_puts_in_use_again_has_to_prove_itself_too() {
    let scene = Scene::offering("0.2.0", &Artifact::good("0.2.0"));
    scene.run_well();
    scene.root.write("/etc/updates/config.toml", "[self_update]\ntries = 1\n");
    scene.offer("0.3.0", &Artifact::only_tests("0.3.0", "exit 9"));
    scene.run().expect(9);
    scene.guard("check");
    assert_eq!(scene.version(), "0.2.0");
    scene.root.updates(&["self", "pin", "0.3.0"]).expect(0);
    assert_eq!(scene.program()["trial"]["version"], "0.3.0");
    scene.run().expect(9);
    let record = scene.run_well();
    assert_eq!(scene.version(), "0.2.0");
    assert!(record["problems"].to_string().contains("updates 0.3.0 did not reach the end of a run"), "{record:#}");
}

#[test]
fn what_waited_while_the_program_was_replaced_goes_on_as_the_new_one() {
    let waits = "case \" $* \" in *' self-test '*) echo x >>\"$2/srv/tested\"; \
                 while [ ! -e \"$2/srv/go\" ]; do sleep 0.05; done ;; esac";
    let scene = Scene::offering("0.2.0", &Artifact::script("0.2.0", waits));
    let first = scene.root.start(&["run", "--source", scene.source.path()]);
    until("the new version is tried", || scene.root.exists("/srv/tested"));
    let second = scene.root.start(&["--json", "run", "--wait=60", "--source", scene.source.path()]);
    let lock = scene.root.at("/run/updates/lock");
    let folder = format!("/proc/{}/fd", second.id());
    until("the second run waits", || {
        std::fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .flatten()
            .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target == lock))
    });
    scene.root.write("/srv/go", "");
    first.end().expect(0);
    let record = second.end().expect(0).json();
    assert_eq!(record["program"], json!(null), "{record:#}");
    assert_eq!(scene.root.read("/srv/tested"), "x\n", "it was installed a second time");
    assert_eq!((scene.version().as_str(), scene.module_runs()), ("0.2.0", 2));
    assert!(!scene.root.exists(TRIAL));
}

// faults: 63
#[test]
fn a_version_whose_trial_was_damaged_is_taken_back_all_the_same() {
    for damage in ["", "\0\0\0\0", "version 0.2.0\nprevious none\nsha"] {
        let scene = Scene::offering("0.2.0", &Artifact::only_tests("0.2.0", "exit 9"));
        scene.run().expect(9);
        scene.root.write(TRIAL, damage);
        for _ in 0..3 {
            scene.guard("check");
            scene.run().expect(9);
        }
        scene.guard("check");
        assert_eq!(scene.run_well()["program"]["change"], "held", "{damage:?}");
        assert_eq!((scene.version(), scene.module_runs()), (OWN.to_owned(), 1), "{damage:?}");
    }
}
