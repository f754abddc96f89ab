//! A run that is asked to end settles first.

use std::cell::RefCell;

use rustix::process::{Pid, Signal, getpid, kill_process, set_child_subreaper};

use super::support::{Module, Root, Watch, until};
use super::{module, statuses};

fn hangs(name: &str) -> Module {
    let code = format!(
        "import time\ndef main(args):\n    open('/srv/{name}/file', 'w').write('after')\n    \
         open('/srv/{name}/here', 'w').close()\n    time.sleep(1000)\n"
    );
    Module::python(name, "1", &code).declares(&[&format!("/srv/{name}/")])
}

// faults: 11
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
fn nothing_is_put_back_while_a_module_of_a_killed_run_still_writes() {
    let root = Root::new();
    root.folder("/srv/app");
    let script = "#!/bin/sh\nwhile :; do echo line >>/srv/app/file; done\n";
    root.install(&Module::executable("app", "1", script).declares(&["/srv/app/"]));
    let before = root.tree("/srv");
    let run = root.start(&["run", "--no-sync"]);
    until("the module writes", || root.exists("/srv/app/file"));
    // Stopped, the runner does not see that its supervisor dies: an overloaded machine in slow motion. As a child of this
    // process then, for the kernel continues what is stopped in a group that nobody of its session looks after any more.
    set_child_subreaper(Some(getpid())).unwrap();
    let runner = runner_of(run.id());
    kill_process(runner, Signal::STOP).unwrap();
    run.signal(Signal::KILL);
    assert_eq!(run.end().code, -9);
    root.install(&Module::idle("idle", "1"));
    let next = RefCell::new(root.start(&["-v", "run", "--no-sync", "idle"]));
    until("the next run waits, or has ended", || {
        next.borrow().stderr().contains("left behind") || !next.borrow_mut().is_running()
    });
    let mut next = next.into_inner();
    assert!(next.is_running(), "it went on while the module was writing: {}", next.stderr());
    kill_process(runner, Signal::CONT).unwrap();
    next.end().expect(0);
    Watch { root: root.path(), marker: None }.assert_none();
    before.assert_same(&root.tree("/srv"), "not as before the run");
}

// Any thread of the supervisor may have started it, so that it is looked for by its parent; see proc_pid_stat(5).
fn runner_of(supervisor: u32) -> Pid {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let found =
        processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok()).find_map(|stat| {
            let (pid, rest) = stat.split_once(" (updates-runner) ")?;
            (rest.split(' ').nth(1) == Some(&supervisor.to_string())).then(|| pid.parse().unwrap())
        });
    Pid::from_raw(found.expect("the supervisor has a runner")).unwrap()
}

// faults: 5 21
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
