//! The machine in the container: units of every kind, commands, and an observer that asks systemctl and lists links.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// All tests share one machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What the units of every kind are called; each `NAME FILE-STATE` is as [`Machine::new`] leaves it.
pub const UNITS: [&str; 18] = [
    "t-simple.service",
    "t-idle.service",
    "t-runtime.service",
    "t-oneshot.service",
    "t-failing.service",
    "t-masked.service",
    "t-masked-runtime.service",
    "t-masked-running.service",
    "t-static.service",
    "t-restarting.service",
    "t-socket.socket",
    "t-socket.service",
    "t-timer.timer",
    "t-linked.service",
    "t-instance@one.service",
    "t-alias.service",
    "t-generated.service",
    "t-missing.service",
];

const INSTALL: &str = "[Install]\nWantedBy=multi-user.target\n";

/// A machine whose units are as they were made.
pub struct Machine(#[allow(dead_code, reason = "held until the test ends")] MutexGuard<'static, ()>);

impl Machine {
    pub fn new() -> Self {
        let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        shell(
            "systemctl stop t-socket.socket 't-*.timer'; systemctl stop 't-*' 2>/dev/null
             rm -rf /etc/systemd/system/t-* /etc/systemd/system/*.wants/t-* /run/systemd/system/t-* /srv/t \
                    /run/systemd/system/*.wants/t-* /etc/init.d/t-* /etc/rc?.d/*t-generated
             systemctl daemon-reload
             systemctl reset-failed
             mkdir -p /srv/t",
        );
        let machine = Self(guard);
        machine.write("/srv/t/conf", "before\n");
        let sleep = "ExecStart=/bin/sh -c 'cat /srv/t/conf >>/run/t-read-%p; exec sleep infinity'\n";
        shell("rm -f /run/t-read-*");
        for name in ["simple", "idle", "runtime", "masked-running"] {
            machine.unit(&format!("t-{name}.service"), &format!("[Service]\n{sleep}{INSTALL}"));
        }
        machine.unit("t-instance@.service", &format!("[Service]\n{sleep}{INSTALL}"));
        machine.unit("t-real.service", &format!("[Service]\n{sleep}{INSTALL}Alias=t-alias.service\n"));
        machine.unit(
            "t-oneshot.service",
            &format!("[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\n{INSTALL}"),
        );
        machine.unit("t-failing.service", &format!("[Service]\nExecStart=false\n{INSTALL}"));
        machine.unit("t-static.service", &format!("[Service]\n{sleep}"));
        machine.unit("t-restarting.service", &format!("[Service]\n{sleep}Restart=always\nRestartSec=0\n{INSTALL}"));
        machine.unit("t-socket.socket", "[Socket]\nListenStream=/run/t-socket\n[Install]\nWantedBy=sockets.target\n");
        machine.unit("t-socket.service", &format!("[Service]\n{sleep}"));
        machine.unit("t-timer.timer", "[Timer]\nOnActiveSec=1d\n[Install]\nWantedBy=timers.target\n");
        machine.unit("t-timer.service", "[Service]\nType=oneshot\nExecStart=true\n");
        machine.write("/srv/linked/t-linked.service", &format!("[Service]\n{sleep}{INSTALL}"));
        // Units of the distribution: what lies in /etc itself can't be masked.
        for name in ["masked", "masked-runtime"] {
            machine
                .write(&format!("/usr/lib/systemd/system/t-{name}.service"), &format!("[Service]\n{sleep}{INSTALL}"));
        }
        shell(
            "mv /etc/systemd/system/t-masked-running.service /usr/lib/systemd/system/
             printf '#!/bin/sh\\n### BEGIN INIT INFO\\n# Provides: t-generated\\n# Required-Start:\\n# Required-Stop:\\n\
             # Default-Start: 2 3 4 5\\n# Default-Stop: 0 1 6\\n### END INIT INFO\\n' >/etc/init.d/t-generated
             chmod 755 /etc/init.d/t-generated
             systemctl daemon-reload
             systemctl -q enable t-simple t-oneshot t-restarting t-socket.socket t-timer.timer t-instance@one t-real
             systemctl -q enable --runtime t-runtime
             systemctl -q link /srv/linked/t-linked.service
             systemctl start t-simple t-runtime t-oneshot t-restarting t-socket.socket t-timer.timer t-instance@one \
                             t-real t-linked t-masked-running t-generated
             systemctl start t-failing
             systemctl -q mask t-masked t-masked-running
             systemctl -q mask --runtime t-masked-runtime
             while [ \"$(systemctl is-active t-failing)\" != failed ]; do sleep 0.05; done
             echo x | timeout 5 python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"/run/t-socket\")'
             while [ \"$(systemctl is-active t-socket.service)\" != active ]; do sleep 0.05; done",
        );
        machine
    }

    pub fn write(&self, path: &str, content: &str) {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn unit(&self, name: &str, content: &str) {
        self.write(&format!("/etc/systemd/system/{name}"), content);
    }
}

/// What is seen of units: four properties of each, and every lasting link and file that is about units, with the target.
pub fn observe(units: &[&str]) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for unit in units {
        seen.insert((*unit).to_owned(), show(unit, "LoadState,ActiveState,SubState,UnitFileState"));
    }
    // Not those below /run: systemd shows none of them beside one of /etc, so nobody can know of them.
    links(Path::new("/etc/systemd/system"), &mut seen);
    seen
}

fn links(folder: &Path, seen: &mut BTreeMap<String, String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() && !path.is_symlink() {
            links(&path, seen);
        } else {
            let target = fs::read_link(&path).map(|target| target.display().to_string());
            seen.insert(path.display().to_string(), target.unwrap_or_default());
        }
    }
}

/// Properties of a unit, in one line.
pub fn show(unit: &str, properties: &str) -> String {
    let ran = Command::new("systemctl").args(["show", "--property", properties, "--", unit]).output().unwrap();
    String::from_utf8(ran.stdout).unwrap().trim().replace('\n', " ")
}

/// Runs a script, whatever comes of its single commands, and prints what it says.
pub fn shell(script: &str) {
    let ran = Command::new("/bin/sh").arg("-c").arg(script).output().unwrap();
    eprint!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
}

/// Compares two observations, and tells what differs alone.
#[track_caller]
pub fn assert_same(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>, what: &str) {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing: Vec<String> = names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| format!("{name}: was {:?}, is {:?}", before.get(name), after.get(name)))
        .collect();
    assert!(differing.is_empty(), "after {what}:\n{}", differing.join("\n"));
}
