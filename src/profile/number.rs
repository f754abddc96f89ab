//! The settings that are numbers, by key: to compare them with a bound, and to write them as a person would.

use updates_protocol::{FieldError, Object};

use super::Profile;

/// Those for which a profile may allow more beforehand.
pub(super) const KEYS: [&str; 15] = [
    "memory_max",
    "tmp_size",
    "limit_fsize",
    "limit_core",
    "limit_as",
    "limit_stack",
    "limit_memlock",
    "limit_msgqueue",
    "limit_nofile",
    "limit_nice",
    "limit_rtprio",
    "tasks_max",
    "cpu_quota",
    "runtime_max_sec",
    "timeout_stop_sec",
];
const SIZES: usize = 8;

/// The value of `key`, the largest number where there is no bound; nothing for keys that are no numbers.
pub(super) fn of(profile: &Profile, key: &str) -> Option<u64> {
    Some(match key {
        "memory_max" => profile.memory_max,
        "tmp_size" => profile.tmp_size,
        "limit_fsize" => profile.limit_fsize.unwrap_or(u64::MAX),
        "limit_core" => profile.limit_core,
        "limit_as" => profile.limit_as.unwrap_or(u64::MAX),
        "limit_stack" => profile.limit_stack,
        "limit_memlock" => profile.limit_memlock,
        "limit_msgqueue" => profile.limit_msgqueue,
        "limit_nofile" => profile.limit_nofile,
        "limit_nice" => profile.limit_nice,
        "limit_rtprio" => profile.limit_rtprio,
        "tasks_max" => profile.tasks_max,
        "cpu_quota" => profile.cpu_quota.unwrap_or(u64::MAX),
        "runtime_max_sec" => profile.runtime_max_sec,
        "timeout_stop_sec" => profile.timeout_stop_sec,
        _ => return None,
    })
}

/// Reads a bound as the setting itself is written.
pub(super) fn parse(object: &Object<'_>, key: &str) -> Result<Option<u64>, FieldError> {
    match key {
        "cpu_quota" => object.percent(key),
        _ if KEYS[..SIZES].contains(&key) => object.bytes(key),
        _ => object.unsigned(key, 0..=1_000_000),
    }
}

/// A value as a profile would have it: `2G`, `50%`, `300`.
pub(super) fn text(key: &str, value: u64) -> String {
    match key {
        _ if value == u64::MAX => "no bound".to_owned(),
        "cpu_quota" => format!("{value}%"),
        _ if KEYS[..SIZES].contains(&key) => size(value),
        _ => value.to_string(),
    }
}

fn size(bytes: u64) -> String {
    let unit = [("T", 40), ("G", 30), ("M", 20), ("K", 10)]
        .into_iter()
        .find(|(_, shift)| bytes != 0 && bytes.trailing_zeros() >= *shift);
    match unit {
        Some((letter, shift)) => format!("{}{letter}", bytes >> shift),
        None => bytes.to_string(),
    }
}
