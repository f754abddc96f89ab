//! What differs from a slot, for people as a bounded list and for programs whole.

use serde_json::{Value, json};
use updates::state::{Change, Difference};
use updates::supervisor::Differences;

use super::super::style::printable;
use super::words::{count, unit_state};

/// Paths that are shown, unless all are asked for.
const SHOWN: usize = 40;

/// From which side a difference is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// What is otherwise now.
    Now,
    /// What putting back will do.
    Back,
}

/// All of it.
pub fn changes_json(differences: &Differences) -> Value {
    let paths: Vec<_> = differences
        .paths
        .iter()
        .map(|difference| {
            json!({"path": difference.path.to_string_lossy(), "change": word(difference.change, Told::Back)})
        })
        .collect();
    let units: Vec<_> = differences
        .units
        .iter()
        .map(|each| json!({"unit": each.unit.with_suffix(), "saved": each.saved, "now": each.now}))
        .collect();
    json!({"paths": paths, "services": units, "databases": differences.databases})
}

/// A line each, indented; of many paths only the first, and how many more, unless `all` are asked for.
pub fn changes_text(differences: &Differences, told: Told, all: bool) -> String {
    let mut text = String::new();
    let shown = if all { differences.paths.len() } else { SHOWN.min(differences.paths.len()) };
    for Difference { path, change } in &differences.paths[..shown] {
        text.push_str(&line(word(*change, told), &path.to_string_lossy()));
    }
    let more = differences.paths.len() - shown;
    if more > 0 {
        text.push_str(&format!(
            "    … and {} ({}); -v shows all\n",
            count(more as u64, "more path"),
            tally(differences, told)
        ));
    }
    for each in &differences.units {
        let states = match told {
            Told::Now => format!("was {}, is {}", unit_state(&each.saved), unit_state(&each.now)),
            Told::Back => format!("is {}, will be {}", unit_state(&each.now), unit_state(&each.saved)),
        };
        text.push_str(&line("service", &format!("{}: {states}", each.unit.with_suffix())));
    }
    for database in &differences.databases {
        let what = match told {
            Told::Now => "may differ; only loading it would tell",
            Told::Back => "is put back whole",
        };
        text.push_str(&line("database", &format!("{database}: {what}")));
    }
    text
}

/// `3 create, 1 remove`, over all paths.
fn tally(differences: &Differences, told: Told) -> String {
    let kinds = [
        Change::Create,
        Change::Replace,
        Change::Content,
        Change::Attributes,
        Change::Link,
        Change::Remove,
        Change::Covered,
    ];
    let counts = kinds.into_iter().map(|kind| {
        (differences.paths.iter().filter(|difference| difference.change == kind).count(), word(kind, told))
    });
    let told: Vec<_> = counts.filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    format!("in all: {}", told.join(", "))
}

fn word(change: Change, told: Told) -> &'static str {
    match (change, told) {
        (Change::Create, Told::Now) => "missing",
        (Change::Create, Told::Back) => "create",
        (Change::Replace, Told::Now) => "another type",
        (Change::Replace, Told::Back) => "replace",
        (Change::Content, _) => "content",
        (Change::Attributes, _) => "attributes",
        (Change::Link, _) => "link",
        (Change::Remove, Told::Now) => "new",
        (Change::Remove, Told::Back) => "remove",
        (Change::Covered, _) => "covered",
    }
}

fn line(word: &str, what: &str) -> String {
    format!("    {word:<12} {}\n", printable(what).replace('\n', "\\n"))
}
