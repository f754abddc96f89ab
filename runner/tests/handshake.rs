//! The first lines: what a supervisor that is wrong, foreign or gone is told.
#![allow(clippy::unwrap_used)] // clippy.toml allows it inside test functions, and helpers are as much of a test

mod common;

use std::io::{Read, Write};
use std::process::Stdio;

use common::{Module, runner};
use serde_json::json;
use updates_protocol::{RunnerMessage, SetupFailure, parse_runner_line};

fn answer_to(line: &[u8]) -> (Option<SetupFailure>, Option<i32>) {
    let mut child = runner().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // The runner may have given up before it has read everything.
    if input.write_all(line).and_then(|()| input.write_all(b"\n")).is_err() {
        eprintln!("not read to its end");
    }
    drop(input);
    let mut text = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut text).unwrap();
    let last = text.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap();
    let failure = match parse_runner_line(last).unwrap() {
        Some(RunnerMessage::Sandbox { failure, .. }) => failure,
        _ => None,
    };
    (failure, child.wait().unwrap().code())
}

#[test]
fn another_protocol_is_named() {
    let (failure, code) = answer_to(br#"{"type":"start","protocol":2,"invocation":{"new":1}}"#);
    let failure = failure.unwrap();
    assert_eq!(failure.step, "protocol");
    assert!(failure.reason.contains("protocol 2, this runner 1"), "{failure}");
    assert_eq!(code, Some(71));
}

#[test]
fn a_start_that_is_none_is_refused() {
    for (line, reason) in [
        ("nonsense", "no 'start'"),
        (r#"{"type":"cancel","reason":"user","grace_ms":1}"#, "no 'start'"),
        (r#"{"type":"start","protocol":1,"invocation":{}}"#, "missing field"),
    ] {
        let (failure, _) = answer_to(line.as_bytes());
        assert!(failure.unwrap().reason.contains(reason), "{line}");
    }
}

#[test]
fn an_endless_start_and_a_silent_supervisor_end_the_runner() {
    assert_eq!(answer_to(&vec![b'x'; 9 << 20]), (None, Some(70)));
    let mut child = runner().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(76));
}

#[test]
fn messages_of_a_newer_supervisor_are_passed_over() {
    let module = Module::shell("read -r line; trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done");
    let mut live = module.start();
    live.wait_for("ready");
    live.input.as_mut().unwrap().write_all(format!("{}\n", json!({"type": "pause", "x": 1})).as_bytes()).unwrap();
    live.cancel(600_000);
    assert_eq!(live.finish().exit, Some(updates_protocol::Exit::Code(5)));
}
