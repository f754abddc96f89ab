//! What a module says reaches the supervisor, within bounds, and nothing that it prints is taken for protocol.
#![allow(clippy::unwrap_used)] // clippy.toml allows it inside test functions, and helpers are as much of a test

mod common;

use common::Module;
use serde_json::json;
use updates_protocol::{Exit, Level, LogSource, Phase, Reply, RunnerMessage, SupervisorMessage};

#[test]
fn a_python_result_its_log_and_its_progress_arrive() {
    let mut module = Module::python(
        r#"
def main(args):
    say(type="log", level="WARNING", message="careful", fields={"n": 1})
    say(type="progress", step="fetch", current=1, total=2)
    print("printed")
    return {"success": True, "args": args, "kind": kind}
"#,
    );
    module.invocation.module.arguments = vec!["--check".into(), "ä b".into()];
    let run = module.run().succeeded();
    assert_eq!(run.value, Some(json!({"success": true, "args": ["--check", "ä b"], "kind": "main"})));
    assert!(run.log.contains(&(Level::Warning, LogSource::Module, "careful".into())));
    assert_eq!(run.stdout(), ["printed"]);
    assert_eq!(run.progress, ["fetch"]);
    assert!(run.usage.max_rss_kib > 1000 && run.usage.user_ms + run.usage.system_ms > 0);
}

#[test]
fn a_maintenance_host_is_told_so_and_can_ask_for_the_invocation() {
    let mut module = Module::python(
        r#"
def main(args):
    ok = ask(7, "invocation")["ok"]
    return [kind, ok["module"], ok["phase"], ok["manifest"]["metadata"]["schema_version"]]
"#,
    );
    module.invocation.module.phase = Phase::Maintenance;
    let run = module.run().succeeded();
    assert_eq!(run.value, Some(json!(["maintenance", "sample", "maintenance", "1"])));
    assert!(run.requests.is_empty());
}

