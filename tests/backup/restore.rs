//! Putting back: exactly, only what differs, and only what was agreed to.

use super::{change, root};

#[test]
fn everything_is_as_it_was_and_a_second_time_there_is_nothing_to_do() {
    let root = root();
    let before = root.tree("/srv");
    root.updates(&["backup", "create", "web"]).expect(0);
    change(&root);
    root.updates(&["backup", "restore", "web", "--yes"]).expect(0);
    before.assert_same(&root.tree("/srv"), "not as it was saved");
    let again = root.updates(&["backup", "restore", "web"]);
    again.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
}

#[test]
fn without_a_terminal_and_without_yes_nothing_is_touched() {
    let root = root();
    root.updates(&["backup", "create", "web"]).expect(0);
    change(&root);
    let before = root.tree("/");
    root.updates(&["backup", "restore", "web"]).expect(2);
    root.updates(&["-q", "backup", "restore", "web"]).expect(2);
    let differs: Vec<_> = before.difference(&root.tree("/")).into_iter().filter(|line| line.contains("srv/")).collect();
    assert_eq!(differs, Vec::<String>::new());
}

#[test]
fn another_slot_is_named_as_the_list_prints_it() {
    let root = root();
    root.updates(&["run", "--no-sync"]).expect(0);
    root.updates(&["backup", "create", "web"]).expect(0);
    assert!(root.exists("/srv/web/visits"));
    root.updates(&["backup", "restore", "web", "checkpoints/web", "--yes"]).expect(0);
    assert!(!root.exists("/srv/web/visits"));
    root.updates(&["backup", "restore", "web", "updates/web", "--yes"]).expect(0);
    assert!(root.exists("/srv/web/visits"));
}

#[test]
fn a_module_that_is_not_installed_any_more_can_be_put_back() {
    let root = root();
    root.updates(&["backup", "create", "web"]).expect(0);
    std::fs::remove_dir_all(root.modules().join("web")).unwrap();
    change(&root);
    root.updates(&["backup", "restore", "web", "--yes"]).expect(0);
    assert_eq!(root.read("/srv/web/page"), "hello\n");
}

#[test]
fn a_restore_is_remembered() {
    let root = root();
    root.updates(&["backup", "create", "web"]).expect(0);
    change(&root);
    let done = root.updates(&["--json", "backup", "restore", "web", "--yes"]).json();
    let id = done["run"]["run_id"].as_str().unwrap();
    assert_eq!(root.updates(&["--json", "show", id]).json(), done["run"]);
    let history = root.updates(&["--json", "history", "web"]).json();
    assert_eq!(history[0]["record"]["status"], "restored");
    assert_eq!(history[0]["kind"], "restore");
}
