//! The program replaces itself under the real units, and the guard takes back what does not work, in the same night.

use super::artifact;
use super::is_there;
use super::machine::{Machine, shopkeeper};
use super::support::Source;

/// Starts and says what it is, and crashes in every run.
const CRASHES: &str = "#!/bin/sh
case \" $* \" in
  *' run '*) kill -SEGV $$ ;;
esac
exec \"$(dirname \"$0\")/updates.real\" \"$@\"
";

/// A machine whose source has a module and offers version 9.0.0 of the program.
fn machine(instead: Option<&str>) -> (Machine, Source) {
    let (machine, source) = Machine::with_source(&[&shopkeeper("1.0.0", "return {'success': True}")]);
    artifact::offer(&source, "9.0.0", instead);
    machine.publish(&source);
    (machine, source)
}

#[test]
fn a_newer_version_takes_over_in_the_night_and_leaves_the_files_of_the_package_alone() {
    if !is_there() {
        return;
    }
    let (machine, _) = machine(None);
    assert_eq!(machine.run_service(), "Result=success ExecMainStatus=0", "{:?}", machine.updates(&["logs"]));
    assert_eq!(machine.ok("cat /srv/shop/conf"), "after", "the modules ran in the same night");
    assert_eq!(machine.ok("readlink /usr/local/lib/updates/current"), "versions/9.0.0");
    assert!(machine.ok("updates --version").contains("9.0.0"));
    // It reached the end of a run.
    machine.ok("test ! -e /var/lib/updates/self-update/trial");
    assert_eq!(machine.sh("dpkg --verify updates").stdout, "");
    let shown = machine.updates(&["self", "show"]);
    assert!(shown.code == 0 && shown.stdout.contains("9.0.0"), "{shown:?}");
    assert_eq!(machine.run_service(), "Result=success ExecMainStatus=0");
}

#[test]
fn a_version_that_crashes_in_every_run_is_taken_back_and_the_same_night_has_a_run() {
    if !is_there() {
        return;
    }
    let (machine, _) = machine(Some(CRASHES));
    machine.ok("systemctl start --no-block updates.service");
    // systemd starts the guard, and the guard the service, until the tries are used up.
    machine.until("grep -q after /srv/shop/conf");
    machine.until_idle();
    assert_eq!(machine.show("updates.service", "Result,ExecMainStatus"), "Result=success ExecMainStatus=0");
    machine.ok("test ! -e /usr/local/lib/updates/current && test ! -e /var/lib/updates/self-update/trial");
    let status = machine.updates(&["status"]);
    assert!(status.stdout.contains("9.0.0"), "a person is told: {status:?}");
    // It is not tried again while the source carries the same.
    assert_eq!(machine.run_service(), "Result=success ExecMainStatus=0");
    machine.ok("test ! -e /usr/local/lib/updates/current");
    // What systemd itself counted is no obstacle to the next night.
    assert_eq!(machine.ok("systemctl list-units --failed --no-legend --plain"), "");
}

#[test]
fn a_run_of_a_version_on_trial_that_somebody_stops_stays_stopped() {
    if !is_there() {
        return;
    }
    let (machine, source) = Machine::with_source(&[&shopkeeper("1.0.0", "time.sleep(3600)")]);
    artifact::offer(&source, "9.0.0", None);
    machine.publish(&source);
    let before = machine.shop();
    machine.ok("systemctl start --no-block updates.service");
    machine.until("grep -q after /srv/shop/conf && systemctl is-active --quiet idle shop");
    machine.ok("test -e /var/lib/updates/self-update/trial");
    machine.ok("systemctl stop updates.service");
    assert_eq!(machine.shop(), before);
    assert_eq!(
        machine.show("updates-guard.service", "ExecMainStartTimestampMonotonic"),
        "ExecMainStartTimestampMonotonic=0"
    );
    assert_eq!(machine.show("updates.service", "ActiveState"), "ActiveState=inactive");
}

#[test]
fn a_purge_takes_the_versions_that_came_by_self_update_along() {
    if !is_there() {
        return;
    }
    let (machine, _) = machine(None);
    assert_eq!(machine.run_service(), "Result=success ExecMainStatus=0");
    machine.ok(&super::machine::apt("purge updates"));
    machine.ok("test ! -e /usr/local/lib/updates");
}
