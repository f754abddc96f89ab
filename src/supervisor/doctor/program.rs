//! Which version of this program is in use, and why: a self-update that was taken back or can't be executed needs a person.

use updates_protocol::SchemaVersion;

use super::Finding;
use crate::program::Held;
use crate::supervisor::{Supervisor, program_in_use};

const CHECK: &str = "program";

pub(super) fn look(supervisor: &Supervisor) -> Vec<Finding> {
    let program = match program_in_use(&supervisor.layout) {
        Ok(program) => program,
        Err(error) => {
            return vec![Finding::problem(
                CHECK,
                error.to_string(),
                "`updates self rollback` goes back to the former one",
            )];
        }
    };
    let trial = program.trial.map_or(String::new(), |trial| {
        format!("; {} is on trial, with {} of {} starts used", trial.version, trial.starts, trial.tries)
    });
    let pinned = program.pinned.map_or(String::new(), |pin| format!("; pinned to {pin}"));
    let text = format!("updates {} is in use: {}{trial}{pinned}", program.version, program.reason);
    let mut found = vec![match program.is_wrong {
        false => Finding::ok(CHECK, text),
        true => Finding::problem(CHECK, text, "put right what it says, or `updates self rollback`"),
    }];
    // What is older than the one in use would not be installed anyway.
    let in_use = program.version.parse::<SchemaVersion>().ok();
    let newer = |held: &&Held| held.version.parse::<SchemaVersion>().ok() > in_use;
    found.extend(program.held.iter().filter(newer).map(|held| {
        let text = format!("updates {} is held, and not installed: {}", held.version, held.reason);
        Finding::warning(
            CHECK,
            text,
            "it is tried again once the source carries another one, or after `updates self unpin`",
        )
    }));
    found.extend(
        program
            .note
            .map(|note| Finding::warning(CHECK, note.trim_end(), "`updates self show` tells which versions are held")),
    );
    found
}
