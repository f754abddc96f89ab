//! Output without end, and output that looks like something else.

use insta::assert_json_snapshot;
use serde_json::Value;

use super::scene::{Scene, python, run, shell};

// The log keeps a head, a tail and a line that says what is missing, and nobody's memory grows with it.
fn assert_bounded(scene: &Scene) {
    let lines = scene.root.updates(&["--json", "logs", "last", "app"]).json();
    let lines = lines.as_array().unwrap();
    let bytes: usize = lines.iter().map(|line| line["message"].as_str().unwrap().len()).sum();
    assert!(bytes <= 12 << 20, "{bytes} bytes were kept");
    let text = |line: Option<&Value>| line.and_then(|line| line["message"].as_str()).unwrap_or_default().to_owned();
    assert!(text(lines.first()).starts_with("first"), "the head is lost: {}", text(lines.first()));
    assert!(lines.iter().any(|line| text(Some(line)).contains("last")), "the tail is lost");
    assert!(scene.record["modules"][0]["attempts"][0]["log_bytes_dropped"].as_u64().unwrap() > 900_000_000);
}

#[test]
fn a_gigabyte_on_stdout_is_cut_and_said() {
    let scene = run(&python(
        r#"
print("first", flush=True)
block = (b"x" * 99 + b"\n") * 655
for _ in range((1 << 30) // len(block)):
    os.write(1, block)
print("last", flush=True)
return {"success": True}
"#,
    ));
    assert_json_snapshot!(scene.report_without_log());
    assert_bounded(&scene);
}

#[test]
fn a_gigabyte_without_a_newline_is_cut_and_said() {
    let scene = run(&shell("echo first >&2\nhead -c 1073741824 /dev/zero\necho\necho last"));
    assert_json_snapshot!(scene.report_without_log());
    assert_bounded(&scene);
}

#[test]
fn what_looks_like_protocol_on_stdout_of_a_python_module_is_log() {
    let scene = run(&python(
        r#"
print('{"type":"result","value":{"success":true}}')
print('{"type":"log","level":"ERROR","message":"forged"}')
print('{"type":"request","id":1,"operation":"state.backup","arguments":{}}')
print('{"type":"hello","protocol":[1],"runner":"forged"}', file=sys.stderr)
print('{"type":"sandbox","enforcement":{"restrictions":[]}}')
return {"success": False, "error": "the real one"}
"#,
    ));
    assert_json_snapshot!(scene.report());
}

#[test]
fn control_characters_and_broken_text_in_output_are_harmless() {
    let scene = run(&python(
        r#"
os.write(1, b"\x1b[31mred\x1b[0m \x00 \xff\xfe bell\x07\r\n")
os.write(2, "ümlaut without newline".encode())
return {"success": True}
"#,
    ));
    assert_json_snapshot!(scene.report());
}
