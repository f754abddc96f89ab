//! Between the steps: what comes together at a bad moment, and must still leave a program that works and says the truth.

use crate::programs::{Artifact, OWN};
use crate::scene::Scene;

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
