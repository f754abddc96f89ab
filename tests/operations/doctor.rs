//! What `updates doctor` finds, how it says to mend it, and that it changes nothing.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::support::{Module, Root, Source, Tree, until};

/// The findings of one check.
fn of<'f>(found: &'f Value, check: &str) -> Vec<&'f Value> {
    found["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == check).collect()
}

/// Whether a check found something of this health that mentions both.
#[track_caller]
fn assert_found(found: &Value, check: &str, health: &str, words: &str, mend: &str) {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    assert!(
        of(found, check).iter().any(|finding| finding["health"] == health
            && text(finding, "found").contains(words)
            && text(finding, "mend").contains(mend)),
        "no {health} of {check} with {words:?} and {mend:?} in {found:#}"
    );
}

fn systemctl(root: &Root, answer: &str) {
    let script = format!("#!/bin/sh\ncat <<'END'\n{answer}END\n");
    root.write("/systemctl", script);
    fs::set_permissions(root.at("/systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
}

fn configured(root: &Root, source: &str) {
    let systemctl = root.at("/systemctl");
    let text =
        format!("[source]\nurl = \"{source}\"\ntimeout_sec = 5\n[run]\nsystemctl = \"{}\"\n", systemctl.display());
    root.write("/etc/updates/config.toml", text);
}

const GOOD: &str = "LoadState=loaded\nUnitFileState=enabled\nActiveState=active\n\
                    NextElapseUSecRealtime=Mon 2026-06-08 03:12:00 UTC\n\n\
                    LoadState=loaded\nUnitFileState=static\nActiveState=inactive\nResult=success\n\n\
                    LoadState=loaded\nUnitFileState=enabled\nActiveState=inactive\nResult=success\n";

#[test]
fn a_machine_that_is_well_has_nothing_to_mend() {
    let root = Root::new();
    let source = Source::of(&[&Module::idle("app", "1")]);
    systemctl(&root, GOOD);
    configured(&root, source.path());
    root.updates(&["run"]).expect(0);
    // All but what readers of an SQLite database share in memory.
    let tree = || Tree::of(root.path(), &["var/lib/updates/updates.db-shm"]);
    let before = tree();
    let ran = root.updates(&["--json", "doctor"]);
    before.assert_same(&tree(), "the doctor changes nothing");
    ran.expect(0);
    let found = ran.json();
    assert_found(&found, "timer", "ok", "next on Mon 2026-06-08 03:12:00 UTC", "");
    assert_found(&found, "source", "ok", "main is at", "");
    assert_found(&found, "lock", "ok", "no run is under way", "");
    assert_found(&found, "history", "ok", "is sound", "");
    assert_found(&found, "held", "ok", "", "");
    for profile in ["strict", "default", "network", "package-manager", "legacy"] {
        let words = format!("the profile {profile} works");
        let finding = of(&found, "sandbox").into_iter().find(|f| f["found"].as_str().unwrap().contains(&words));
        assert!(finding.is_some_and(|finding| finding["health"] != "problem"), "{profile}: {found:#}");
    }
    assert_eq!(of(&found, "python")[0]["health"], of(&found, "sandbox")[1]["health"], "{found:#}");
    let words = root.updates(&["doctor"]);
    words.expect(0);
    assert!(words.stdout.contains("All is well.") || words.stdout.contains("Runs work;"), "{}", words.stdout);
}

#[test]
fn each_thing_that_is_wrong_is_named_with_the_way_out() {
    let root = Root::new();
    systemctl(&root, &GOOD.replacen("enabled", "disabled", 1).replacen("active", "inactive", 1));
    configured(&root, "/srv/nowhere");
    let broken = "def main(args):\n    raise RuntimeError('no')\n";
    root.install(&Module::python("web", "1", broken));
    root.install(&Module::idle("db", "1").configuration(
        "databases",
        serde_json::json!([{"type": "postgresql", "database": "app", "host": "/nowhere"}]),
    ));
    root.updates(&["run", "--no-sync", "web"]).expect(20);
    let ran = root.updates(&["--json", "doctor"]);
    ran.expect(11);
    let found = ran.json();
    assert_eq!(found["health"], "problem");
    assert_found(
        &found,
        "timer",
        "problem",
        "updates.timer is disabled and inactive",
        "systemctl enable --now updates.timer",
    );
    assert_found(&found, "source", "problem", "/srv/nowhere", "source.url");
    assert_found(&found, "modules", "warning", "web failed in the last run", "updates logs last web");
    assert_found(
        &found,
        "databases",
        "problem",
        "the PostgreSQL database app of db can't be saved",
        "start the server",
    );
}

#[test]
fn a_source_that_answers_and_is_refused_or_does_not_move_is_found() {
    let root = Root::new();
    let source = Source::of(&[&Module::idle("app", "1")]);
    systemctl(&root, GOOD);
    configured(&root, source.path());
    root.updates(&["run"]).expect(0);
    source.publish(&[&Module::idle("app", "2")]);
    let settings = root.read("/etc/updates/config.toml");
    root.write("/etc/updates/config.toml", settings.replace("[source]", "[source]\nverify = \"commit\""));
    root.write("/etc/updates/allowed_signers", "");
    root.updates(&["run"]).expect(0);
    let found = root.updates(&["--json", "doctor"]).json();
    assert_found(&found, "source", "ok", "answers", "");
    assert_found(&found, "source", "warning", "the last run installed nothing of the source", "what it says");
    // The commit is of 2024.
    assert_found(&found, "source", "warning", "the source has not moved for", "source.stale_after");

    root.write("/etc/updates/config.toml", settings.replace("[source]", "[source]\nstale_after = 0"));
    root.updates(&["run"]).expect(0);
    let found = root.updates(&["--json", "doctor"]).json();
    assert!(of(&found, "source").iter().all(|finding| finding["health"] == "ok"), "{found:#}");
}

#[test]
fn settings_that_can_not_be_read_are_a_finding_and_keep_nothing_from_being_looked_at() {
    let root = Root::new();
    root.write("/etc/updates/config.toml", "[run]\njobs = 0\n");
    root.write("/var/lib/updates/updates.db", "this is no database");
    let ran = root.updates(&["--json", "doctor"]);
    ran.expect(11);
    let found = ran.json();
    assert_found(&found, "settings", "problem", "run.jobs: 0 is outside 1 to 64", "config check");
    assert_found(&found, "history", "problem", "updates.db", "next run");
    assert_found(&found, "settings", "warning", "with the default settings", "");
    assert_found(&found, "source", "warning", "no source is configured", "source.url");
    assert_eq!(root.read("/var/lib/updates/updates.db"), "this is no database");

    root.write("/etc/updates/config.toml", "[run]\nwindow = 7\n");
    let words = root.updates(&["doctor"]).stdout;
    let of_two = words.lines().take(2).map(|line| &line[..7]).collect::<Vec<_>>();
    assert_eq!(of_two, ["PROBLEM", "       "], "every further line of a finding stands below its first: {words}");
}

#[test]
fn a_run_that_is_under_way_is_named_and_not_disturbed() {
    let root = Root::new();
    let code = "import time\ndef main(args):\n    open('/srv/app/here', 'w').close()\n    time.sleep(1000)\n";
    root.folder("/srv/app").install(&Module::python("app", "1", code).declares(&["/srv/app/"]));
    let run = root.start(&["run", "--no-sync"]);
    until("the module runs", || root.exists("/srv/app/here"));
    let found = root.updates(&["--json", "doctor"]).json();
    assert_found(&found, "lock", "ok", &format!("process {} holds", run.id()), "");
    run.signal(rustix::process::Signal::TERM);
    run.end().expect(130);
}

#[test]
fn a_source_and_a_systemd_that_never_answer_are_findings() {
    let root = Root::new();
    // Takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    root.write("/systemctl", "#!/bin/sh\nexec sleep 1000\n");
    fs::set_permissions(root.at("/systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
    configured(&root, &format!("http://127.0.0.1:{}/x.git", silent.local_addr().unwrap().port()));
    let ran = root.updates(&["--json", "doctor"]);
    ran.expect(11);
    let found = ran.json();
    assert_found(&found, "timer", "problem", "", "");
    assert_found(&found, "source", "problem", "", "");
    assert!(!of(&found, "sandbox").is_empty());
}
