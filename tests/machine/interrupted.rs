//! Runs that something ends in the middle: a stop by systemd, a kill, the end of the machine. Afterwards all is as before.

use serde_json::Value;

use super::is_there;
use super::machine::{Machine, shopkeeper};
use super::support::Source;

/// A machine whose run has changed everything of the shop and goes on, and the shop as it was.
fn in_the_middle() -> (Machine, Source, Value) {
    let (machine, source) = Machine::with_source(&[&shopkeeper("1.0.0", "time.sleep(3600)")]);
    let before = machine.shop();
    machine.ok("systemctl start --no-block updates.service");
    machine.until(
        "grep -q after /srv/shop/conf && systemctl is-enabled --quiet idle && systemctl is-active --quiet idle shop",
    );
    (machine, source, before)
}

/// A run after it goes well, so that nothing of the interruption is in the way of the next night.
#[track_caller]
fn assert_next_night_goes_well(machine: &Machine, source: &Source) {
    source.publish(&[&shopkeeper("1.0.1", "return {'success': True}")]);
    machine.publish(source);
    assert_eq!(machine.run_service(), "Result=success ExecMainStatus=0");
    assert_eq!(machine.ok("cat /srv/shop/conf"), "after");
}

#[test]
fn a_stop_by_systemd_settles_the_run_that_it_ends() {
    if !is_there() {
        return;
    }
    let (machine, source, before) = in_the_middle();
    machine.ok("systemctl stop updates.service");
    assert_eq!(machine.shop(), before);
    assert_eq!(machine.show("updates.service", "ExecMainCode,ExecMainStatus"), "ExecMainCode=1 ExecMainStatus=130");
    // What somebody stopped is no failure, of which a person would get mail.
    assert_eq!(machine.show("updates.service", "ActiveState,Result"), "Result=success ActiveState=inactive");
    // Nothing of the module goes on.
    assert_eq!(machine.sh("pgrep --exact updates-runner").stdout, "");
    assert_next_night_goes_well(&machine, &source);
}

#[test]
fn a_run_that_was_killed_is_settled_by_the_next_start() {
    if !is_there() {
        return;
    }
    let (machine, source, before) = in_the_middle();
    machine.ok("systemctl kill --signal KILL updates.service");
    machine.until_idle();
    let ran = machine.updates(&["recover"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(machine.shop(), before);
    assert_next_night_goes_well(&machine, &source);
}

#[test]
fn a_machine_that_lost_its_power_in_the_middle_has_settled_the_run_once_it_is_up() {
    if !is_there() {
        return;
    }
    let (mut machine, source, before) = in_the_middle();
    machine.cut_power();
    machine.boot();
    // No one has to ask for it.
    machine.until("case $(systemctl show --property ActiveState --value updates-recover.service) in inactive|failed) ;; *) false ;; esac");
    assert_eq!(machine.show("updates-recover.service", "Result,ExecMainStatus"), "Result=success ExecMainStatus=0");
    assert_eq!(machine.shop(), before);
    assert_next_night_goes_well(&machine, &source);
}

#[test]
fn a_machine_that_is_switched_off_in_the_middle_settles_the_run_before_it_goes() {
    if !is_there() {
        return;
    }
    let (mut machine, source, before) = in_the_middle();
    machine.power_off();
    let conf = std::fs::read_to_string(machine.changed().join("srv/shop/conf")).unwrap();
    assert_eq!(conf, "before\n");
    machine.boot();
    assert_eq!(machine.shop(), before);
    assert_next_night_goes_well(&machine, &source);
}
