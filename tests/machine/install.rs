//! What `apt install` leaves behind, and what it does not.

use super::is_there;
use super::machine::{Machine, apt};

#[test]
fn apt_installs_the_package_and_the_timer_waits_for_the_night() {
    if !is_there() {
        return;
    }
    let machine = Machine::fresh();
    machine.ok(&apt("install updates"));
    assert_eq!(machine.ok("command -v updates"), "/usr/bin/updates");
    assert_eq!(machine.ok("updates --version").split(' ').next(), Some("updates"));
    assert_eq!(machine.ok("systemctl is-enabled updates.timer"), "enabled");
    assert_eq!(machine.ok("systemctl is-active updates.timer"), "active");
    // Nothing has run: a package that has just come changes nothing on the machine.
    assert_eq!(
        machine.show("updates.service", "ActiveState,ExecMainStartTimestampMonotonic"),
        "ExecMainStartTimestampMonotonic=0 ActiveState=inactive"
    );
    assert_eq!(machine.ok("systemctl list-units --failed --no-legend --plain"), "");
    let next = machine.ok("systemctl show --property NextElapseUSecRealtime --value updates.timer");
    assert!(!next.is_empty(), "the timer has no next time");
    // It sits in no one's way when the machine comes up again.
    assert_eq!(machine.ok("dpkg --audit"), "");
}

#[test]
fn a_run_before_anything_is_configured_changes_nothing_and_is_no_failure() {
    if !is_there() {
        return;
    }
    let machine = Machine::installed();
    machine.ok("touch /run/before");
    assert_eq!(machine.run_service(), "Result=success ExecMainStatus=3");
    assert_eq!(machine.ok("systemctl list-units --failed --no-legend --plain"), "");
    let changed = machine.ok("find /etc /srv /home /root /opt /usr/local/bin -newer /run/before");
    assert_eq!(changed, "");
    let complaints = machine.journal("--unit updates.service --priority warning");
    assert_eq!(complaints.len(), 0, "{complaints:#?}");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if !is_there() {
        return;
    }
    let machine = Machine::installed();
    let units = machine.ok("dpkg -L updates | grep -E '/systemd/system/[^/]*$'");
    assert!(units.contains("updates.timer"), "{units}");
    let ran = machine.sh(&format!("systemd-analyze verify --man=no {}", units.replace('\n', " ")));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
}

#[test]
fn what_an_administrator_edits_is_in_force_and_outlives_an_upgrade() {
    if !is_there() {
        return;
    }
    let machine = Machine::installed();
    machine.ok("printf '[Service]\\nNice=7\\n' | systemctl edit --stdin updates.service 2>/dev/null || {
        mkdir -p /etc/systemd/system/updates.service.d
        printf '[Service]\\nNice=7\\n' >/etc/systemd/system/updates.service.d/override.conf
        systemctl daemon-reload; }");
    machine.ok("systemctl disable --quiet --now updates.timer");
    machine.ok("printf '\\n# mine\\n' >>/etc/updates/config.toml");
    let later = super::archive::later();
    machine.offer(&later);
    machine.ok(&apt("upgrade"));
    assert_eq!(machine.ok("dpkg-query --show --showformat '${Version}' updates"), later);
    assert_eq!(machine.show("updates.service", "Nice"), "Nice=7");
    assert_eq!(machine.sh("systemctl is-enabled updates.timer").stdout.trim(), "disabled");
    assert_eq!(machine.sh("systemctl is-active updates.timer").stdout.trim(), "inactive");
    assert_eq!(machine.ok("tail -n 1 /etc/updates/config.toml"), "# mine");
}
