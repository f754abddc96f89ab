//! Slots in words and as JSON: ages and sizes for people, RFC 3339 and bytes for programs.

use jiff::Timestamp;
use serde_json::{Value, json};
use updates::service::UnitState;
use updates::state::{Backup, Size, Totals};
use updates::supervisor::{Slot, SlotKind};
use updates_protocol::UnitName;

use super::super::style::{local, printable};

/// What every answer about a slot begins with.
pub fn slot_json(slot: &Slot) -> Value {
    json!({"module": slot.module, "slot": slot.label, "kind": slot.kind, "path": slot.path()})
}

/// What a sound slot adds to that.
pub fn backup_json(backup: &Backup, totals: &Totals) -> Value {
    let info = backup.info();
    json!({
        "created": created(backup).to_string(),
        "description": info.description,
        "files": totals.files,
        "directories": totals.directories,
        "others": totals.others,
        "bytes": totals.bytes,
        "paths": info.files,
        "services": info.services,
        "databases": info.databases,
        "checksum": info.checksum,
    })
}

/// Two objects as one.
pub fn merged(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

/// `backup` or `checkpoint`.
pub fn kind(kind: SlotKind) -> &'static str {
    match kind {
        SlotKind::Backup => "backup",
        SlotKind::Checkpoint => "checkpoint",
    }
}

/// When a slot was made.
pub fn created(backup: &Backup) -> Timestamp {
    i64::try_from(backup.info().timestamp).ok().and_then(|sec| Timestamp::from_second(sec).ok()).unwrap_or_default()
}

/// When a slot was made, and how long ago that is: `2026-01-31 03:00:12, 5 h ago`.
pub fn saved(backup: &Backup) -> String {
    let created = created(backup);
    format!("{}, {}", local(&created.to_string()), age(created).map_or("in the future".to_owned(), |age| age + " ago"))
}

/// How long ago: `40 s`, `12 min`, `5 h`, `3 days`; `None` for what lies ahead.
pub fn age(moment: Timestamp) -> Option<String> {
    let seconds = u64::try_from(Timestamp::now().as_second() - moment.as_second()).ok()?;
    Some(span(seconds))
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `1.2 MiB in 3 files, 1 folder`.
pub fn size(totals: &Totals) -> String {
    let mut parts = vec![count(totals.files, "file"), count(totals.directories, "folder")];
    if totals.others > 0 {
        parts.push(format!("{} links and other nodes", totals.others));
    }
    format!("{} in {}", Size(totals.bytes), parts.join(", "))
}

/// `1 file`, `2 files`.
pub fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// A unit and what it is.
pub fn unit(name: &UnitName, state: &UnitState) -> String {
    format!("{}: {}", name.with_suffix(), unit_state(state))
}

/// `active (running), enabled`; systemd's words.
pub fn unit_state(state: &UnitState) -> String {
    if !state.exists() {
        return "not there".to_owned();
    }
    let file = if state.enabled.is_empty() { String::new() } else { format!(", {}", printable(&state.enabled)) };
    format!("{} ({}){file}", printable(&state.active), printable(&state.sub))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_one_unit_that_suits_it() {
        for (seconds, said) in [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (172_800, "2 days")] {
            assert_eq!(span(seconds), said);
        }
    }
}
