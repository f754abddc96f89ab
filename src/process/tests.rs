//! Conversations with small fake runners: shell scripts that speak the protocol, or break it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use updates_protocol::{CancelReason, Invocation, Usage};

use super::*;
use crate::record::Outcome;

const HELLO: &str = r#"say '{"type":"hello","protocol":[1],"runner":"0.1.0"}'"#;
const SANDBOX: &str = r#"say '{"type":"sandbox","enforcement":{"restrictions":[]}}'"#;
const DONE: &str = r#"say '{"type":"result","value":{"success":true},"usage":{"wall_ms":7,"user_ms":1,"system_ms":2,"max_rss_kib":3},"exit":{"code":0}}'"#;

struct Fake {
    folder: TempDir,
    deadline: Deadline,
    cancel: CancelToken,
}

struct Seen {
    conversation: Conversation,
    events: Vec<Event>,
    requests: Vec<(String, Map<String, Value>)>,
}

impl Fake {
    fn new() -> Self {
        let deadline = Deadline { runtime_max: Duration::from_secs(60), timeout_stop: Duration::from_millis(10) };
        Self { folder: TempDir::new().unwrap(), deadline, cancel: CancelToken::new().unwrap() }
    }

    /// A deadline that is over at once.
    fn hasty() -> Self {
        let fake = Self::new();
        Self { deadline: Deadline { runtime_max: Duration::from_millis(40), ..fake.deadline }, ..fake }
    }

    fn converse(&self, lines: &[&str]) -> Seen {
        let program = self.folder.path().join("runner");
        let script = format!("#!/bin/sh\nsay() {{ printf '%s\\n' \"$1\"; }}\nread -r start\n{}\n", lines.join("\n"));
        write_script(&program, &script);
        let (mut events, mut requests) = (Vec::new(), Vec::new());
        let conversation = converse(
            &RunnerCommand { program },
            invocation(),
            self.deadline,
            &self.cancel,
            &mut |event| events.push(event),
            &mut |operation, arguments, _| {
                requests.push((operation.to_owned(), arguments));
                if operation == "state.backup" { Ok(json!({"module_name": "m"})) } else { Err("declare it".to_owned()) }
            },
        );
        Seen { conversation, events, requests }
    }

    fn outcome(&self, lines: &[&str]) -> Outcome {
        self.converse(lines).conversation.outcome
    }
}

// Written by another process: while a test's own descriptor is open for writing, a fork in another test inherits it, and
// the kernel then refuses to execute the file (ETXTBSY).
fn write_script(path: &Path, text: &str) {
    let write = "printf '%s' \"$1\" > \"$0\" && chmod 700 \"$0\"";
    assert!(Command::new("/bin/sh").arg("-c").arg(write).arg(path).arg(text).status().unwrap().success());
}

fn invocation() -> Invocation {
    serde_json::from_value(json!({
        "protocol": 1, "module": "m", "run_id": "r", "attempt": 1, "phase": "main", "check": false, "arguments": [],
        "directory": "/m", "state_directory": "/s", "manifest": {},
        "entry": {"kind": "executable", "file": "/m/index"}, "environment": {},
        "sandbox": {"mounts": [], "private_network": true, "hostname": "h", "capability_bounding_set": [],
            "limits": [], "cgroup_procs": [], "umask": 18, "working_directory": "/m", "best_effort": [], "trace": false}
    }))
    .unwrap()
}

fn garbled(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Garbled { reason } => reason,
        other => panic!("{other:?}"),
    }
}

fn not_started(outcome: &Outcome) -> (&str, &str) {
    match outcome {
        Outcome::NotStarted { step, reason } => (step, reason),
        other => panic!("{other:?}"),
    }
}

