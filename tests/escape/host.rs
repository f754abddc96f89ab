//! The same attempts where `/` itself is the machine, as on a server: there the sandbox binds where it lays overlays
//! below `--root`. The test's `/` is this machine's, in a mount namespace of its own, with a temporary root in the place
//! of every directory that the supervisor or a module writes.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::allowed::ALLOWED;
use crate::outside::{Outside, plant_secrets};
use crate::support::{Module, Root};
use crate::table::{GATED, module};

/// Directories that are taken from the temporary root.
const OURS: [&str; 7] = ["/home", "/root", "/run", "/srv", "/usr/local/lib", "/var/backups", "/var/lib"];

#[test]
fn nothing_is_open_on_the_machine_itself() {
    let root = Root::new();
    plant_secrets(&root);
    let outside = Outside::new(&root);
    let mut open = Vec::new();
    for profile in GATED {
        root.install(&module("escape", profile));
        let result = attempt(&root, &outside);
        let rows = result["rows"].as_array().unwrap();
        assert!(rows.len() > 100, "{profile}: only {} rows", rows.len());
        for row in rows.iter().filter(|row| row["verdict"] == json!("open")) {
            let number = row["attempt"].as_str().unwrap();
            if !ALLOWED.iter().any(|(allowed, under, _)| *allowed == number && *under == profile) {
                open.push(format!("{number} under {profile}: {} ({})", row["name"], row["detail"]));
            }
        }
    }
    assert!(open.is_empty(), "{} open:\n{}", open.len(), open.join("\n"));
}

#[test]
fn a_package_manager_can_not_put_the_supervisors_places_aside() {
    let code = r#"
import os
def main(args):
    moved = []
    for path in ["/var/lib", "/var/lib/updates", "/var/backups/updates", "/usr/local/lib", "/etc/updates"]:
        try:
            os.rename(path, path + ".old")
            moved.append(path)
        except OSError:
            pass
    try:
        os.mkdir("/var/backups/updates/forged")
        moved.append("/var/backups/updates/forged")
    except OSError:
        pass
    open("/var/lib/package", "w").close()
    return {"success": True, "moved": moved}
"#;
    let root = Root::new();
    root.install(&Module::python("packages", "1", code).sandbox("profile", json!("package-manager")));
    root.folder("/var/tmp").folder("/var/lib").folder("/var/backups");
    // On a server nothing in /var is a mount, which could not be renamed anyway.
    let whole = format!("mount --bind {} /var; exec \"$@\"", root.at("/var").display());
    let ran = in_place_of_the_machine(&root, &[])
        .args(["sh", "-euc", &whole, "sh", env!("CARGO_BIN_EXE_updates"), "runner", "packages"])
        .env("TMPDIR", "/run")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&ran.stdout);
    let result: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}\n{ran:?}"));
    assert_eq!(result["moved"], json!([]), "{ran:?}");
    assert!(root.exists("/var/lib/package"));
}

// Runs the module with the machine that is described above.
#[track_caller]
fn attempt(root: &Root, outside: &Outside) -> Value {
    let output = in_place_of_the_machine(root, &[])
        .arg(env!("CARGO_BIN_EXE_updates"))
        .args(["runner", "escape", "--", "all"])
        .args(outside.arguments())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}\n{stdout}\n{stderr}"))
}

/// A command, without the program to run, that puts `root` in the place of this machine's directories for that program
/// alone. `namespaces` are further options of unshare(1).
pub fn in_place_of_the_machine(root: &Root, namespaces: &[&str]) -> Command {
    // /etc keeps what this machine has, under what the test wrote; the overlay's work directory lies beside the root.
    let mut script = format!(
        "mkdir -p {work}; mount -t overlay -o lowerdir=/etc,upperdir={root}/etc,workdir={work} overlay /etc\n",
        work = root.temporary().join("work").display(),
        root = root.path().display(),
    );
    for directory in OURS {
        script.push_str(&format!("mount --bind {}{directory} {directory}\n", root.folder(directory).path().display()));
    }
    if !namespaces.is_empty() {
        script.push_str("mount -t proc proc /proc\n");
    }
    script.push_str("exec \"$@\"\n");
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private"])
        .args(namespaces)
        .args(["sh", "-euc", &script, "sh"])
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("TMPDIR", root.temporary())
        .env("SECRET_OF_THE_SERVICE", "must-not-reach-modules")
        .current_dir("/")
        .stdin(Stdio::null());
    command
}
