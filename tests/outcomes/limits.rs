//! A module that takes too much of something harms itself alone, and its end says of what.

use insta::assert_json_snapshot;
use serde_json::json;

use super::scene::{cgroups_bound, python, run};

#[test]
fn a_module_that_fills_the_memory_is_killed_and_told_which_limit_it_was() {
    if !cgroups_bound() {
        return;
    }
    let scene = run(&python(
        r#"
blocks = []
while True:
    blocks.append(bytearray(1 << 20))
"#,
    )
    .sandbox("memory_max", json!("64M")));
    assert_json_snapshot!(scene.report());
}

#[test]
fn a_module_that_fails_for_want_of_tasks_is_told_so() {
    if !cgroups_bound() {
        return;
    }
    let scene = run(&python(
        r#"
while True:
    if os.fork() == 0:
        while True:
            signal.pause()
"#,
    )
    .sandbox("tasks_max", json!(24)));
    assert_json_snapshot!(scene.report());
}

#[test]
fn a_module_that_writes_too_large_a_file_is_told_so() {
    let scene = run(&python(
        r#"
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
with open(os.environ["STATE_DIRECTORY"] + "/large", "wb") as large:
    large.truncate(2 << 20)
return True
"#,
    )
    .sandbox("limit_fsize", json!("1M")));
    assert_json_snapshot!(scene.report());
}

#[test]
fn a_module_that_fills_its_temporary_folder_fails_by_itself() {
    let scene = run(&python(
        r#"
with open("/tmp/large", "wb") as large:
    while True:
        large.write(b"x" * (1 << 20))
"#,
    ));
    assert_json_snapshot!(scene.report());
}
