//! The service is confined itself, and every module inherits that: none of what a profile allows may be missing under the
//! unit, and none of what it forbids may be left out.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::container::work;
use super::is_there;
use super::machine::{Machine, apt};
use super::support::Module;

/// A module of each shipped profile. Each does what its profile is for, and fails where it can't.
fn modules() -> Vec<Module> {
    let writes = |name: &str| {
        Module::executable(name, "1.0.0", &format!("#!/bin/sh\nset -e\necho done >/srv/{name}/file\n"))
            .declares(&[&format!("/srv/{name}/")])
    };
    let install = apt("install hello-machine");
    vec![
        Module::executable(
            "strict",
            "1.0.0",
            "#!/bin/sh\nset -e\ntouch \"$STATE_DIRECTORY/file\"\n! touch /etc/file 2>/dev/null\n",
        )
        .sandbox("profile", "strict".into()),
        writes("default"),
        Module::executable(
            "user",
            "1.0.0",
            "#!/bin/sh\nset -e\n[ \"$(id --user --name)\" = daemon ]\ntouch \"$STATE_DIRECTORY/file\"\n",
        )
        .sandbox("user", "daemon".into()),
        writes("network").sandbox("profile", "network".into()),
        Module::executable(
            "legacy",
            "1.0.0",
            "#!/bin/sh\nset -e\nsystemctl restart idle\nchown daemon /srv/legacy\nchmod u+s /srv/legacy\n",
        )
        .declares(&["/srv/legacy/"])
        .sandbox("profile", "legacy".into())
        .sandbox("services", json!(["idle"])),
        Module::executable("packages", "1.0.0", &format!("#!/bin/sh\nset -e\n{install}\n"))
            .sandbox("profile", "package-manager".into()),
    ]
}

/// A package with a setuid program, a user of its own and a service.
fn hello_machine(folder: &Path) {
    let tree = tempfile::Builder::new().prefix("hello-").tempdir_in(work()).unwrap();
    let script = "set -e
        mkdir -p DEBIAN usr/bin lib/systemd/system
        printf 'Package: hello-machine\\nVersion: 1\\nArchitecture: all\\nMaintainer: T <t@example.org>\\nDescription: test\\n' >DEBIAN/control
        printf '#!/bin/sh\\nset -e\\nuseradd --system hello\\nsystemctl daemon-reload\\nsystemctl start hello\\n' >DEBIAN/postinst
        printf '[Service]\\nUser=hello\\nExecStart=sleep infinity\\n' >lib/systemd/system/hello.service
        cp /bin/true usr/bin/hello
        chmod 755 . DEBIAN DEBIAN/postinst usr usr/bin lib lib/systemd lib/systemd/system
        chmod 4755 usr/bin/hello
        dpkg-deb --root-owner-group -Znone --build . \"$0/hello-machine_1.deb\"";
    let ran = Command::new("sh").current_dir(tree.path()).arg("-c").arg(script).arg(folder).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

/// What each module's last attempt was enforced with, by module.
fn enforced(run: &Value) -> Vec<(String, Value)> {
    let modules = run["modules"].as_array().unwrap().iter();
    let mut all: Vec<_> = modules
        .map(|module| {
            let attempt = module["attempts"].as_array().and_then(|attempts| attempts.last());
            (module["module"].as_str().unwrap().to_owned(), attempt.map_or(Value::Null, |a| a["enforcement"].clone()))
        })
        .collect();
    all.sort_by(|left, right| left.0.cmp(&right.0));
    all
}

#[test]
fn every_shipped_profile_does_under_the_service_what_it_does_by_hand() {
    if !is_there() {
        return;
    }
    let modules = modules();
    let (machine, _) = Machine::with_source(&modules.iter().collect::<Vec<_>>());
    fs::create_dir_all(machine.shared().join("apt")).unwrap();
    hello_machine(&machine.shared().join("apt"));
    machine.offer(&super::archive::version());
    machine.ok("systemctl start idle");

    let result = machine.run_service();
    let service = machine.updates_json(&["show", "last"]);
    assert_eq!(result, "Result=success ExecMainStatus=0", "{service:#}\n{}", machine.updates(&["logs"]).stdout);
    assert_eq!(machine.ok("stat --format %a /usr/bin/hello"), "4755");
    assert_eq!(machine.ok("systemctl is-active hello"), "active");
    assert_eq!(machine.ok("stat --format %U /srv/legacy"), "daemon");

    let ran = machine.updates(&["run", "--no-sync"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let by_hand = machine.updates_json(&["show", "last"]);
    assert_eq!(enforced(&service), enforced(&by_hand));
}

#[test]
fn the_service_is_no_more_exposed_than_the_documentation_says() {
    if !is_there() {
        return;
    }
    let machine = Machine::installed();
    let line = machine.ok("systemd-analyze security --no-pager updates.service | tail -n 1");
    let number = |text: &str| -> Option<f64> {
        text.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|word| {
            let whole = word.contains('.').then(|| word.trim_end_matches('.'))?;
            whole.parse().ok()
        })
    };
    let exposure = number(&line).unwrap_or_else(|| panic!("no exposure in {line:?}"));
    let documentation = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/installation.md")).unwrap();
    let stated = documentation
        .lines()
        .find(|line| line.contains("systemd-analyze security"))
        .and_then(|line| number(line.split("systemd-analyze security").nth(1)?))
        .expect("docs/installation.md says `systemd-analyze security` and the score in one line");
    assert!(exposure <= stated, "{line}; docs/installation.md says {stated}");
}

#[test]
fn what_puts_back_at_boot_may_do_no_more_than_what_ran_at_night() {
    if !is_there() {
        return;
    }
    let machine = Machine::installed();
    let of = |unit: &str| {
        machine.show(
            unit,
            "CapabilityBoundingSet,NoNewPrivileges,ProtectKernelLogs,ProtectKernelTunables,SystemCallArchitectures,SystemCallFilter",
        )
    };
    let night = of("updates.service");
    assert!(night.contains("NoNewPrivileges=yes"), "{night}");
    assert_eq!(of("updates-recover.service"), night);
}
