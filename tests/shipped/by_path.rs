//! `updates runner PATH`: each shipped module from its folder, as it is shipped, on a machine that has never run any.

use std::fmt::Write;

use super::files::{Files, Without};
use super::scene::shipped;
use super::support::{Root, normal_text};

#[test]
fn each_module_as_shipped_has_nothing_to_do_and_leaves_nothing_behind() {
    let mut all = String::new();
    // Not `os`: as shipped it looks at this machine's own packages.
    for module in ["adblock", "hotfix", "migrations", "permissions", "venvs"] {
        let root = Root::new();
        root.folder("/usr/local/lib").folder("/etc/updates").folder("/etc/unbound/unbound.conf.d");
        let files =
            || Files::of(root.path(), &["run", "usr/local/lib/updates", "var/lib/updates"], &Without::default());
        let before = files();
        let path = shipped(module);
        let ran = root.updates(&["runner", path.to_str().unwrap()]);
        assert_eq!(before.changes(&files()), [""; 0], "{module}");
        let log: String = ran
            .stderr
            .lines()
            .filter_map(|line| line.split_once("] "))
            .fold(String::new(), |log, line| log + "  " + line.1 + "\n");
        let result = ran.stdout.trim_end();
        writeln!(all, "{module}: exit {}\n{result}\n{}", ran.code, normal_text(&log, root.path())).unwrap();
    }
    insta::assert_snapshot!("as_shipped", all);
}
