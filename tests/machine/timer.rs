//! The nights: the timer starts a run, also one that the machine was off for.

use super::is_there;
use super::machine::{Machine, shopkeeper};

/// As at night, but in an instant.
const NOW: &str = "[Timer]\nOnCalendar=\nOnActiveSec=1ms\nRandomizedDelaySec=0\nAccuracySec=1ms\n";

/// Without the random delay; the time that was missed lies in the past either way.
const AT_ONCE: &str = "[Timer]\nRandomizedDelaySec=0\nAccuracySec=1ms\n";

#[test]
fn the_timer_starts_a_run_that_syncs_and_runs_what_the_source_has() {
    if !is_there() {
        return;
    }
    let (machine, source) = Machine::with_source(&[&shopkeeper("1.0.0", "return {'success': True, 'updated': True}")]);
    machine.write("/etc/systemd/system/updates.timer.d/now.conf", NOW);
    machine.ok("systemctl daemon-reload && systemctl restart updates.timer");
    machine.until("systemctl is-active --quiet updates.service || grep -q after /srv/shop/conf");
    machine.until_idle();
    assert_eq!(machine.show("updates.service", "Result,ExecMainStatus"), "Result=success ExecMainStatus=0");
    assert_eq!(machine.ok("cat /srv/shop/conf"), "after");
    let shown = machine.updates_json(&["show", "last"]);
    let revision = shown["sync"]["revision"].as_str().unwrap_or_default();
    assert_eq!(revision, source.git(&["rev-parse", "main"]));
}

#[test]
fn a_night_that_the_machine_was_off_for_is_caught_up_when_it_is_on_again() {
    if !is_there() {
        return;
    }
    let (mut machine, _) = Machine::with_source(&[&shopkeeper("1.0.0", "return {'success': True}")]);
    machine.write("/etc/systemd/system/updates.timer.d/at-once.conf", AT_ONCE);
    machine.ok("systemctl daemon-reload && systemctl restart updates.timer");
    machine.until_idle();
    // Two days pass: systemd looks at this file for when the timer was last due.
    let stamp = "/var/lib/systemd/timers/stamp-updates.timer";
    machine.ok(&format!("test -e {stamp} && touch --date '2 days ago' {stamp}"));
    machine.power_off();
    machine.boot();
    machine.until("grep -q after /srv/shop/conf");
    machine.until_idle();
    assert_eq!(machine.show("updates.service", "Result,ExecMainStatus"), "Result=success ExecMainStatus=0");
}
