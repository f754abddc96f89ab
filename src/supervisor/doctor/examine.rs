//! All checks side by side, each with a bound on its time: one that hangs is itself what was found.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Finding, databases, disk, held, lock, past, program, sandbox, source, timer};
use crate::supervisor::Supervisor;

/// How long all of them together may take. A source may keep silent for its own timeout, which is cut short here.
const PATIENCE: Duration = Duration::from_secs(40);
/// How often it is looked whether somebody wants to stop.
const LOOK: Duration = Duration::from_millis(100);

type Check = fn(&Supervisor) -> Vec<Finding>;

/// In the order in which they are told.
const CHECKS: [(&str, Check); 9] = [
    ("program", program::look),
    ("timer", timer::look),
    ("lock", lock::look),
    ("past", past::look),
    ("held", held::look),
    ("disk", disk::look),
    ("source", source::look),
    ("sandbox", sandbox::look),
    ("databases", databases::look),
];

impl Supervisor {
    /// Looks at everything. Ends early, with what is known by then, when the process is asked to end.
    pub fn examine(&self) -> Vec<Finding> {
        let (answers, inbox) = channel();
        let mut waiting = BTreeMap::new();
        for (number, (name, check)) in CHECKS.into_iter().enumerate() {
            let (supervisor, answers) = (self.clone(), answers.clone());
            // Left behind when it hangs: it changes nothing, and ends with the process.
            let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
                // Nobody listens any more where it took too long.
                answers.send((number, check(&supervisor))).ok();
            });
            if spawned.is_ok() {
                waiting.insert(number, name);
            }
        }
        drop(answers);
        let mut found = BTreeMap::new();
        let until = Instant::now() + PATIENCE;
        while !waiting.is_empty() && Instant::now() < until && self.cancel.reason().is_none() {
            match inbox.recv_timeout(LOOK) {
                Ok((number, findings)) => {
                    waiting.remove(&number);
                    found.insert(number, findings);
                }
                Err(RecvTimeoutError::Timeout) => {}
                // A check that panicked has no answer.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        for (number, name) in waiting {
            let text = format!("there was no answer within {} s", PATIENCE.as_secs());
            found.insert(
                number,
                vec![Finding::problem(name, text, "look whether what it asks hangs: a server, a file system")],
            );
        }
        found.into_values().flatten().collect()
    }
}
