//! Bytes on the module's channel, descriptor 3, that no host would send.

use insta::assert_json_snapshot;

use super::scene::{python, run};

fn sends(bytes: &str) -> super::scene::Scene {
    run(&python(&format!("os.write(3, {bytes})\nreturn {{'success': True}}")))
}

#[test]
fn binary_garbage_is_a_garbled_report() {
    assert_json_snapshot!(sends(r#"b"\x00\x01\xff\xfe\n""#).report());
}

#[test]
fn text_that_is_no_json_is_a_garbled_report() {
    assert_json_snapshot!(sends(r#"b"hello\n""#).report());
}

#[test]
fn json_that_is_no_object_is_a_garbled_report() {
    assert_json_snapshot!(sends(r#"b"[1, 2]\n""#).report());
}

#[test]
fn a_message_of_the_wrong_shape_is_a_garbled_report() {
    assert_json_snapshot!(sends(r#"b'{"type":"log","message":{"not":"text"}}\n'"#).report());
}

#[test]
fn an_unknown_type_is_ignored() {
    assert_json_snapshot!(sends(r#"b'{"type":"weather","sun":true}\n'"#).report());
}

#[test]
fn endless_nesting_is_a_garbled_report() {
    assert_json_snapshot!(
        run(&python(
            "line = b'{\"type\":\"result\",\"value\":' + b'[' * 50000 + b']' * 50000 + b'}\\n'\n\
         while line:\n    line = line[os.write(3, line):]\nreturn {'success': True}"
        ))
        .report()
    );
}

#[test]
fn a_line_of_64_mebibytes_is_a_garbled_report() {
    assert_json_snapshot!(
        run(&python("for _ in range(1024):\n    os.write(3, b'x' * 65536)\nreturn {'success': True}")).report()
    );
}

#[test]
fn half_a_line_is_a_garbled_report() {
    assert_json_snapshot!(
        run(&python(
            r#"os.write(3, b'{"type":"result","val')
os._exit(0)"#
        ))
        .report()
    );
}

#[test]
fn of_two_results_the_first_counts() {
    let scene = run(&python(
        r#"
os.write(3, b'{"type":"result","value":{"success":false,"error":"the first"}}\n')
return {"success": True}
"#,
    ));
    assert_json_snapshot!(scene.report());
}

#[test]
fn requests_by_the_thousand_are_answered_in_turn() {
    let scene = run(&python(
        r#"
from updates.utils.state_manager import StateManager
manager = StateManager()
answers = {manager.has_backup("app") for _ in range(2000)}
return {"success": True, "answers": sorted(answers)}
"#,
    ));
    assert_json_snapshot!(scene.report());
}

#[test]
fn requests_whose_replies_are_never_read_do_not_stall_the_run() {
    let scene = run(&python(
        r#"
line = b'{"type":"request","id":1,"operation":"state.list","arguments":{"backup_dir":"/var/backups/updates"}}\n'
os.set_blocking(3, False)
sent = 0
for _ in range(20000):
    try:
        sent += os.write(3, line)
    except BlockingIOError:
        break
os._exit(0)
"#,
    ));
    let mut report = scene.report_without_log();
    // How many were read before it ended is a matter of luck.
    report["attempts"][0].as_object_mut().unwrap().remove("requests");
    assert_json_snapshot!(report);
}

#[test]
fn a_request_that_nobody_knows_is_refused() {
    let scene = run(&python(
        r#"
from updates import _request
return {"success": True, "answer": _request.ask("machine.reboot", {"now": True}, "refused")}
"#,
    ));
    assert_json_snapshot!(scene.report());
}