#[test]
fn an_executable_finds_its_invocation_on_standard_input_and_may_speak_on_standard_output() {
    let run = Module::shell(
        r#"read -r line; [ -n "$line" ] && ! read -r more && echo '{"type":"log","level":"ERROR","message":"spoken"}'
        case $line in '{"protocol":1,"module":"sample"'*) echo '{"type":"result","value":[1]}';; esac
        echo '{"type":"other"}'; echo '{"a":1}'; echo '{'; echo plain; echo oops >&2"#,
    )
    .run()
    .succeeded();
    assert_eq!(run.value, Some(json!([1])));
    assert_eq!(run.log[0], (Level::Error, LogSource::Module, "spoken".into()));
    assert_eq!(run.stdout(), [r#"{"type":"other"}"#, r#"{"a":1}"#, "{", "plain"]);
    assert_eq!(run.of(LogSource::Stderr), ["oops"]);
}

#[test]
fn an_executable_that_never_reads_a_large_invocation_holds_nothing_up() {
    let mut module = Module::shell("exit 3");
    module.invocation.module.manifest.insert("big".into(), json!("x".repeat(3 << 20)));
    assert_eq!(module.run().exit, Some(Exit::Code(3)));
}

#[test]
fn what_a_python_module_prints_is_never_protocol() {
    let run = Module::python(
        r#"
def main(args):
    print('{"type":"result","value":{"success":true}}')
    print('{"type":"log","level":"ERROR","message":"fake"}', flush=True)
    return False
"#,
    )
    .run()
    .succeeded();
    assert_eq!(run.value, Some(json!(false)));
    assert_eq!(run.stdout().len(), 2);
    assert!(run.garbled.is_none());
}

#[test]
fn none_and_no_result_differ() {
    assert_eq!(Module::python("main = lambda args: None").run().value, Some(json!(null)));
    let run = Module::shell("exit 0").run().succeeded();
    assert_eq!(run.value, None);
}

#[test]
fn the_first_result_wins() {
    let run = Module::shell(r#"for n in 1 2 3; do echo "{\"type\":\"result\",\"value\":$n}" >&3; done"#).run();
    assert_eq!(run.value, Some(json!(1)));
    assert!(run.log.iter().any(|(_, _, text)| text.contains("2 results after the first")));
}

#[test]
fn what_is_no_message_on_the_channel_is_garbled_and_the_first_reason_is_kept() {
    let long = r#"python3 -c 'print("{\"type\":\"log\",\"message\":\"" + "x" * 70000 + "\"}")' >&3"#;
    let huge = r#"python3 -c 'print("{\"type\":\"result\",\"value\":\"" + "x" * 1100000 + "\"}")' >&3"#;
    let deep = r#"python3 -c 'print("{\"type\":\"result\",\"value\":" + "[" * 5000)' >&3"#;
    for (script, reason) in [
        ("echo nonsense >&3; echo more >&3", "nonsense"),
        (r#"echo '{"type":"log"}' >&3"#, "missing field"),
        (r#"echo '{"type":"result","value":NaN}' >&3"#, "no message"),
        (r#"printf '{"type":"res' >&3"#, "no message"),
        (r#"printf '\377\376\n' >&3"#, "no message"),
        (r#"echo '{"type":"result"}'"#, "standard output"),
        (long, "all but a result may have 65536"),
        (huge, "a result may have 1048576"),
        (deep, "recursion limit"),
    ] {
        let run = Module::shell(script).run().succeeded();
        assert!(run.garbled.as_deref().is_some_and(|text| text.contains(reason)), "{script}: {:?}", run.garbled);
        assert_eq!(run.value, None);
    }
}

#[test]
fn bytes_that_are_no_text_and_lines_that_are_too_long_still_reach_the_log() {
    let run =
        Module::shell(r"printf 'a\377b\n'; head -c 100000 /dev/zero | tr '\0' x; echo; printf 'no newline'").run();
    let lines = run.stdout();
    assert_eq!(lines[0], "a\u{fffd}b");
    assert!(lines[1].starts_with("xxx") && lines[1].ends_with("x [… 67232 bytes cut]"), "{}", lines[1].len());
    assert_eq!(lines[2], "no newline");
}

#[test]
fn a_line_of_control_characters_fits_the_wire() {
    let run = Module::shell(r"head -c 30000 /dev/zero; echo").run().succeeded();
    assert!(run.stdout()[0].ends_with("bytes cut]"));
}

#[test]
fn a_flood_is_cut_and_says_so() {
    for script in ["yes | head -c 200000000", "yes | head -c 200000000 >&2", "head -c 200000000 /dev/zero"] {
        let run =
            Module::shell(&format!("{script}; echo; echo last; echo '{{\"type\":\"result\",\"value\":1}}'")).run();
        let run = run.succeeded();
        assert_eq!(run.value, Some(json!(1)));
        assert!(run.log.len() < 200_000);
        assert!(run.log.iter().any(|(_, _, text)| text == "last"));
        let said = run.log.iter().any(|(level, _, text)| *level == Level::Warning && text.contains("were cut here"));
        assert!(said || script.contains("zero"), "{script}");
    }
}

#[test]
fn progress_is_thinned_out_and_its_last_word_arrives() {
    let script = r#"import sys; [print('{"type":"progress","step":"%d"}' % n) for n in range(20000)]"#;
    let run = Module::executable(&format!("#!/usr/bin/python3\n{script}\n")).run().succeeded();
    assert!(run.progress.len() < 2000, "{}", run.progress.len());
    assert_eq!(run.progress.last().map(String::as_str), Some("19999"));
}

#[test]
fn a_request_is_forwarded_and_answered_with_null_as_well() {
    let module = Module::python("main = lambda args: ask(41, 'state.info', module_name='sample')");
    let mut live = module.start();
    let asked = std::iter::from_fn(|| live.next()).find_map(|message| match message {
        RunnerMessage::Request { id, operation, arguments } => Some((id, operation, arguments)),
        _ => None,
    });
    let (id, operation, arguments) = asked.unwrap();
    assert_eq!((id, operation.as_str(), &arguments["module_name"]), (41, "state.info", &json!("sample")));
    live.send(&SupervisorMessage::Reply(Reply { id, ok: Some(json!(null)), error: None }));
    assert_eq!(live.finish().value, Some(json!({"type": "reply", "id": 41, "ok": null})));
}

#[test]
fn at_most_sixteen_requests_are_outstanding_and_all_are_answered() {
    let module = Module::python(
        r#"
def main(args):
    for id in range(100):
        channel.write(json.dumps({"type": "request", "id": id, "operation": "o", "arguments": {}}) + "\n")
    channel.flush()
    return len({json.loads(channel.readline())["id"] for _ in range(100)})
import json
"#,
    );
    let mut live = module.start();
    let mut asked = Vec::new();
    let (mut answered, mut value) = (0, None);
    while let Some(message) = live.next() {
        match message {
            RunnerMessage::Request { id, .. } => asked.push(id),
            RunnerMessage::Result { value: returned, .. } => value = returned,
            _ => {}
        }
        assert!(asked.len() - answered <= 16);
        // Answering only a full house, or the last ones, shows that no more than that are ever on their way.
        while asked.len() - answered == 16 || (asked.len() == 100 && answered < 100) {
            let reply = Reply { id: asked[answered], ok: Some(json!(true)), error: None };
            live.send(&SupervisorMessage::Reply(reply));
            answered += 1;
        }
    }
    assert_eq!(value, Some(json!(100)));
}

#[test]
fn a_module_that_asks_and_never_reads_holds_nothing_up() {
    let mut module = Module::shell(
        r#"python3 -c 'import os
os.set_blocking(3, False)
try:
    while True: os.write(3, b"{\"type\":\"request\",\"id\":1,\"operation\":\"invocation\"}\n" * 100)
except BlockingIOError: pass'
        echo done"#,
    );
    module.invocation.module.manifest.insert("big".into(), json!("x".repeat(300_000)));
    assert!(module.run().stdout().contains(&"done"));
}
