//! The program that tries to get out: `attempt all|NUMBER… [key=value…]` makes each attempt in a child of its own and
//! prints a JSON line about each. It is safe to run outside of any sandbox as well: what would harm a machine is tried
//! with arguments that can't succeed and whose error still tells permitted from refused. Run as a module it also reports
//! the rows as its result. Which row belongs to which line of the list of attempts is told by its number.

mod context;
mod files;
mod hidden;
mod identity;
mod machine;
mod mounts;
mod network;
mod outcome;
mod processes;
mod raw;
mod stay;
mod trial;

use std::io::Write;
use std::process::ExitCode;

use context::Context;
use outcome::Outcome;
use serde_json::{Value, json};

/// One row: its number with a letter, what is tried, and the function that tries it.
pub type Attempt = (&'static str, &'static str, fn(&Context) -> Outcome);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (settings, wanted): (Vec<_>, Vec<_>) = arguments.into_iter().partition(|argument| argument.contains('='));
    let context = Context::new(&settings);
    match wanted.first().map(String::as_str) {
        None => {
            eprintln!("usage: attempt all|list|NUMBER… [key=value…]");
            return ExitCode::from(2);
        }
        Some("stay") => return stay::stay(&wanted[1..]),
        Some("list") => {
            for (number, name, _) in table() {
                println!("{number}\t{name}");
            }
            return ExitCode::SUCCESS;
        }
        Some(_) => {}
    }
    let mut rows = Vec::new();
    for (number, name, attempt) in table().filter(|(number, ..)| wanted.iter().any(|each| covers(each, number))) {
        let outcome = trial::trial(|| attempt(&context));
        let verdict = outcome.verdict.to_string();
        let row = json!({"attempt": number, "name": name, "verdict": verdict, "detail": outcome.detail});
        if say(&row).is_err() {
            return ExitCode::FAILURE;
        }
        rows.push(row);
    }
    if std::env::var_os("UPDATES_MODULE").is_some() {
        let result = json!({"type": "result", "value": {"success": true, "rows": rows}});
        if say(&result).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// By number, whichever file has it.
fn table() -> impl Iterator<Item = Attempt> {
    let mut all = [
        mounts::ATTEMPTS,
        files::ATTEMPTS,
        hidden::ATTEMPTS,
        processes::ATTEMPTS,
        machine::ATTEMPTS,
        identity::ATTEMPTS,
        network::ATTEMPTS,
    ]
    .concat();
    all.sort_by_key(|(number, ..)| line(number).parse::<u32>().unwrap_or(u32::MAX));
    all.into_iter()
}

/// The line of the list that a row belongs to.
fn line(number: &str) -> &str {
    number.trim_end_matches(|c: char| c.is_ascii_lowercase())
}

fn covers(wanted: &str, number: &str) -> bool {
    wanted == "all" || wanted == number || wanted == line(number)
}

fn say(row: &Value) -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{row}")?;
    stdout.flush()
}
