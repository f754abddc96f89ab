//! Code that goes back though the folder that was swapped out is gone.

use super::support::{Root, Source};
use super::{failing, follow, last_safe, module};

fn with_a_failing_version_in_place() -> (Root, Source) {
    let (root, source) = (Root::new(), Source::of(&[&module("1.0.0")]));
    follow(&root, &source);
    root.folder("/srv/app");
    root.run(&[]).0.expect(0);
    source.publish(&[&failing("2.0.0")]);
    super::tag(&source, "app-v2.0.0-20240101");
    root.updates(&["checkout", "app", "2.0.0"]).expect(0);
    std::fs::remove_dir_all(root.modules().join(".app.previous")).unwrap();
    (root, source)
}

#[test]
fn the_last_safe_version_is_installed_from_the_mirror_without_a_tag() {
    let (root, _source) = with_a_failing_version_in_place();
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(20);
    assert_eq!(record["modules"][0]["rollback"]["code"], true, "{record:#}");
    assert_eq!((root.installed_version("app").as_str(), root.read("/srv/app/ran").as_str()), ("1.0.0", "1.0.0"));
    assert!(
        root.updates(&["logs", "last"]).stdout.contains("1.0.0, which ran well last, was installed from the mirror")
    );
    let (ran, record) = root.run(&[]);
    ran.expect(0);
    assert_eq!((super::change(&record), last_safe(&root)), ("held", "1.0.0".into()));
}

#[test]
fn where_the_mirror_is_gone_as_well_the_code_stays_and_that_is_said() {
    let (root, source) = with_a_failing_version_in_place();
    std::fs::remove_dir_all(root.at("/var/lib/updates/mirror.git")).unwrap();
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(20);
    assert_eq!(record["modules"][0]["rollback"]["code"], false, "{record:#}");
    assert_eq!((root.installed_version("app").as_str(), root.read("/srv/app/ran").as_str()), ("2.0.0", "1.0.0"));
    // A newer version that runs well puts things right.
    source.publish(&[&module("2.0.1")]);
    root.run(&[]).0.expect(0);
    assert_eq!(last_safe(&root), "2.0.1");
}
