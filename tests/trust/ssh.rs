//! Commits signed with SSH keys, and the files that say whose count.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::keys::{Keys, commit, settings, with_ssh};
use super::refusal;
use super::support::{Module, Root, Source};

#[test]
fn a_commit_signed_by_an_allowed_key_is_installed_and_says_by_whom() {
    let (root, source, keys) = (Root::new(), Source::new(), Keys::new());
    let key = keys.ssh("ann");
    source.put(&Module::idle("app", "1.0.0"));
    commit(&source, &with_ssh(&key));
    settings(&root, &source, "commit", &format!("ann@example.org namespaces=\"git\" {}\n", keys.public("ann")));
    let (ran, record) = root.run(&[]);
    ran.expect(0);
    assert_eq!(root.installed_version("app"), "1.0.0");
    let signer = record["sync"]["signer"].as_str().unwrap();
    assert!(signer.starts_with("ann@example.org (SHA256:"), "{signer}");
    assert!(root.updates(&["status"]).stdout.contains("signed by ann@example.org"));
    root.updates(&["config", "check"]).expect(0);
}

// faults: 66
#[test]
fn what_nobody_allowed_has_signed_is_not_installed_and_the_installed_modules_run() {
    let keys = Keys::new();
    let (ann, eve) = (keys.ssh("ann"), keys.ssh("eve"));
    let line = |options: &str| format!("ann@example.org {options} {}\n", keys.public("ann"));
    for (name, signed_by, signers, words) in [
        ("nobody", None, line(""), "is not signed"),
        ("an unknown key", Some(&eve), line(""), "is not in source.allowed_signers"),
        ("an expired key", Some(&ann), line("valid-before=\"20240101\""), "has expired"),
        ("a key of the future", Some(&ann), line("valid-after=\"20990101\""), "not valid yet"),
        ("a key for files", Some(&ann), line("namespaces=\"file\""), "namespaces"),
    ] {
        let (root, source) = (Root::new(), Source::new());
        root.install(&Module::idle("app", "1.0.0"));
        source.put(&Module::idle("app", "2.0.0"));
        let head = match signed_by {
            Some(key) => commit(&source, &with_ssh(key)),
            None => source.commit(),
        };
        settings(&root, &source, "commit", &signers);
        let (ran, record) = root.run(&[]);
        ran.expect(0);
        let refusal = refusal(&record);
        assert!(refusal.contains(words) && refusal.contains(&head[..12]), "{name}: {refusal}");
        assert_eq!(record["sync"]["refused"], head.as_str(), "{name}");
        assert_eq!(record["modules"][0]["status"], "succeeded", "{name}");
        assert_eq!(root.installed_version("app"), "1.0.0", "{name}");
        let checked = root.updates(&["--json", "check"]).json();
        assert_eq!(checked["sync"]["error"], refusal, "{name}: check judges otherwise");
        let said = root.updates(&["status"]).stdout;
        assert!(said.contains("nothing of the source was installed") && said.contains(words), "{name}: {said}");
    }
}

#[test]
fn a_signature_of_another_commit_does_not_count() {
    let (root, source, keys) = (Root::new(), Source::new(), Keys::new());
    let key = keys.ssh("ann");
    source.put(&Module::idle("app", "1.0.0"));
    commit(&source, &with_ssh(&key));
    let good = source.git(&["cat-file", "commit", "HEAD"]);
    // The same words and signature, and other files below.
    let tree = source.git(&["rev-parse", "HEAD^{tree}"]);
    source.put(&Module::idle("app", "6.6.6")).git(&["add", "--all"]);
    let other = source.git(&["write-tree"]);
    source.write("../forged-commit", good.replace(&tree, &other) + "\n");
    let forged_file = std::path::Path::new(source.path()).join("../forged-commit");
    let forged = source.git(&["hash-object", "-t", "commit", "-w", forged_file.to_str().unwrap()]);
    fs::remove_file(forged_file).unwrap();
    source.git(&["update-ref", "refs/heads/main", &forged]);
    settings(&root, &source, "commit", &format!("ann@example.org {}\n", keys.public("ann")));
    let (_, record) = root.run(&[]);
    assert!(refusal(&record).contains("does not fit its content"), "{record:#}");
    assert!(!root.exists("/usr/local/lib/updates/modules/app"));
}

