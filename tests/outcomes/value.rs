//! What `main(args)` can return.

use insta::assert_json_snapshot;

use super::scene::{python, run};

#[test]
fn a_dict_with_success_is_kept_whole() {
    let scene = run(&python(r#"return {"success": True, "updated": True, "packages": ["a", "b"], "größe": 3.5}"#));
    assert_json_snapshot!(scene.report());
}

#[test]
fn success_without_updated_is_a_success_that_changed_nothing_of_note() {
    assert_json_snapshot!(run(&python(r#"return {"success": True}"#)).report());
}

#[test]
fn success_false_is_a_failure_with_its_error() {
    assert_json_snapshot!(
        run(&python(r#"return {"success": False, "error": "the disk is on fire", "code": 7}"#)).report()
    );
}

#[test]
fn success_false_without_an_error_says_so() {
    assert_json_snapshot!(run(&python(r#"return {"success": False}"#)).report());
}

#[test]
fn false_once_is_restarted_and_then_kept() {
    let scene = run(&python(
        r#"
if os.environ["UPDATES_ATTEMPT"] == "1":
    print("first attempt")
    return False
print("second attempt; the state directory has", open(os.environ["STATE_DIRECTORY"] + "/note").read().count("note"))
return {"success": True}
"#,
    ));
    assert_json_snapshot!(scene.report());
}

#[test]
fn false_always_is_restarted_once_and_rolled_back() {
    assert_json_snapshot!(run(&python("return False")).report());
}

#[test]
fn false_and_then_a_crash_is_rolled_back() {
    let scene = run(&python(
        r#"
if os.environ["UPDATES_ATTEMPT"] == "1":
    return False
os.kill(os.getpid(), signal.SIGSEGV)
"#,
    ));
    assert_json_snapshot!(scene.report());
}

#[test]
fn none_is_a_failure_that_says_what_to_return() {
    assert_json_snapshot!(run(&python("return None")).report());
}

#[test]
fn any_other_value_is_success() {
    for (name, value) in [("number", "0"), ("text", "'done'"), ("list", "[]"), ("dict", "{}"), ("true", "True")] {
        let scene = run(&python(&format!("return {value}")));
        assert_json_snapshot!(format!("other_value_{name}"), scene.report());
    }
}

#[test]
fn nan_becomes_null_with_a_warning() {
    assert_json_snapshot!(run(&python(r#"return {"success": True, "ratio": float("nan"), "huge": 10**40}"#)).report());
}

#[test]
fn what_json_has_no_word_for_becomes_readable() {
    let scene = run(&python(
        r#"
import datetime, pathlib
return {"success": True, "path": pathlib.Path("/srv"), "day": datetime.date(2024, 12, 8), "set": {1}, "bytes": b"\xff",
        "surrogate": "\ud800", 3: "number key"}
"#,
    ));
    assert_json_snapshot!(scene.report());
}

#[test]
fn an_object_that_can_not_be_sent_is_a_failure() {
    assert_json_snapshot!(run(&python("value = {}\nvalue['self'] = value\nreturn value")).report());
}

#[test]
fn a_deeply_nested_value_is_a_failure() {
    assert_json_snapshot!(
        run(&python("value = []\nfor _ in range(100000):\n    value = [value]\nreturn value")).report()
    );
}

#[test]
fn a_value_over_a_mebibyte_is_a_failure() {
    assert_json_snapshot!(run(&python(r#"return {"success": True, "text": "x" * (1 << 20)}"#)).report());
}

#[test]
fn a_value_just_under_a_mebibyte_is_kept_whole() {
    let scene = run(&python(r#"return {"success": True, "text": "x" * ((1 << 20) - 100)}"#));
    scene.report_without_log();
    let text = scene.record["modules"][0]["result"]["text"].as_str().unwrap();
    assert_eq!(text.len(), (1 << 20) - 100);
}

#[test]
fn a_value_whose_class_raises_when_looked_at_is_a_failure() {
    let scene = run(&python(
        r#"
class Trap:
    def __str__(self):
        raise RuntimeError("not that way")
    __repr__ = __iter__ = __len__ = __str__
return {"success": True, "trap": Trap()}
"#,
    ));
    assert_json_snapshot!(scene.report());
}
