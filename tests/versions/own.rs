//! Versions that a module asks for of itself.

use serde_json::json;

use super::support::{Module, Root, Source};
use super::{change, follow, last_safe, module, tag};

const HEAD: &str = "from updates.utils.version_control import (\n    checkout_last_safe, checkout_module_version, \
                    list_module_versions)\n\n\ndef main(args=None):\n";

fn asking(version: &str, body: &str) -> Module {
    let body: String = body.lines().map(|line| format!("    {line}\n")).collect();
    Module::python("app", version, &format!("{HEAD}{body}")).declares(&["/srv/app/"])
}

/// 1.0.0 has run well; `next` is the branch's head.
fn world(next: &Module) -> (Root, Source) {
    let (root, source) = (Root::new(), Source::of(&[&module("1.0.0")]));
    tag(&source, "app-v1.0.0-20240610");
    follow(&root, &source);
    root.folder("/srv/app");
    root.run(&[]).0.expect(0);
    source.publish(&[next]);
    (root, source)
}

#[test]
fn versions_are_listed_as_the_original_did() {
    let (root, _source) = world(&asking("2.0.0", "return {'success': True, 'found': list_module_versions('app')}"));
    let (ran, record) = root.run(&[]);
    ran.expect(0);
    let found = &record["modules"][0]["result"]["found"];
    assert_eq!(*found, json!([{"tag": "app-v1.0.0-20240610", "version": "1.0.0", "timestamp": "20240610"}]));
}

#[test]
fn an_update_that_failed_and_checks_out_the_last_safe_version_is_at_that_and_stays_there() {
    let body = "open('/srv/app/ran', 'w').write('2.0.0')\n\
                return {'success': False, 'rollback_success': checkout_module_version('app')}";
    let (root, _source) = world(&asking("2.0.0", body));
    let (ran, record) = root.run(&[]);
    ran.expect(20);
    assert_eq!(record["modules"][0]["result"]["rollback_success"], true);
    assert_eq!((root.installed_version("app").as_str(), root.read("/srv/app/ran").as_str()), ("1.0.0", "1.0.0"));
    let (ran, record) = root.run(&[]);
    ran.expect(0);
    assert_eq!((change(&record), last_safe(&root)), ("held", json!("1.0.0")));
}

#[test]
fn a_version_that_had_run_well_goes_back_at_its_own_request_and_does_not_return() {
    let body = "import os\nif not os.path.exists('/srv/app/bad'):\n    return True\n\
                return {'success': False, 'rollback_success': checkout_module_version('app', '1.0.0')}";
    let (root, source) = world(&asking("2.0.0", body));
    root.run(&[]).0.expect(0);
    assert_eq!(last_safe(&root), "2.0.0");
    root.write("/srv/app/bad", "");
    let (ran, record) = root.run(&[]);
    ran.expect(20);
    assert_eq!(record["modules"][0]["result"]["rollback_success"], true);
    assert_eq!(root.installed_version("app"), "1.0.0");
    let (ran, record) = root.run(&[]);
    ran.expect(0);
    assert_eq!((change(&record), root.read("/srv/app/ran").as_str()), ("held", "1.0.0"));
    assert!(record["updates"][0]["notes"][0].as_str().unwrap().contains("by its own request"), "{record:#}");
    source.publish(&[&module("2.0.1")]);
    assert_eq!(change(&root.run(&[]).1), "updated");
}

#[test]
fn a_run_that_succeeds_is_kept_and_the_version_is_swapped_behind_it() {
    let body = "open('/srv/app/ran', 'w').write('2.0.0')\nfirst = open(__file__).read()\n\
                done = checkout_module_version('app', '1.0.0')\n\
                return {'success': done and open(__file__).read() == first}";
    let (root, _source) = world(&asking("2.0.0", body));
    let (ran, record) = root.run(&[]);
    ran.expect(0);
    assert_eq!(record["modules"][0]["status"], "succeeded", "{record:#}");
    assert_eq!((root.installed_version("app").as_str(), root.read("/srv/app/ran").as_str()), ("1.0.0", "2.0.0"));
}

#[test]
fn what_a_module_may_not_have_is_refused_with_a_reason() {
    let body = "return {'success': True, 'answers': [checkout_module_version('app', '9.9.9'), \
                checkout_module_version('other'), checkout_module_version('app', 'x'), list_module_versions('other')]}";
    let (root, _source) = world(&asking("2.0.0", body));
    let (ran, record) = root.run(&[]);
    ran.expect(0);
    assert_eq!(record["modules"][0]["result"]["answers"], json!([false, false, false, []]));
    let log = root.updates(&["logs", "last"]).stdout;
    assert!(log.contains("no version 9.9.9 of app") && log.contains("its own versions only"), "{log}");
    assert_eq!(root.installed_version("app"), "2.0.0");
}

#[test]
fn a_held_module_can_not_move_itself_and_a_check_grants_nothing() {
    let body = "return {'success': True, 'done': checkout_last_safe('app') if args else checkout_module_version('app', '1.0.0')}";
    let (root, _source) = world(&asking("2.0.0", body));
    root.run(&[]).0.expect(0);
    assert_eq!(root.installed_version("app"), "1.0.0");
    root.updates(&["unhold", "app"]).expect(0);
    root.updates(&["checkout", "app", "2.0.0"]).expect(0);
    root.updates(&["hold", "app"]).expect(0);
    let (ran, record) = root.run(&[]);
    ran.expect(0);
    assert_eq!(record["modules"][0]["result"]["done"], false);
    assert_eq!(root.installed_version("app"), "2.0.0");
    let checked = root.updates(&["--json", "check", "--no-sync"]).json();
    assert_eq!(checked["modules"][0]["result"]["done"], false, "{checked:#}");
}

#[test]
fn maintenance_does_not_replace_the_code_that_is_about_to_run() {
    let next = asking("2.0.0", "return True").file(
        "maintenance.py",
        "from updates.utils.version_control import checkout_module_version\n\n\nclass AppMaintenance:\n    \
         def __init__(self, config):\n        pass\n\n    def run_maintenance(self):\n        \
         return {'success': not checkout_module_version('app', '1.0.0')}\n",
    );
    let (root, _source) = world(&next);
    root.run(&[]).0.expect(0);
    assert_eq!(root.installed_version("app"), "2.0.0");
}
