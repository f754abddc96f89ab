//! The first two lines: the runner says what it speaks, the supervisor what is to be run.

use serde::Deserialize;
use updates_protocol::{Invocation, PROTOCOL, RunnerMessage, SetupFailure};

use crate::supervisor::{Lost, Supervisor};

/// `start`, read directly: going through the enum of all messages would copy the whole manifest once more.
#[derive(Deserialize)]
struct Start {
    r#type: String,
    protocol: u32,
    invocation: Box<Invocation>,
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    r#type: String,
    protocol: Option<u32>,
}

/// Says hello and waits for the invocation. The inner error is one that the supervisor is to be told.
pub fn greet(supervisor: &mut Supervisor) -> Result<Result<Box<Invocation>, SetupFailure>, Lost> {
    let hello = RunnerMessage::Hello { protocol: vec![PROTOCOL], runner: env!("CARGO_PKG_VERSION").to_owned() };
    supervisor.send(&hello)?;
    // A supervisor that did not wait for it need not be woken up for it: it leaves with the next message.
    if !supervisor.has_spoken() {
        supervisor.flush()?;
    }
    loop {
        match supervisor.next_line(|line| Ok(parse(line))) {
            Ok(Some(start)) => return Ok(start),
            Ok(None) => supervisor.read()?,
            Err(lost) => {
                supervisor.flush()?; // who speaks wrongly still learns to whom
                return Err(lost);
            }
        }
    }
}

fn parse(line: &[u8]) -> Result<Box<Invocation>, SetupFailure> {
    let failure = |reason| SetupFailure { step: "protocol".to_owned(), reason };
    match serde_json::from_slice::<Start>(line) {
        Ok(start) if start.r#type == "start" && start.protocol == PROTOCOL => Ok(start.invocation),
        parsed => {
            let head = serde_json::from_slice(line).unwrap_or(Head { r#type: String::new(), protocol: None });
            Err(failure(match (head, parsed) {
                (Head { protocol: Some(other), .. }, _) if other != PROTOCOL => format!(
                    "the supervisor speaks protocol {other}, this runner {PROTOCOL}: install both from one release"
                ),
                (Head { r#type, .. }, _) if r#type != "start" => "the first line was no 'start'".to_owned(),
                (_, Err(error)) => format!("the invocation: {error}"),
                (_, Ok(_)) => "the first line was no 'start'".to_owned(),
            }))
        }
    }
}
