//! What an administrator asks and sets on a machine that is in use: `updates doctor`, the maintenance window, removal in
//! the middle of a run.

use super::is_there;
use super::machine::{Machine, apt, shopkeeper};

#[test]
fn the_doctor_is_content_with_a_machine_that_is_configured() {
    if !is_there() {
        return;
    }
    let (machine, _) = Machine::with_source(&[&shopkeeper("1.0.0", "return {'success': True}")]);
    assert_eq!(machine.run_service(), "Result=success ExecMainStatus=0");
    let ran = machine.updates(&["doctor"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("updates.timer"), "{ran:?}");
}

#[test]
fn the_doctor_names_a_timer_that_is_off_and_says_how_to_switch_it_on() {
    if !is_there() {
        return;
    }
    let (machine, _) = Machine::with_source(&[&shopkeeper("1.0.0", "return {'success': True}")]);
    machine.ok("systemctl --quiet disable --now updates.timer");
    let ran = machine.updates(&["doctor"]);
    assert!(ran.stdout.contains("systemctl enable --now updates.timer"), "{ran:?}");
}

#[test]
fn outside_of_the_maintenance_window_the_service_begins_nothing_and_that_is_no_failure() {
    if !is_there() {
        return;
    }
    let (machine, _) = Machine::with_source(&[&shopkeeper("1.0.0", "return {'success': True}")]);
    // A whole day that is not today.
    machine.ok("day=$(LC_ALL=C date --date '3 days' +%a)
        printf '[run]\\nwindow = [\"%s 00:00-23:59\"]\\n' \"$day\" >/etc/updates/config.d/window.toml");
    assert_eq!(machine.run_service(), "Result=success ExecMainStatus=3");
    assert_eq!(machine.ok("cat /srv/shop/conf"), "before");
    let ran = machine.updates(&["run", "--ignore-window"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(machine.ok("cat /srv/shop/conf"), "after");
}

#[test]
fn removing_the_package_in_the_middle_of_a_run_leaves_what_the_module_does_done_or_undone() {
    if !is_there() {
        return;
    }
    let (machine, _) = Machine::with_source(&[&shopkeeper("1.0.0", "time.sleep(3600)")]);
    let before = machine.shop();
    machine.ok("systemctl start --no-block updates.service");
    machine.until("grep -q after /srv/shop/conf && systemctl is-active --quiet idle shop");
    // Once the program is gone nobody could put anything back: the removal waits until that is done.
    machine.ok(&apt("remove updates"));
    assert_eq!(machine.shop(), before);
    assert_eq!(machine.sh("pgrep --exact updates-runner").stdout, "");
    assert_eq!(machine.ok("dpkg --audit"), "");
}
