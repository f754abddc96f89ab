//! The program as a user who is not root: the same walls by a user namespace, limits by what that user may set, files put
//! back all the same, and a plain word where user namespaces are forbidden.
//!
//! It is started from a copy laid out as `make install` does, since the checkout may be in a folder of root alone.
#![allow(clippy::unwrap_used)]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use support::{Module, Root, until};

/// Nobody and nogroup, on every system.
const USER: u32 = 65534;

/// A root that belongs to the user, and the program installed beside.
struct Home {
    root: Root,
    installed: tempfile::TempDir,
}

impl Home {
    fn new(modules: &[Module]) -> Self {
        let installed = tempfile::Builder::new().prefix("updates-test-").tempdir().unwrap();
        fs::set_permissions(installed.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let built = Path::new(env!("CARGO_BIN_EXE_updates")).parent().unwrap();
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
        let library = installed.path().join("lib/updates");
        fs::create_dir_all(installed.path().join("bin")).unwrap();
        fs::create_dir_all(&library).unwrap();
        fs::copy(built.join("updates"), installed.path().join("bin/updates")).unwrap();
        fs::copy(built.join("updates-runner"), library.join("updates-runner")).unwrap();
        for part in [checkout.join("sandbox-profiles"), checkout.join("runner/python")] {
            assert!(Command::new("cp").arg("-R").arg(part).arg(&library).status().unwrap().success());
        }
        let root = Root::new();
        root.write("/srv/app/app.conf", "before\n").write("/srv/other.conf", "not declared\n");
        fs::set_permissions(root.at("/srv/app/app.conf"), fs::Permissions::from_mode(0o640)).unwrap();
        for module in modules {
            root.install(module);
        }
        give(root.path());
        give(root.temporary());
        Self { root, installed }
    }

    /// The program's words as that user; `wrap` goes before.
    fn command(&self, wrap: &[&str], arguments: &[&str]) -> Command {
        let user = USER.to_string();
        let become_user = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"];
        let words = [wrap, &become_user].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(self.installed.path().join("bin/updates")).arg("--root").arg(self.root.path());
        command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("TMPDIR", self.root.temporary()).current_dir("/").stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        read(&self.command(&[], arguments).output().unwrap())
    }

    /// One run, and the module's part of its record.
    #[track_caller]
    fn run(&self) -> Value {
        self.json(&["--json", "run", "--no-sync"])["modules"][0].clone()
    }
}

#[track_caller]
fn read(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}: {text}", output.status))
}

fn give(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => give(&entry.path()),
            false => chown(entry.path(), Some(USER), Some(USER)).unwrap(),
        }
    }
    chown(folder, Some(USER), Some(USER)).unwrap();
}

/// A module that changes what it declared and returns what `body` finds out.
fn module(body: &str) -> Module {
    let code = format!(
        "import os, signal, socket, time\n\ndef attempt(what):\n    try:\n        what()\n        return 'open'\n    \
         except OSError as error:\n        return 'refused'\n\ndef main(args=None):\n    \
         open('/srv/app/app.conf', 'w').write('after')\n    os.chmod('/srv/app/app.conf', 0o600)\n    \
         open('/srv/app/new', 'w').close()\n    {}\n",
        body.trim().replace('\n', "\n    ")
    );
    Module::python("app", "1.0.0", &code).declares(&["/srv/app/"])
}

#[test]
fn the_walls_stand_and_the_report_says_what_bounds_instead_of_a_cgroup() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let body = r#"
host = lambda: socket.create_connection(("127.0.0.1", PORT), 2)
found = {"success": True}
found["connect"] = attempt(host)
for path in ["/usr/planted", "/etc/planted", "/srv/planted", "/srv/other.conf", "/planted"]:
    found[path] = attempt(lambda: open(path, "a"))
for path in ["/etc/ssl/private/x", "/proc/1/mem", "/run/dbus/system_bus_socket"]:
    found[path] = attempt(lambda: open(path, "rb"))
# These two are the sandbox's own, empty, and what is written there is gone with it.
attempt(lambda: open("/var/lib/updates/planted", "w").close())
def shadow():
    if open("/etc/shadow", "rb").read() == b"":
        raise OSError
found["shadow"] = attempt(shadow)
found["mount"] = attempt(lambda: os.chroot("/srv"))
found["others"] = [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) > 50]
forked = 0
def fork():
    nonlocal forked
    while forked < 100:
        if os.fork() == 0:
            signal.pause()
        forked += 1
