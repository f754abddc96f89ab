//! Profiles as modules feel them and as people read them: what each shipped profile refuses, what common programs need
//! of it, whom modules run as, and what `updates sandbox` says.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::{Module, Root};
use updates::profile::{Exposure, Profiles, assess, exposure, unit};
use updates_protocol::Manifest;

const PROFILES: [&str; 5] = ["strict", "default", "network", "package-manager", "legacy"];

fn shipped() -> Profiles {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox-profiles");
    Profiles::load(Path::new("/nonexistent"), &folder)
}

/// Runs `body` as `main` of a module under `profile`, and gives what it returned.
#[track_caller]
fn runs(root: &Root, profile: &str, body: &str) -> Value {
    let body = body.trim_matches('\n').replace('\n', "\n    ");
    let code = format!("import ctypes, os, subprocess\n\ndef main(args=None):\n    {body}\n");
    Module::python("app", "1", &code)
        .sandbox("profile", json!(profile))
        .write_into(&root.at("/usr/local/lib/updates/modules"));
    let ran = root.updates(&["runner", "app"]);
    ran.expect(0);
    ran.json()
}

#[cfg(target_arch = "x86_64")]
#[test]
fn what_no_profile_leaves_open_answers_with_its_error() {
    const PERMISSION: i64 = 1;
    const NOT_THERE: i64 = 38;
    const NO_FAMILY: i64 = 97;
    // The number of each call, its arguments, and the error.
    let attempts: [(&str, &[i64], i64); 27] = [
        ("io_uring_setup", &[425, 8, 0], PERMISSION),
        ("userfaultfd", &[323, 0], PERMISSION),
        ("bpf", &[321, 0, 0, 0], PERMISSION),
        ("perf_event_open", &[298, 0, 0, -1, -1, 0], PERMISSION),
        ("keyctl", &[250, 0, 0, 0], PERMISSION),
        ("add_key", &[248, 0, 0, 0, 0, 0], PERMISSION),
        ("kexec_load", &[246, 0, 0, 0, 0], PERMISSION),
        ("init_module", &[175, 0, 0, 0], PERMISSION),
        ("settimeofday", &[164, 0, 0], PERMISSION),
        ("sethostname", &[170, 0, 0], PERMISSION),
        ("personality", &[135, 0x0004_0000], PERMISSION),
        ("modify_ldt", &[154, 0, 0, 0], PERMISSION),
        ("ptrace", &[101, 0, 0, 0, 0], PERMISSION),
        ("process_vm_writev", &[311, 1, 0, 0, 0, 0, 0], PERMISSION),
        ("unshare a user namespace", &[272, 0x1000_0000], PERMISSION),
        ("clone a user namespace", &[56, 0x1000_0011, 0, 0, 0, 0], PERMISSION),
        ("clone3", &[435, 0, 0], NOT_THERE),
        ("setns", &[308, 0, 0], PERMISSION),
        ("mount", &[165, 0, 0, 0, 0, 0], PERMISSION),
        ("open_tree", &[428, -100, 0, 0], PERMISSION),
        ("fsopen", &[430, 0, 0], PERMISSION),
        ("open_by_handle_at", &[304, -100, 0, 0], PERMISSION),
        ("TIOCSTI with high bits", &[16, 0, 0x1_0000_5412, 0], PERMISSION),
        ("a socket of AF_ALG", &[41, 38, 5, 0], NO_FAMILY),
        ("a real-time policy", &[144, 0, 1, 0], PERMISSION),
        ("getpid of x32", &[0x4000_0027], PERMISSION),
        ("a call that nobody knows", &[9999], NOT_THERE),
    ];
    let list: Vec<_> = attempts.iter().map(|(name, arguments, _)| json!([name, arguments])).collect();
    let body = format!(
        r#"
libc = ctypes.CDLL(None, use_errno=True)
seen = {{}}
for name, arguments in {}:
    ctypes.set_errno(0)
    answer = libc.syscall(*[ctypes.c_long(argument) for argument in arguments])
    seen[name] = ctypes.get_errno() if answer == -1 else "OPEN"
return {{"success": True, "seen": seen}}
"#,
        json!(list)
    );
    for profile in PROFILES {
        let result = runs(&Root::new(), profile, &body);
        for (name, _, error) in attempts {
            assert_eq!(result["seen"][name], json!(error), "{name} under {profile}");
        }
    }
}

