//! The package over its life: another version of it while a run goes on, removal, purge, and back again.

use super::archive;
use super::is_there;
use super::machine::{Machine, apt, shopkeeper};
use super::support::Module;

/// A run that ends well when `/srv/shop/go` comes, and a machine in the middle of it.
fn running() -> Machine {
    let end = "while not os.path.exists('/srv/shop/go'): time.sleep(0.05)\n    return {'success': True}";
    let (machine, source) = Machine::with_source(&[&shopkeeper("1.0.0", end)]);
    // One that is started only after the package has changed below the run.
    let code = "from updates.index import log_message\n\n\ndef main(args=None):\n    log_message('late, and well')\n    return {'success': True}\n";
    let late = Module::python("late", "1.0.0", code).metadata("priority", 200.into());
    source.publish(&[&late]);
    machine.publish(&source);
    machine.ok("systemctl start --no-block updates.service");
    machine.until("grep -q after /srv/shop/conf");
    machine
}

#[track_caller]
fn change_the_package_in_the_middle(version: &str) {
    let machine = running();
    machine.offer(version);
    // Whether apt waits for the run or the run survives it: both come to an end, and neither is harmed.
    let install = apt(&format!("install --allow-downgrades updates={version}"));
    machine.ok(&format!("({{ {install}; }} >/run/apt.log; echo $? >/run/apt.code) >/dev/null 2>&1 &"));
    machine.until("grep -q unpack /run/apt.log || test -e /run/apt.code");
    machine.ok("touch /srv/shop/go");
    machine.until("test -e /run/apt.code");
    machine.until_idle();
    assert_eq!(machine.ok("cat /run/apt.code"), "0", "{}", machine.ok("cat /run/apt.log"));
    assert_eq!(machine.ok("dpkg-query --show --showformat '${Version}' updates"), version);
    assert_eq!(machine.ok("tail -n 1 /usr/lib/updates/python/host.py"), format!("# {version}"));
    let run = machine.updates(&["show", "last"]);
    assert_eq!(machine.show("updates.service", "Result,ExecMainStatus"), "Result=success ExecMainStatus=0", "{run:?}");
    assert_eq!(machine.ok("systemctl is-active updates.timer"), "active");
    // And it works.
    assert_eq!(machine.run_service(), "Result=success ExecMainStatus=0");
}

#[test]
fn an_upgrade_in_the_middle_of_a_run_harms_neither() {
    if is_there() {
        change_the_package_in_the_middle(&archive::later());
    }
}

#[test]
fn a_downgrade_in_the_middle_of_a_run_harms_neither() {
    if is_there() {
        change_the_package_in_the_middle(&archive::earlier());
    }
}

/// Everything on the machine that is called after the package.
fn traces(machine: &Machine) -> Vec<String> {
    let found = machine.ok("find / -xdev \\( -path /proc -o -path /srv -o -path /tmp -o -path /var/log -o -path /var/lib/apt -o -path /var/cache \\) -prune -o -name '*updates*' -print | sort");
    found.lines().map(str::to_owned).collect()
}

#[test]
fn remove_stops_the_timer_and_purge_leaves_the_backups_and_nothing_else() {
    if !is_there() {
        return;
    }
    let before = {
        let machine = Machine::fresh();
        traces(&machine)
    };
    let (machine, _) = Machine::with_source(&[&shopkeeper("1.0.0", "return {'success': True}")]);
    assert_eq!(machine.run_service(), "Result=success ExecMainStatus=0");
    let ran = machine.updates(&["backup", "create", "shop"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    machine.ok("rm /etc/updates/config.d/source.toml");

    machine.ok(&apt("remove updates"));
    assert_ne!(machine.sh("command -v updates").code, 0);
    assert_eq!(machine.sh("systemctl is-active updates.timer").stdout.trim(), "inactive");
    // What a person set and what modules did is theirs until the purge.
    machine.ok("test -e /etc/updates/config.toml -a -d /var/lib/updates");

    machine.ok(&apt("install updates"));
    assert_eq!(machine.run_service(), "Result=success ExecMainStatus=0");
    assert_eq!(machine.ok("systemctl is-active updates.timer"), "active");

    machine.ok(&apt("purge updates"));
    let mut left = traces(&machine);
    left.retain(|path| !before.contains(path) && !path.starts_with("/var/backups/updates"));
    assert_eq!(left, Vec::<String>::new());
    machine.ok("test -d /var/backups/updates/shop_backup");
    assert_eq!(machine.ok("dpkg --audit"), "");
    assert_eq!(machine.ok("systemctl list-units --failed --no-legend --plain"), "");
    assert_eq!(machine.ok("systemctl list-unit-files --no-legend | grep -c updates || true"), "0");

    // As if it had never been there.
    machine.ok(&apt("install updates"));
    assert_eq!(machine.ok("systemctl is-active updates.timer"), "active");
    assert_eq!(machine.run_service(), "Result=success ExecMainStatus=3");
}

#[test]
fn what_the_package_leaves_in_run_lets_nobody_hold_runs_off_and_ends_no_process_of_others() {
    if !is_there() {
        return;
    }
    let machine = Machine::installed();
    let later = archive::later();
    machine.offer(&later);
    // As after a start of the machine, when nothing has run yet.
    machine.ok("rm -rf /run/updates");
    machine.ok(&apt("upgrade"));
    assert_eq!(machine.ok("stat --format %a /run/updates/lock"), "600");
    machine.ok("test ! -e /run/updates/package");

    // dpkg was interrupted, what held the lock has ended since, and another process has its number now.
    machine.ok("systemd-run --quiet --unit other sleep infinity");
    machine.ok("systemctl show --property MainPID --value other >/run/updates/package");
    machine.ok("/var/lib/dpkg/info/updates.postinst configure 0");
    machine.ok("test ! -e /run/updates/package");
    assert_eq!(machine.ok("systemctl is-active other"), "active");

    machine.ok("rm -rf /run/updates");
    machine.ok(&apt("remove updates"));
    assert_eq!(machine.ok("stat --format %a /run/updates/lock"), "600");
}

#[test]
fn a_purge_empties_a_file_system_of_its_own_and_succeeds() {
    if !is_there() {
        return;
    }
    let machine = Machine::installed();
    machine.ok("mkdir -p /var/lib/updates && mount -t tmpfs none /var/lib/updates");
    assert_eq!(machine.run_service(), "Result=success ExecMainStatus=3");
    assert_ne!(machine.ok("ls -A /var/lib/updates"), "");
    machine.ok(&apt("purge updates"));
    assert_eq!(machine.ok("ls -A /var/lib/updates"), "");
    assert_eq!(machine.ok("dpkg --audit"), "");
    assert_ne!(machine.sh("dpkg-query --status updates").code, 0);
}
