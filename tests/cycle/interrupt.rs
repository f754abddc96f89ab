//! A run that is asked to end settles first.

use rustix::process::Signal;

use super::support::{Module, Root, Watch, until};
use super::{module, statuses};

fn hangs(name: &str) -> Module {
    let code = format!(
        "import time\ndef main(args):\n    open('/srv/{name}/file', 'w').write('after')\n    \
         open('/srv/{name}/here', 'w').close()\n    time.sleep(1000)\n"
    );
    Module::python(name, "1", &code).declares(&[&format!("/srv/{name}/")])
}

#[test]
fn an_interrupted_run_settles_and_ends_with_130() {
    for signal in [Signal::INT, Signal::TERM] {
        let root = Root::new();
        root.write_as("/srv/app/file", "before", 0o640, 0, 1_000_000_000);
        root.install(&hangs("app")).install(&Module::idle("later", "1"));
        let before = root.tree("/srv");
        let run = root.start(&["--json", "run", "--no-sync", "--jobs", "1"]);
        until("the module runs", || root.exists("/srv/app/here"));
        run.signal(signal);
        let ran = run.end();
        ran.expect(130);
        Watch { root: root.path(), marker: None }.assert_none();
        before.assert_same(&root.tree("/srv"), "not as before the run");
        let record = ran.json();
        assert_eq!(record["status"], "interrupted");
        assert_eq!(module(&record, "app")["status"], "interrupted", "{record:#}");
        assert_eq!(module(&record, "later")["status"], "skipped", "{record:#}");
        let after = root.updates(&["--json", "show", "last"]).json();
        assert_eq!(statuses(&after), statuses(&record));
    }
}

#[test]
fn an_interruption_is_not_held_against_a_new_version() {
    let source = super::support::Source::of(&[&hangs("app")]);
    let root = Root::new();
    root.folder("/srv/app");
    let run = root.start(&["run", "--source", source.path()]);
    until("the module runs", || root.exists("/srv/app/here"));
    run.signal(Signal::TERM);
    run.end().expect(130);
    source.publish(&[&Module::idle("app", "1.0.1")]);
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    assert_eq!(statuses(&record), ["app: succeeded"]);
}

#[test]
fn a_killed_run_is_settled_by_the_next_one_and_said() {
    let root = Root::new();
    root.write_as("/srv/app/file", "before", 0o640, 0, 1_000_000_000);
    root.install(&hangs("app")).install(&Module::idle("idle", "1"));
    let before = root.tree("/srv");
    let run = root.start(&["run", "--no-sync"]);
    until("the module runs", || root.exists("/srv/app/here"));
    run.signal(Signal::KILL);
    assert_eq!(run.end().code, -9);
    let (ran, record) = root.run(&["--no-sync", "idle"]);
    ran.expect(0);
    Watch { root: root.path(), marker: None }.assert_none();
    before.assert_same(&root.tree("/srv"), "not as before the run");
    assert_eq!(record["recovered"][0]["module"], "app", "{record:#}");
    assert_eq!(record["recovered"][0]["complete"], true, "{record:#}");
    let (_, record) = root.run(&["--no-sync", "idle"]);
    assert_eq!(record.get("recovered"), None, "it was settled once already");
}