#[test]
fn ordinary_programs_run_under_every_profile() {
    let body = r#"
import multiprocessing, sqlite3, ssl, threading
state = os.environ["STATE_DIRECTORY"]
database = sqlite3.connect(state + "/a.db")
database.execute("pragma journal_mode=wal")
database.execute("create table t (a)")
database.commit()
threads = [threading.Thread(target=lambda: None) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
ssl.create_default_context()
os.makedirs(state + "/one")
os.rename(state + "/a.db", state + "/one/b.db")
lines = {
    "pipes": "printf '2\n1\n' | sort | head -n 1 && diff <(echo a) <(echo a)",
    "tar": "tar cf t.tar one && mkdir two && tar xf t.tar -C two && cp -a two three && rm -r three && gzip t.tar",
    "git": "git init -q g && cd g && echo hi > f && git add f && git -c user.email=a@b -c user.name=a commit -qm m",
    "descriptors": "echo x > /proc/self/fd/1; echo x > /dev/null; echo y > /dev/stderr",
    "clock": "date && sleep 0.01 && nice -n 5 true && timeout 5 true",
}
seen = {"pool": multiprocessing.Pool(2).map(abs, [-1]) == [1]}
for name, line in lines.items():
    ran = subprocess.run(["bash", "-c", line], cwd=state, env={**os.environ, "HOME": state}, capture_output=True, text=True)
    seen[name] = ran.returncode == 0 or ran.stderr
return {"success": True, "seen": seen}
"#;
    for profile in PROFILES {
        let result = runs(&Root::new(), profile, body);
        for (name, seen) in result["seen"].as_object().unwrap() {
            // Lowering one's priority is a call of @resources, which strict has not.
            if (profile, name.as_str()) != ("strict", "clock") {
                assert_eq!(*seen, json!(true), "{name} under {profile}");
            }
        }
    }
}

#[test]
fn a_module_keeps_its_state_when_its_user_changes() {
    let root = Root::new();
    root.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nmedia:x:1500:1500::/:/bin/false\n");
    root.write("/etc/group", "media:x:1500:\nshared:x:1600:media\n");
    let body = r#"
note = os.environ["STATE_DIRECTORY"] + "/note"
with open(note, "a") as file:
    file.write("again\n")
return {"success": True, "ids": [os.getuid(), os.getgid()], "groups": os.getgroups(), "lines": len(open(note).readlines())}
"#;
    let owner = || root.at("/var/lib/updates/state/app/note").metadata().unwrap().uid();
    let strict = runs(&root, "strict", body);
    let dynamic = strict["ids"][0].as_u64().unwrap();
    assert!((65_536..=99_999).contains(&dynamic), "{strict}");
    assert_eq!(u64::from(owner()), dynamic);
    assert_eq!(runs(&root, "default", body)["lines"], 2);
    assert_eq!(owner(), 0);
    root.write("/etc/updates/modules.d/app.json", r#"{"sandbox": {"user": "media"}}"#);
    let media = runs(&root, "default", body);
    assert_eq!(media["ids"], json!([1500, 1500]));
    assert_eq!(media["groups"], json!([1600]));
    assert_eq!(media["lines"], 3);
    assert_eq!(owner(), 1500);
}

#[test]
fn a_user_that_is_not_there_stops_the_module_with_the_way_out() {
    let root = Root::new();
    root.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    Module::idle("app", "1").sandbox("user", json!("ghost")).write_into(&root.at("/usr/local/lib/updates/modules"));
    let ran = root.updates(&["runner", "app"]);
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("\"ghost\" is not in") && ran.stderr.contains("make the user first"), "{}", ran.stderr);
}

#[test]
fn the_exposure_is_the_one_that_systemd_finds_in_the_same_settings() {
    let profiles = shipped();
    let folder = tempfile::tempdir().unwrap();
    for name in PROFILES {
        let profile = profiles.get(&name.parse().unwrap()).unwrap();
        let ours = exposure(&assess(&profile));
        let file = folder.path().join(format!("{name}.service"));
        std::fs::write(&file, unit(&profile)).unwrap();
        let Ok(output) = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager"])
            .arg(&file)
            .env("LC_ALL", "C.UTF-8")
            .output()
        else {
            eprintln!("skipped: systemd-analyze is not installed");
            return;
        };
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        let theirs = answer
            .lines()
            .rev()
            .find(|line| line.contains("exposure level"))
            .and_then(|line| line.split_whitespace().find_map(Exposure::from_text))
            .unwrap_or_else(|| panic!("{name}: {answer}{}", String::from_utf8_lossy(&output.stderr)));
        // Versions of systemd differ in what they weigh: three tenths are the tolerance.
        assert!(ours.tenths().abs_diff(theirs.tenths()) <= 3, "{name}: ours {ours}, systemd's {theirs}");
    }
}

#[test]
fn a_stricter_profile_never_scores_worse() {
    let profiles = shipped();
    let of = |name: &str| exposure(&assess(&profiles.get(&name.parse().unwrap()).unwrap()));
    assert!(of("strict") < of("default") && of("default") < of("network") && of("network") < of("legacy"));
}

#[test]
fn no_shipped_module_needs_a_grant_to_be_installed() {
    let profiles = shipped();
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("modules");
    for entry in std::fs::read_dir(modules).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let (manifest, _) = Manifest::parse(&std::fs::read(folder.join("index.json")).unwrap(), &name).unwrap();
        let excess = profiles.named(&manifest).unwrap().beyond(&manifest).unwrap();
        let excess: Vec<_> = excess.iter().filter(|excess| !excess.key.ends_with("_paths")).collect();
        assert_eq!(excess, [] as [&updates::profile::Excess; 0], "{name}");
    }
}