#[test]
fn a_rule_that_nobody_could_fulfil_installs_nothing_and_config_check_says_so() {
    let keys = Keys::new();
    keys.ssh("ann");
    let source = Source::of(&[&Module::idle("app", "1.0.0")]);
    let good = format!("ann@example.org {}\n", keys.public("ann"));
    type Spoil = fn(&Root);
    let spoils: [(&str, Spoil, &str); 5] = [
        ("missing", |root| fs::remove_file(root.at("/etc/updates/signers")).unwrap(), "No such file"),
        ("empty", |root| fs::write(root.at("/etc/updates/signers"), "# nobody\n\n").unwrap(), "names nobody"),
        (
            "writable by everybody",
            |root| fs::set_permissions(root.at("/etc/updates/signers"), fs::Permissions::from_mode(0o666)).unwrap(),
            "can be written by others",
        ),
        (
            "somebody else's",
            |root| std::os::unix::fs::chown(root.at("/etc/updates/signers"), Some(12345), None).unwrap(),
            "belongs to user 12345",
        ),
        (
            "a folder",
            |root| {
                fs::remove_file(root.at("/etc/updates/signers")).unwrap();
                fs::create_dir(root.at("/etc/updates/signers")).unwrap();
            },
            "is not a regular file",
        ),
    ];
    for (name, spoil, words) in spoils {
        let root = Root::new();
        settings(&root, &source, "commit", &good);
        spoil(&root);
        let (_, record) = root.run(&[]);
        assert!(refusal(&record).contains(words), "{name}: {}", refusal(&record));
        assert!(!root.exists("/usr/local/lib/updates/modules/app"), "{name}");
        let checked = root.updates(&["config", "check"]);
        checked.expect(2);
        assert!(checked.stdout.contains(words), "{name}: {}", checked.stdout);
    }
    let root = Root::new();
    root.write("/etc/updates/config.toml", format!("[source]\nurl = {:?}\nverify = \"tag\"\n", source.path()));
    assert!(refusal(&root.run(&[]).1).contains("set source.allowed_signers"));
    root.updates(&["config", "check"]).expect(2);
}

#[test]
fn without_the_verifying_program_nothing_is_installed_and_its_package_is_named() {
    let (root, source, keys) = (Root::new(), Source::new(), Keys::new());
    let key = keys.ssh("ann");
    source.put(&Module::idle("app", "1.0.0"));
    commit(&source, &with_ssh(&key));
    settings(&root, &source, "commit", &format!("ann@example.org {}\n", keys.public("ann")));
    root.folder("/empty");
    let without = |command: &[&str]| {
        let mut updates = std::process::Command::new(env!("CARGO_BIN_EXE_updates"));
        updates.arg("--root").arg(root.path()).args(command).env_clear().env("PATH", root.at("/empty"));
        String::from_utf8(updates.env("TMPDIR", root.temporary()).output().unwrap().stdout).unwrap()
    };
    let record: serde_json::Value = serde_json::from_str(&without(&["--json", "run"])).unwrap();
    assert!(refusal(&record).contains("openssh-client"), "{}", refusal(&record));
    assert!(!root.exists("/usr/local/lib/updates/modules/app"));
    assert!(without(&["config", "check"]).contains("openssh-client"));
}

// libgit2 finds a signature in the message as well, and leaves out the word before a wrong one.
#[test]
fn a_signature_counts_in_its_one_place_only() {
    let (source, keys) = (Source::new(), Keys::new());
    let key = keys.ssh("ann");
    source.put(&Module::idle("app", "1.0.0"));
    commit(&source, &with_ssh(&key));
    let good = source.git(&["cat-file", "commit", "HEAD"]) + "\n";
    let start = good.find("gpgsig ").unwrap();
    let end = start + good[start..].find("\n\n").unwrap() + 1;
    let (header, message) = (&good[start..end], &good[end + 1..]);
    for (at, forged) in [
        ("in the message", format!("{}\n{header}{message}", &good[..start])),
        ("after the message", format!("{}\n{message}{header}", &good[..start])),
        ("twice", format!("{}{header}{}", &good[..start], &good[start..])),
        ("with another kind", format!("{}gpgsig-sha256 x\n{}", &good[..start], &good[start..])),
        ("with half a word", format!("{}\ngpgsig{message}", &good[..end])),
    ] {
        let root = Root::new();
        let file = root.temporary().join("commit");
        fs::write(&file, forged).unwrap();
        let forged = source.git(&["hash-object", "--literally", "-t", "commit", "-w", file.to_str().unwrap()]);
        source.git(&["update-ref", "refs/heads/main", &forged]);
        settings(&root, &source, "commit", &format!("ann@example.org {}\n", keys.public("ann")));
        let (_, record) = root.run(&[]);
        assert!(record["sync"]["error"].is_string(), "{at}: {record:#}");
        assert!(!root.exists("/usr/local/lib/updates/modules/app"), "{at}");
    }
}
