//! Modules that are any program.

use insta::assert_json_snapshot;
use serde_json::json;

use super::scene::{run, shell};
use super::support::Module;

#[test]
fn exit_codes_of_an_executable() {
    for code in [0, 1, 75, 127, 255] {
        assert_json_snapshot!(format!("exit_{code}"), run(&shell(&format!("exit {code}"))).report());
    }
}

#[test]
fn exit_75_once_is_restarted_and_then_kept() {
    assert_json_snapshot!(run(&shell("echo attempt $UPDATES_ATTEMPT\n[ $UPDATES_ATTEMPT = 2 ] || exit 75")).report());
}

#[test]
fn a_result_on_stdout_counts_and_other_lines_are_log() {
    let scene = run(&shell(
        r#"echo plain text
echo '{"type":"log","level":"WARNING","message":"a message"}'
echo '{"no": "type"}'
echo '{"type":"weather"}'
echo '{"type":"result","value":{"success":true,"updated":true,"count":3}}'
echo '{"type":"result","value":{"success":false}}'"#,
    ));
    assert_json_snapshot!(scene.report());
}

#[test]
fn a_failure_that_is_reported_counts_although_it_exits_with_0() {
    assert_json_snapshot!(
        run(&shell(r#"echo '{"type":"result","value":{"success":false,"error":"reported"}}'"#)).report()
    );
}

#[test]
fn a_success_that_is_reported_does_not_hide_a_failing_exit() {
    assert_json_snapshot!(run(&shell(r#"echo '{"type":"result","value":{"success":true}}'; exit 3"#)).report());
}

#[test]
fn the_invocation_comes_on_stdin_as_one_object_and_the_end() {
    let scene = run(&shell(
        r#"input=$(cat)
printf '%s' "$input" | python3 -c '
import json, sys
start = json.loads(sys.stdin.read())
given = start.get("invocation", start)
print(json.dumps({"type": "result", "value": {"success": True, "module": given["module"], "check": given["check"],
      "attempt": given["attempt"], "name": given["manifest"]["metadata"]["name"], "keys": sorted(given)}}))'"#,
    ));
    assert_json_snapshot!(scene.report());
}

#[test]
fn an_executable_that_never_reads_its_input_is_no_failure() {
    let module = shell("exec <&-\nexit 0").configuration("filler", json!("x".repeat(500_000)));
    assert_json_snapshot!(run(&module).report());
}

#[test]
fn an_entry_of_another_name_is_run() {
    let module = shell("").file_with_mode("bin/update", "#!/bin/sh\nexit 3\n", 0o755);
    assert_json_snapshot!(run(&module.metadata("entry", json!("bin/update"))).report());
}

#[test]
fn what_can_not_be_started_says_why() {
    let script = "#!/bin/sh\nexit 0\n";
    let declared = |module: Module| module.declares(&["/srv/app/"]);
    let cases = [
        ("missing_x_bit", Module::new("app", "1").file("index", script)),
        ("missing_shebang", Module::new("app", "1").file_with_mode("index", "exit 0\n", 0o755)),
        ("missing_interpreter", Module::new("app", "1").file_with_mode("index", "#!/no/such/sh\n", 0o755)),
        ("empty_file", Module::new("app", "1").file_with_mode("index", "", 0o755)),
        ("missing_entry", Module::new("app", "1")),
        ("entry_that_is_not_there", Module::new("app", "1").metadata("entry", json!("run.sh"))),
        ("entry_that_is_a_folder", Module::new("app", "1").file("index/file", "")),
        ("broken_elf", Module::new("app", "1").file_with_mode("index", b"\x7fELF garbage", 0o755)),
    ];
    for (name, module) in cases {
        assert_json_snapshot!(format!("not_started_{name}"), run(&declared(module)).report());
    }
}

#[test]
fn nothing_of_the_supervisors_environment_or_descriptors_reaches_a_module() {
    let scene = run(&shell(
        r#"env | grep -v '^UPDATES_RUN_ID=\|^PWD=\|^OLDPWD=\|^SHLVL=\|^_=' | sort
ls /proc/self/fd | tr '\n' ' '"#,
    ));
    assert_json_snapshot!(scene.report());
}