found["fork"] = attempt(fork)
found["bounded"] = 8 <= forked <= 16
return found
"#;
    let body = body.replace("PORT", &listener.local_addr().unwrap().port().to_string());
    let code = module(&body).sandbox("tasks_max", json!(16));
    let home = Home::new(&[code]);
    let record = home.run();
    assert_eq!(record["status"], "succeeded", "{record:#}");
    let found = record["attempts"][0]["outcome"]["value"].as_object().unwrap();
    let open: Vec<_> = found.iter().filter(|(_, result)| *result == "open").collect();
    assert_eq!(open, Vec::<(&String, &Value)>::new());
    assert_eq!((&found["others"], &found["bounded"]), (&json!([]), &json!(true)));
    assert_eq!(home.root.read("/srv/app/app.conf"), "after");
    assert!(!home.root.exists("/var/lib/updates/planted"));

    let restrictions = record["attempts"][0]["enforcement"]["restrictions"].as_array().unwrap();
    let find = |name: &str| restrictions.iter().find(|each| each["name"] == name).unwrap();
    assert_eq!(find("user_namespace")["enforced"], true);
    for (name, instead) in [("tasks_max", "RLIMIT_NPROC 17"), ("memory_max", "RLIMIT_DATA")] {
        let by = find(name)["by"].as_str().unwrap();
        assert!(by.starts_with(instead) && by.contains("cannot write /sys/fs/cgroup"), "{by}");
        assert!(by.contains("run as root") || by.contains("start it with a writable cgroup file system"), "{by}");
    }
    assert_eq!((&find("tasks_max")["enforced"], &find("memory_max")["enforced"]), (&json!(true), &json!(false)));
}

#[test]
fn what_a_failed_module_changed_is_put_back() {
    let home = Home::new(&[module("return {'success': False, 'error': 'on purpose'}")]);
    let before = home.root.tree("/srv");
    let output = home.command(&[], &["--json", "run", "--no-sync"]).output().unwrap();
    assert_eq!(output.status.code(), Some(20));
    assert_eq!(read(&output)["modules"][0]["status"], "rolled_back");
    before.assert_same(&home.root.tree("/srv"), "not as before the run");
    assert_eq!(home.json(&["--json", "history"]).as_array().unwrap().len(), 1);
}

#[test]
fn what_a_killed_run_left_is_put_back_by_the_next() {
    let home = Home::new(&[module("time.sleep(1000)")]);
    let before = home.root.tree("/srv/app");
    let mut killed = home.command(&[], &["run", "--no-sync"]).stderr(Stdio::null()).spawn().unwrap();
    until("the module has changed its file", || home.root.exists("/srv/app/new"));
    killed.kill().unwrap();
    killed.wait().unwrap();
    home.root.install(&Module::idle("app", "1.0.0").declares(&["/srv/app/"]));
    give(&home.root.modules());
    assert_eq!(home.run()["status"], "succeeded");
    before.assert_same(&home.root.tree("/srv/app"), "not as before the killed run");
}

#[test]
fn an_installed_program_takes_nothing_from_where_it_was_built() {
    let home = Home::new(&[module("pass")]);
    for part in ["python", "sandbox-profiles"] {
        fs::remove_dir_all(home.installed.path().join("lib/updates").join(part)).unwrap();
        let output = home.command(&[], &["run", "--no-sync"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // The checkout exists here, and anybody might have made it elsewhere.
        assert!(!output.status.success() && said.contains("was not found"), "{said}");
        assert!(!said.contains(env!("CARGO_MANIFEST_DIR")), "{said}");
        assert_eq!(home.root.read("/srv/app/app.conf"), "before\n");
    }
}

#[test]
fn where_user_namespaces_are_forbidden_the_module_does_not_run_and_the_reason_is_said() {
    let home = Home::new(&[module("return {'success': True}")]);
    let before = home.root.tree("/srv");
    // In a user namespace of its own, so that the machine's own setting stays. Only a program that is started after the
    // ids are mapped has privileges in it.
    let forbid = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"";
    let wait = format!("read -r mapped && exec sh -c '{forbid}' sh \"$@\"");
    let mut command = home.command(&["unshare", "--user", "sh", "-c", &wait, "sh"], &["--json", "run", "--no-sync"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    map_every_id(&child);
    child.stdin.take().unwrap().write_all(b"mapped\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let record = read(&output)["modules"][0].clone();
    assert_eq!(record["attempts"][0]["outcome"]["kind"], "not_started", "{record:#}");
    let message = record["message"].as_str().unwrap();
    assert!(message.contains("needs user namespaces, and the kernel forbids them here"), "{message}");
    assert!(message.contains("user.max_user_namespaces") && message.contains("run as root"), "{message}");
    before.assert_same(&home.root.tree("/srv"), "changed by a module that did not run");
}

fn map_every_id(child: &Child) {
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/user")).unwrap();
    until("the user namespace is there", || namespace(&child.id().to_string()) != namespace("self"));
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{map}", child.id()), "0 0 65536\n").unwrap();
    }
}