fn alive(pid_file: &Path) -> bool {
    let pid = fs::read_to_string(pid_file).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

#[test]
fn a_conversation_is_told_in_order_and_ends_with_the_report() {
    let seen = Fake::new().converse(&[
        HELLO,
        SANDBOX,
        r#"say '{"type":"log","seq":1,"time":5,"level":"INFO","message":"one","source":"stdout"}'"#,
        r#"say '{"type":"progress","seq":2,"step":"two","current":1,"total":2}'"#,
        r#"say '{"type":"telemetry"}'"#,
        DONE,
    ]);
    assert_eq!(seen.conversation.outcome, Outcome::Reported { value: json!({"success": true}) });
    assert_eq!(seen.conversation.usage, Usage { wall_ms: 7, user_ms: 1, system_ms: 2, max_rss_kib: 3 });
    assert_eq!(seen.conversation.protocol_notes, ["1 messages of an unknown type were passed over"]);
    assert!(matches!(
        &seen.events[..],
        [Event::Started { .. }, Event::Log(LogEntry { message, .. }), Event::Progress { .. }] if message == "one"
    ));
}

#[test]
fn a_start_message_larger_than_any_pipe_arrives_whole() {
    let fake = Fake::new();
    let program = fake.folder.path().join("runner");
    // Reads its whole input before it says a word; the shell's own `read` would take a second for it.
    let script = format!(
        "#!/bin/sh\nhead -n 1 | wc -c > {}/size\nsay() {{ printf '%s\\n' \"$1\"; }}\n{HELLO}\n{SANDBOX}\n{DONE}\n",
        fake.folder.path().display()
    );
    write_script(&program, &script);
    let mut big = invocation();
    big.module.arguments = vec!["x".repeat(1 << 20); 4];
    let command = RunnerCommand { program };
    let ended = converse(&command, big, fake.deadline, &fake.cancel, &mut |_| {}, &mut |_, _, _| Ok(Value::Null));
    assert!(matches!(ended.outcome, Outcome::Reported { .. }), "{ended:?}");
    let size: usize = fs::read_to_string(fake.folder.path().join("size")).unwrap().trim().parse().unwrap();
    assert!(size > 4 << 20, "{size}");
}

#[test]
fn requests_are_answered_or_refused_in_turn() {
    let seen = Fake::new().converse(&[
        HELLO,
        SANDBOX,
        r#"say '{"type":"request","id":1,"operation":"state.backup","arguments":{"a":1}}'"#,
        "read -r first",
        r#"say '{"type":"request","id":2,"operation":"service.stop","arguments":{}}'"#,
        "read -r second",
        r#"case "$first$second" in *'"id":1,"ok":{"module_name":"m"}'*'"id":2,"error":"declare it"'*)"#,
        DONE,
        ";; esac",
    ]);
    assert!(matches!(seen.conversation.outcome, Outcome::Reported { .. }), "{:?}", seen.conversation);
    assert_eq!(seen.requests.len(), 2);
    assert_eq!(seen.requests[0].1["a"], 1);
}

#[test]
fn a_failed_setup_names_its_step() {
    let sandbox = r#"say '{"type":"sandbox","enforcement":{"restrictions":[]},"failure":{"step":"mounts","reason":"/x: EPERM"}}'"#;
    let outcome = Fake::new().outcome(&[HELLO, sandbox]);
    assert_eq!(not_started(&outcome), ("mounts", "/x: EPERM"));
}

#[test]
fn a_runner_that_is_not_there_or_dies_early_did_not_start_the_module() {
    let fake = Fake::new();
    let command = RunnerCommand { program: fake.folder.path().join("missing") };
    let ended =
        converse(&command, invocation(), fake.deadline, &fake.cancel, &mut |_| {}, &mut |_, _, _| Ok(Value::Null));
    let (step, reason) = not_started(&ended.outcome);
    assert!(step == "spawn" && reason.contains("/missing: No such file"), "{reason}");

    let outcome = fake.outcome(&["echo 'cannot find libc' >&2", "exit 127"]);
    assert_eq!(
        not_started(&outcome),
        ("runner", "the runner ended with exit code 127 before the sandbox stood: cannot find libc")
    );
    let outcome = fake.outcome(&[HELLO, "exit 4"]);
    assert_eq!(not_started(&outcome), ("runner", "the runner ended with exit code 4 before the sandbox stood"));
}

#[test]
fn a_runner_that_breaks_the_protocol_is_ended_with_the_reason() {
    let fake = Fake::new();
    for (lines, reason) in [
        (vec!["say nonsense", "exec sleep 1000"], "said what is no message of its protocol"),
        (vec![SANDBOX, "exec sleep 1000"], "did not begin with hello"),
        (vec![r#"say '{"type":"hello","protocol":[2,3],"runner":"9"}'"#, "exec sleep 1000"], "speaks protocol 2, 3"),
        (vec![HELLO, DONE, "exec sleep 1000"], "spoke for the module before the sandbox stood"),
        (vec![HELLO, SANDBOX, SANDBOX, "exec sleep 1000"], "entered the sandbox twice"),
        (vec![HELLO, SANDBOX, "head -c 3000000 /dev/zero", "echo", "exec sleep 1000"], "sent a line of 3000000 bytes"),
        (vec![HELLO, SANDBOX, "exit 3"], "ended with exit code 3 without a result"),
        (vec![HELLO, SANDBOX, r#"printf '{"type":"res'"#, "kill -9 $$"], "was killed by SIGKILL without a result"),
    ] {
        let outcome = fake.outcome(&lines);
        let expected = format!("the runner {reason}");
        assert!(garbled(&outcome).starts_with(&expected), "{lines:?}: {outcome:?}");
    }
}

#[test]
fn a_runner_that_closes_its_output_and_stays_is_ended() {
    let outcome = Fake::new().outcome(&[HELLO, SANDBOX, "exec >&-", "exec sleep 1000"]);
    assert_eq!(garbled(&outcome), "the runner closed its output without a result and did not end");
}

#[test]
fn a_runner_that_reads_no_answers_is_ended() {
    let fake = Fake::new();
    let request = r#"{"type":"request","id":1,"operation":"state.backup","arguments":{}}"#;
    let program = fake.folder.path().join("runner");
    let script = format!(
        "#!/bin/sh\nread -r start\nsay() {{ printf '%s\\n' \"$1\"; }}\n{HELLO}\n{SANDBOX}\nexec yes '{request}'\n"
    );
    write_script(&program, &script);
    let answer = Value::String("x".repeat(100_000));
    let ended =
        converse(&RunnerCommand { program }, invocation(), fake.deadline, &fake.cancel, &mut |_| {}, &mut |_, _, _| {
            Ok(answer.clone())
        });
    assert_eq!(garbled(&ended.outcome), "the runner does not read what it is sent");
}

#[test]
fn a_deadline_is_announced_and_asked_for_before_it_kills() {
    let fake = Fake::hasty();
    let seen = fake.converse(&[
        HELLO,
        SANDBOX,
        "read -r cancel",
        r#"case "$cancel" in *'"type":"cancel","reason":"deadline","grace_ms":10'*)"#,
        DONE,
        ";; esac",
    ]);
    assert_eq!(seen.conversation.outcome, Outcome::TimedOut { after_sec: 1 });
    assert_eq!(seen.conversation.usage.wall_ms, 7);
    assert!(matches!(
        seen.events[..],
        [Event::Started { .. }, Event::Slow { .. }, Event::Terminating { reason: CancelReason::Deadline }]
    ));
}

#[test]
fn a_runner_that_ignores_its_deadline_is_killed() {
    let fake = Fake::hasty();
    let pid = fake.folder.path().join("pid");
    let note = format!("echo $$ > {}", pid.display());
    let outcome = fake.outcome(&[&note, "trap '' TERM INT HUP", HELLO, SANDBOX, "exec sleep 1000"]);
    assert_eq!(outcome, Outcome::TimedOut { after_sec: 1 });
    assert!(!alive(&pid));
}

#[test]
fn a_runner_that_stays_after_its_result_is_killed_and_the_result_counts() {
    let fake = Fake::new();
    let pid = fake.folder.path().join("pid");
    let note = format!("echo $$ > {}", pid.display());
    let outcome = fake.outcome(&[&note, HELLO, SANDBOX, DONE, "exec sleep 1000"]);
    assert!(matches!(outcome, Outcome::Reported { .. }), "{outcome:?}");
    assert!(!alive(&pid));
}

#[test]
fn a_cancel_from_another_thread_wakes_the_conversation() {
    let fake = Fake::new();
    let (started, begun) = std::sync::mpsc::channel();
    let token = fake.cancel.clone();
    let canceller = thread::spawn(move || {
        begun.recv().unwrap();
        token.cancel(CancelReason::User).unwrap();
    });
    let program = fake.folder.path().join("runner");
    let script = format!(
        "#!/bin/sh\nsay() {{ printf '%s\\n' \"$1\"; }}\nread -r start\n{HELLO}\n{SANDBOX}\nread -r cancel\n{DONE}\n"
    );
    write_script(&program, &script);
    let ended = converse(
        &RunnerCommand { program },
        invocation(),
        fake.deadline,
        &fake.cancel,
        &mut |event| {
            if matches!(event, Event::Started { .. }) {
                started.send(()).unwrap();
            }
        },
        &mut |_, _, _| Ok(Value::Null),
    );
    canceller.join().unwrap();
    assert_eq!(ended.outcome, Outcome::Cancelled);
    // What is cancelled already does not begin again.
    assert_eq!(fake.outcome(&[HELLO, SANDBOX, DONE]), Outcome::Cancelled);
}

#[test]
fn a_flood_of_log_is_drained_and_bounded() {
    let line = format!(
        r#"{{"type":"log","seq":1,"time":5,"level":"INFO","message":"{}","source":"stdout"}}"#,
        "x".repeat(10_000)
    );
    let flood = format!("yes '{line}' | head -n 3000");
    let seen = Fake::new().converse(&[HELLO, SANDBOX, &flood, DONE]);
    assert!(matches!(seen.conversation.outcome, Outcome::Reported { .. }), "{:?}", seen.conversation.outcome);
    let logged = seen.events.iter().filter(|event| matches!(event, Event::Log(_))).count();
    assert!(logged > 1100 && logged < 1200, "{logged}");
    assert!(seen.conversation.log_bytes_dropped > 18_000_000);
}

#[test]
fn progress_is_thinned_out() {
    let flood = r#"yes '{"type":"progress","seq":1,"step":"s"}' | head -n 1000"#;
    let seen = Fake::new().converse(&[HELLO, SANDBOX, flood, DONE]);
    let progress = seen.events.iter().filter(|event| matches!(event, Event::Progress { .. })).count();
    assert!((10..500).contains(&progress), "{progress}");
}
