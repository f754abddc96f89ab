//! `updates backup …` and `updates rollback` as an administrator uses them: what they print, what they change, what they
//! refuse, and that a killed one is finished.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../requests/machine.rs"]
#[allow(dead_code)]
mod machine;

mod again;
mod create;
mod killed;
mod look;
mod names;
mod refused;
mod remove;
mod restore;
mod rollback;
mod services;
mod stores;
mod terminal;
mod unprivileged;
mod verify;

use support::{Module, Ran, Root, normal_text};

/// A module that declares `/srv/web/`, and adds a line to a file there each time it runs.
fn web() -> Module {
    let code = "def main(args=None):\n    open('/srv/web/visits', 'a').write('one\\n')\n    \
                return {'success': True, 'updated': True}\n";
    Module::python("web", "1.0.0", code).declares(&["/srv/web/"])
}

/// A root with that module and two files of its own.
fn root() -> Root {
    let root = Root::new();
    root.write_as("/srv/web/page", "hello\n", 0o640, 7, 1_700_000_000)
        .write("/srv/web/other", "other\n")
        .install(&web());
    root
}

/// Changes one file, removes another and adds a third.
fn change(root: &Root) {
    root.write("/srv/web/page", "changed\n").write("/srv/web/added", "");
    std::fs::remove_file(root.at("/srv/web/other")).unwrap();
}

/// What a person saw, as it reads on every machine and day.
fn seen(root: &Root, commands: &[&[&str]]) -> String {
    let all: Vec<String> = commands.iter().map(|arguments| told(root, arguments, &root.updates(arguments))).collect();
    all.join("\n")
}

fn told(root: &Root, arguments: &[&str], ran: &Ran) -> String {
    let text = format!("$ updates {} (exit {})\n{}{}", arguments.join(" "), ran.code, ran.stdout, ran.stderr);
    normal_text(&text, root.path())
}

/// Filters for what differs from time to time.
fn filters() -> Vec<(&'static str, &'static str)> {
    vec![
        (r"\d{8}T\d{6}Z-[0-9a-f]{4}", "[run]"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[time]"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d, \d+ (s|min) ago", "[time], [age] ago"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "[time]"),
        (r"\d+(\.\d+)? (ms|s)\b", "[took]"),
        (r"process \d+", "process [pid]"),
        (r"\[took\] +", "[took] "),
    ]
}

/// Holds what a person saw against what they should see.
#[macro_export]
macro_rules! assert_seen {
    ($text:expr) => {
        insta::with_settings!({filters => $crate::filters()}, { insta::assert_snapshot!($text) })
    };
}