#[test]
fn show_says_what_holds_and_who_said_so() {
    let root = Root::new();
    Module::idle("unbound", "1")
        .declares(&["/etc/unbound/"])
        .sandbox("read_write_paths", json!(["/usr/share/unbound"]))
        .sandbox("private_network", json!(false))
        .sandbox("connect_tcp_ports", json!([53, 853]))
        .sandbox("environment", json!({"UNBOUND_KEY": "told to nobody"}))
        .configuration("service_name", json!("unbound"))
        .write_into(&root.at("/usr/local/lib/updates/modules"));
    root.write("/etc/updates/modules.d/unbound.json", r#"{"sandbox": {"memory_max": "3G"}}"#);
    let ran = root.updates(&["sandbox", "show", "unbound"]);
    ran.expect(0);
    let text = ran.stdout.replace(root.path().to_str().unwrap(), "");
    // The count differs with the architecture.
    let text: Vec<_> = text.lines().map(|line| line.trim_end().split(" system calls").last().unwrap()).collect();
    insta::assert_snapshot!(text.join("\n"));
    let json = root.updates(&["sandbox", "show", "unbound", "--json"]).json();
    assert_eq!(json["profile"], "default");
    assert_eq!(json["ungranted"], json!(["sandbox.private_network false"]));
    let whole = root.updates(&["sandbox", "show", "unbound", "-v"]).stdout;
    assert!(whole.contains(" /etc/letsencrypt/live ") && !whole.contains('…'), "{whole}");
}

#[test]
fn the_report_of_a_run_accounts_for_every_restriction_of_the_profile() {
    let root = Root::new();
    Module::idle("app", "1").sandbox("profile", json!("strict")).write_into(&root.at("/usr/local/lib/updates/modules"));
    root.updates(&["run", "--no-sync"]).expect(0);
    let record = root.updates(&["show", "last", "--json"]).json();
    let account = record["modules"][0]["attempts"][0]["enforcement"]["restrictions"].as_array().unwrap().clone();
    let of = |name: &str| account.iter().find(|each| each["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    for name in [
        "inaccessible_paths",
        "protect_home",
        "protect_proc",
        "private_network",
        "identity",
        "capabilities",
        "system_call_filter",
        "restrict_address_families",
        "restrict_suid_sgid",
        "restrict_realtime",
        "restrict_namespaces",
        "lock_personality",
        "memory_deny_write_execute",
        "landlock",
        "limits",
        "umask",
    ] {
        assert_eq!(of(name)["enforced"], true, "{name}");
        assert_ne!(of(name)["by"], "", "{name}");
    }
    assert!(account.iter().any(|each| each["name"] == "memory_max"));
}

#[test]
fn a_hidden_file_can_be_declared_to_be_read_without_being_written() {
    let root = Root::new();
    root.write("/etc/shadow", "root:*:1::::::\n");
    Module::python("app", "1", "def main(args=None):\n    with open('/etc/shadow') as file:\n        text = file.read()\n    try:\n        open('/etc/shadow', 'a')\n    except OSError as error:\n        return {'success': True, 'read': text, 'write': error.errno}\n")
        .sandbox("read_only_paths", json!(["/etc/shadow"]))
        .write_into(&root.at("/usr/local/lib/updates/modules"));
    let ran = root.updates(&["runner", "app"]);
    ran.expect(0);
    assert_eq!(ran.json()["read"], "root:*:1::::::\n");
    assert_eq!(ran.json()["write"], 30, "{}", ran.stderr);
}

#[test]
fn score_rates_each_module_and_names_the_one_that_is_not_there() {
    let root = Root::new();
    let modules = root.at("/usr/local/lib/updates/modules");
    Module::idle("one", "1").sandbox("profile", json!("strict")).write_into(&modules);
    Module::idle("two", "1").sandbox("profile", json!("nonsense")).write_into(&modules);
    let ran = root.updates(&["sandbox", "score", "--json"]);
    ran.expect(2);
    let json = ran.json();
    assert!(json[0]["exposure"].as_f64().unwrap() < 1.0, "{json}");
    assert!(json[1]["problem"].as_str().unwrap().contains("there is no sandbox profile"), "{json}");
    let missing = root.updates(&["sandbox", "score", "three"]);
    missing.expect(2);
    assert!(missing.stderr.contains("no module three is installed"), "{}", missing.stderr);
}
