//! `updates release`: an author's working copy, looked at, tried and tagged.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::support::{Module, Source};

/// `updates release` as an author runs it, with an identity of git's own.
fn release(source: &Source, from: &str, arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join(".gitconfig"), "[user]\nname = Author\nemail = author@example.org\n").unwrap();
    Command::new(env!("CARGO_BIN_EXE_updates"))
        .arg("release")
        .args(arguments)
        .current_dir(Path::new(source.path()).join(from))
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", home.path())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn refused(source: &Source, module: &str, why: &str) {
    let before = source.git(&["tag", "--list"]);
    let output = release(source, ".", &[module]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(why), "{:?}: {said}", output.status);
    assert_eq!(source.git(&["tag", "--list"]), before);
}

#[track_caller]
fn released(source: &Source, from: &str, module: &str) -> String {
    let output = release(source, from, &["--json", module]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let tag = result["tag"].as_str().unwrap().to_owned();
    assert_eq!(source.git(&["cat-file", "-t", &tag]), "tag");
    assert_eq!(source.git(&["rev-parse", &format!("{tag}^{{commit}}")]), source.git(&["rev-parse", "HEAD"]));
    assert!(result["push"].as_str().unwrap().starts_with("git push origin refs/tags/app-v"), "{result}");
    tag
}

#[test]
fn a_version_is_tagged_at_head_once_from_wherever_one_stands() {
    let source = Source::of(&[&Module::idle("app", "1.0.0-rc.1")]);
    assert!(released(&source, ".", "app").starts_with("app-v1.0.0-rc.1-20"));
    refused(&source, "app", "exists already");
    source.publish(&[&Module::idle("app", "1.0.0")]);
    assert!(released(&source, "modules/app", ".").starts_with("app-v1.0.0-20"));
    source.git(&["tag", "app-v2.0.0-20240101"]); // of no such content
    source.publish(&[&Module::idle("app", "1.1.0")]);
    assert!(released(&source, "modules", "./app").starts_with("app-v1.1.0-20"));
}

#[test]
fn what_an_installation_would_refuse_is_not_released() {
    let source = Source::of(&[&Module::idle("app", "1.0.0")]);
    refused(&source, "nobody", "there is no folder");
    refused(&source, "modules", "is no");
    source.write("modules/app/new.py", "");
    refused(&source, "app", "modules/app/new.py");
    source.write("modules/app/new.py", "def main(:\n").commit();
    refused(&source, "app", "new.py");
    source.write("modules/app/new.py", "").link("modules/app/out", "/etc/passwd").commit();
    refused(&source, "app", "leads out of the module");
    std::fs::remove_file(source.modules().join("app/out")).unwrap();
    source.put(&Module::idle("app", "1.0.0").sandbox("profile", "no-such-profile".into())).commit();
    refused(&source, "app", "no-such-profile");
    source.put(&Module::new("app", "1.0.0")).commit();
    refused(&source, "app", "holds neither index.py nor index");
    source.put(&Module::executable("app", "1.0.0", "#!/bin/sh\n").file("index", "#!/bin/sh\n")).commit();
    refused(&source, "app", "index is not executable");
    source.put(&Module::idle("app", "1.0")).commit();
    released(&source, ".", "app");
    source.put(&Module::idle("app", "0.9")).commit();
    refused(&source, "app", "0.9 is not newer than the tag app-v1.0-");
}

#[test]
fn its_own_tests_and_a_check_have_to_succeed() {
    let test = |body: &str| {
        let code = format!(
            "import unittest\nimport index\n\n\nclass T(unittest.TestCase):\n    def test(self):\n        {body}\n"
        );
        Module::idle("app", "1.0.0").file("tests/test_app.py", code)
    };
    let source = Source::of(&[&test("self.assertEqual(index.main(), 'what it is not')")]);
    refused(&source, "app", "what it is not");
    source.publish(&[&test("self.assertTrue(index.main()['success'])")]);
    let output = release(&source, ".", &["app"]);
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(words.contains("tried: its unit tests; a check below an empty root"), "{words}");

    let program =
        |body: &str| Module::idle("app", "1.1.0").file_with_mode("tests/run", format!("#!/bin/sh\n{body}\n"), 0o755);
    source.publish(&[&program("echo no luck; exit 1")]);
    refused(&source, "app", "no luck");
    source.publish(&[&program("test -f index.py")]);
    released(&source, ".", "app");

    source.publish(&[&Module::python("app", "1.2.0", "def main(args):\n    raise OSError('not even in a check')\n")]);
    refused(&source, "app", "not even in a check");
    refused(&source, "app", "a user without root releases without it");
}
