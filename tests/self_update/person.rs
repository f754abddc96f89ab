//! What a person says: back, stay, follow again.

use serde_json::json;

use crate::programs::{Artifact, OWN};
use crate::scene::Scene;

fn words(scene: &Scene, words: &[&str]) -> crate::support::Ran {
    scene.root.updates(&[&["self"], words].concat())
}

#[test]
fn a_rollback_goes_to_the_version_before_holds_this_one_and_unpin_lets_it_come_back() {
    let scene = Scene::offering("0.2.0", &Artifact::good("0.2.0"));
    scene.run_well();
    scene.offer("0.3.0", &Artifact::good("0.3.0"));
    scene.run_well();
    words(&scene, &["rollback"]).expect(0);
    assert_eq!(scene.version(), "0.2.0");
    let ran = scene.root.updates(&["run", "--source", scene.source.path()]);
    assert!(ran.expect(0).stdout.contains("0.2.0 stays: a person went back"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("failed before") && !ran.stderr.contains("failed before"), "{ran:?}");
    assert_eq!(scene.run_well()["program"]["change"], "held");
    assert_eq!(scene.version(), "0.2.0");
    words(&scene, &["rollback"]).expect(0);
    assert_eq!((scene.version(), scene.link()), (OWN.to_owned(), None));
    let held = |scene: &Scene| {
        let found = scene.root.updates(&["--json", "doctor"]).json();
        found["findings"].to_string().matches("is held, and not installed: a person went back").count()
    };
    assert_eq!(held(&scene), 2);
    let said = words(&scene, &["show"]);
    assert!(
        said.stdout.contains("it is the installed program, and no self-update has taken its place"),
        "{}",
        said.stdout
    );
    words(&scene, &["rollback"]).expect(2);
    words(&scene, &["unpin"]).expect(0);
    scene.run_well();
    assert_eq!((scene.version().as_str(), held(&scene)), ("0.3.0", 0));
}

#[test]
fn a_rollback_works_from_the_installed_program_whatever_the_other_does() {
    let scene = Scene::offering("0.2.0", &Artifact::only_tests("0.2.0", "kill -KILL $$"));
    scene.run().expect(-9);
    scene.root.updates(&["status"]).expect(-9);
    let said = words(&scene, &["show"]);
    assert!(said.expect(0).stdout.contains("has used 1 of 3 starts"), "{}", said.stdout);
    words(&scene, &["rollback"]).expect(0);
    scene.run_well();
    assert_eq!((scene.version(), scene.module_runs()), (OWN.to_owned(), 1));
    scene.assert_tidy("after a rollback");
}

#[test]
fn a_pinned_version_stays_whatever_the_source_carries() {
    let scene = Scene::offering("0.2.0", &Artifact::good("0.2.0"));
    words(&scene, &["pin"]).expect(0);
    let ran = scene.root.updates(&["run", "--source", scene.source.path()]);
    assert!(ran.expect(0).stdout.contains("pinned to"), "{}", ran.stdout);
    assert_eq!(scene.run_well()["program"]["change"], "disabled");
    assert_eq!((scene.version(), &scene.program()["pinned"]), (OWN.to_owned(), &json!(OWN)));
    // Another one may be pinned before it is there, and no other is taken.
    words(&scene, &["pin", "0.3.0"]).expect(0);
    assert_eq!(scene.run_well()["program"]["change"], "disabled");
    scene.offer("0.3.0", &Artifact::good("0.3.0"));
    scene.run_well();
    assert_eq!(scene.version(), "0.3.0");
    scene.offer("0.4.0", &Artifact::good("0.4.0"));
    scene.run_well();
    assert_eq!(scene.version(), "0.3.0");
    words(&scene, &["pin", OWN]).expect(0);
    assert_eq!(scene.version(), OWN);
    words(&scene, &["pin", "0.0.1"]).expect(2);
    words(&scene, &["unpin"]).expect(0);
    scene.run_well();
    assert_eq!(scene.version(), "0.4.0");
}
