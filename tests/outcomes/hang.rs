//! Modules that do not end by themselves.

use insta::assert_json_snapshot;
use serde_json::json;

use super::scene::{python, run, shell};
use super::support::Module;

fn short(module: Module) -> Module {
    module.sandbox("runtime_max_sec", json!(1)).sandbox("timeout_stop_sec", json!(1))
}

#[test]
fn a_module_that_hangs_is_stopped_at_its_deadline_after_a_notice_at_half() {
    assert_json_snapshot!(run(&short(python("time.sleep(1000)"))).report());
}

#[test]
fn a_module_that_ignores_sigterm_is_killed() {
    let body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True:\n    time.sleep(1000)";
    assert_json_snapshot!(run(&short(python(body))).report());
}

#[test]
fn a_module_that_answers_sigterm_with_a_report_has_still_timed_out() {
    let body = r#"
def leave(*_):
    os.write(3, b'{"type":"result","value":{"success":true}}\n')
    os._exit(0)
signal.signal(signal.SIGTERM, leave)
time.sleep(1000)
"#;
    assert_json_snapshot!(run(&short(python(body))).report());
}

#[test]
fn a_module_that_stops_itself_is_killed() {
    assert_json_snapshot!(run(&short(python("os.kill(os.getpid(), signal.SIGSTOP)"))).report());
}

#[test]
fn a_module_that_burns_its_time_is_stopped() {
    assert_json_snapshot!(run(&short(python("while True:\n    pass"))).report());
}

#[test]
fn an_executable_whose_child_hangs_is_stopped_with_it() {
    assert_json_snapshot!(run(&short(shell("sleep 1000 & wait"))).report());
}

#[test]
fn a_module_that_waits_for_input_finds_its_end() {
    let scene = run(&short(python("return {'success': True, 'read': sys.stdin.read()}")));
    assert_json_snapshot!(scene.report());
}
