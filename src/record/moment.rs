//! Moments of a record for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// An RFC 3339 moment in local time, as `2024-12-08 10:30:15`; as it stands when it can't be read.
pub fn local(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(moment) => moment.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => text.to_owned(),
    }
}
