//! `run.window`: outside of it nothing begins, and what an earlier run left is settled all the same.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use rustix::process::Signal;
use updates::config::{Layout, load};
use updates::process::CancelToken;
use updates::record::ExitStatus;
use updates::supervisor::{Event, Installation, Observer, RunOptions, Supervisor};

use super::module;
use super::support::{Module, Root, Source, until};

/// A window that is shut now and for eleven hours more; the program is started with TZ=UTC.
fn shut() -> String {
    let hour = |ahead: i64| {
        let time = (Timestamp::now() + ahead.hours()).to_zoned(TimeZone::UTC);
        time.strftime("%H:%M").to_string()
    };
    format!("[run]\nwindow = [\"{}-{}\"]\n", hour(11), hour(13))
}

#[test]
fn outside_of_the_window_nothing_is_done_and_the_next_one_is_said() {
    let root = Root::new();
    let source = Source::of(&[&Module::idle("app", "1")]);
    root.write("/etc/updates/config.toml", shut());
    let ran = root.updates(&["run", "--source", source.path()]);
    ran.expect(3);
    assert!(ran.stdout.contains("outside of the maintenance window"), "{}", ran.stdout);
    assert!(ran.stdout.contains("the next one opens at 20"), "{}", ran.stdout);
    assert!(!root.exists("/usr/local/lib/updates/modules/app"), "the source was read");
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(3);
    assert_eq!(record["status"], "nothing_selected");
    let opens: Timestamp = record["outside_window"]["opens"].as_str().unwrap().parse().unwrap();
    assert!(opens > Timestamp::now() + 10.hours() && opens < Timestamp::now() + 12.hours(), "{record:#}");
    assert_eq!(root.updates(&["--json", "history"]).json().as_array().unwrap().len(), 0, "it is no run to remember");
}

#[test]
fn inside_of_the_window_and_with_ignore_window_it_runs() {
    let root = Root::new();
    root.install(&Module::idle("app", "1"));
    root.write("/etc/updates/config.toml", shut());
    root.updates(&["run", "--no-sync"]).expect(3);
    root.updates(&["run", "--no-sync", "--ignore-window"]).expect(0);
    root.write("/etc/updates/config.toml", "[run]\nwindow = [\"00:00-12:00\", \"12:00-24:00\"]\n");
    root.updates(&["run", "--no-sync"]).expect(0);
    let shown = root.updates(&["--json", "config", "show"]).json();
    assert_eq!(shown["run.window"]["value"], serde_json::json!(["00:00-12:00", "12:00-24:00"]));
}

#[test]
fn a_window_that_is_none_is_named_with_file_and_way_out() {
    let root = Root::new();
    root.write("/etc/updates/config.toml", "[run]\nwindow = [\"at night\"]\n");
    for arguments in [["run", "--no-sync"], ["config", "check"]] {
        let ran = root.updates(&arguments);
        ran.expect(2);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains("etc/updates/config.toml: run.window: \"at night\" is no window"), "{said}");
        assert!(said.contains("write for example"), "{said}");
    }
}

#[test]
fn an_interrupted_run_is_settled_outside_of_the_window_too() {
    let root = Root::new();
    root.write("/srv/app/file", "before");
    let code = "import time\ndef main(args):\n    open('/srv/app/file', 'w').write('after')\n    \
                open('/srv/app/here', 'w').close()\n    time.sleep(1000)\n";
    root.install(&Module::python("app", "1", code).declares(&["/srv/app/"]));
    let run = root.start(&["run", "--no-sync"]);
    until("the module runs", || root.exists("/srv/app/here"));
    run.signal(Signal::KILL);
    run.end();
    root.write("/etc/updates/config.toml", shut());
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(3);
    assert_eq!(root.read("/srv/app/file"), "before");
    assert_eq!(record["recovered"][0]["complete"], true, "{record:#}");
    let last = root.updates(&["--json", "show", "last"]).json();
    assert_eq!(last["recovered"][0]["module"], "app", "what was put back is remembered");
}

static NOW: AtomicI64 = AtomicI64::new(0);

fn clock() -> Zoned {
    Timestamp::from_second(NOW.load(Ordering::Relaxed)).unwrap().to_zoned(TimeZone::UTC)
}

/// Lets the hour pass in which the window is open, while the first module runs.
struct Passing;

impl Observer for Passing {
    fn observe(&mut self, event: &Event) {
        if matches!(event, Event::Log(line) if line.message.contains("midway")) {
            NOW.fetch_add(3600, Ordering::Relaxed);
        }
    }
}

#[test]
fn no_module_begins_after_the_window_has_closed_and_those_that_run_go_on_to_their_end() {
    let root = Root::new();
    let code = "print('midway', flush=True)\ndef main(args):\n    open('/srv/app/file', 'w').write('done')\n    \
                return {'success': True}\n";
    root.folder("/srv/app");
    root.install(&Module::python("app", "1", code).declares(&["/srv/app/"]));
    root.install(&Module::idle("later", "1").metadata("priority", 200.into()));
    root.write("/etc/updates/config.toml", "[run]\nwindow = [\"02:00-03:00\"]\n");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_updates"));
    let checkout = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let layout = Layout::new(&root.path().canonicalize().unwrap());
    let supervisor = Supervisor {
        config: load(&layout, None).unwrap().config,
        layout,
        installation: Installation {
            runner: program.with_file_name("updates-runner"),
            sdk: checkout.join("runner/python"),
            profiles: checkout.join("sandbox-profiles"),
        },
        cancel: CancelToken::new().unwrap(),
    };
    NOW.store("2026-06-10T02:30:00Z".parse::<Timestamp>().unwrap().as_second(), Ordering::Relaxed);
    let options = RunOptions { no_sync: true, clock, ..RunOptions::default() };
    let record = supervisor.run(&options, &mut Passing).unwrap();
    assert_eq!(record.status, Some(ExitStatus::Success));
    let record = serde_json::to_value(record).unwrap();
    assert_eq!(module(&record, "app")["status"], "succeeded", "{record:#}");
    assert_eq!(root.read("/srv/app/file"), "done");
    assert_eq!(module(&record, "later")["status"], "skipped");
    let why = module(&record, "later")["message"].as_str().unwrap();
    assert!(why.contains("the maintenance window (02:00-03:00) closed before its turn"), "{why}");
}
