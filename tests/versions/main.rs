//! Versions of modules as an administrator, an author and a module see them: listed from tags, checked out, held, released.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod checkout;
mod held;
mod killed;
mod list;
mod lost;
mod own;
mod release;

use serde_json::Value;
use support::{Module, Root, Source};

/// A machine whose configured source has `app` in these versions, each committed and tagged in turn. Nothing is installed.
fn world(versions: &[&str]) -> (Root, Source) {
    let (root, source) = (Root::new(), Source::new());
    for version in versions {
        source.publish(&[&module(version)]);
        tag(&source, &format!("app-v{version}-20240101"));
    }
    follow(&root, &source);
    (root, source)
}

/// Lets the machine follow the source without being told each time.
fn follow(root: &Root, source: &Source) {
    root.write("/etc/updates/config.toml", format!("[source]\nurl = \"{}\"\n", source.path()));
}

/// The module `app`, which says in a file which version has run.
fn module(version: &str) -> Module {
    let code = format!(
        "def main(args=None):\n    open('/srv/app/ran', 'w').write('{version}')\n    return {{'success': True}}\n"
    );
    Module::python("app", version, &code).declares(&["/srv/app/"])
}

/// The same, which fails.
fn failing(version: &str) -> Module {
    let code = "def main(args=None):\n    open('/srv/app/ran', 'w').write('failed')\n    raise OSError('bad')\n";
    Module::python("app", version, code).declares(&["/srv/app/"])
}

fn tag(source: &Source, tag: &str) {
    source.git(&["tag", "--annotate", "--message", tag, tag]);
}

/// The listed versions, each as `version tag marks…`.
fn listed(root: &Root) -> Vec<String> {
    let ran = root.updates(&["--json", "versions", "app"]);
    let listed = ran.json();
    let marks = ["installed", "unconfirmed", "last_safe", "branch"];
    let line = |version: &Value| {
        let marks = marks.into_iter().filter(|mark| version[*mark] == true).collect::<Vec<_>>();
        let held = if version["held"].is_null() { "" } else { " held" };
        let tag = version["tag"].as_str().unwrap_or("-");
        format!("{} {tag} {}{held}", version["version"].as_str().unwrap(), marks.join(" ")).trim_end().to_owned()
    };
    listed["versions"].as_array().unwrap().iter().map(line).collect()
}

fn last_safe(root: &Root) -> Value {
    root.read_json("/usr/local/lib/updates/index.json")["lastSafeVersion"]["app"].clone()
}

/// What phase 1 did with `app`.
fn change(record: &Value) -> &str {
    let updates = record["updates"].as_array().unwrap();
    updates.iter().find(|update| update["module"] == "app").map_or("none", |update| update["change"].as_str().unwrap())
}
