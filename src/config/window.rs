//! The maintenance window: times of the week, by the clock on the wall, in which `updates run` may do something.
//!
//! What the time is, is asked by nobody here: every question comes with its moment, so that each answer can be tested.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan, Zoned};
use serde::{Serialize, Serializer};

/// The names of systemd.time(7), in the order in which its ranges run.
const DAYS: [(&str, &str); 7] = [
    ("Mon", "Monday"),
    ("Tue", "Tuesday"),
    ("Wed", "Wednesday"),
    ("Thu", "Thursday"),
    ("Fri", "Friday"),
    ("Sat", "Saturday"),
    ("Sun", "Sunday"),
];

/// How far ahead the next opening is looked for: a week, and one more where the clock's change swallows one.
const AHEAD: i64 = 15;

/// One `[DAYS ]HH:MM-HH:MM`. One that ends before it begins ends on the next day, and belongs to the day it begins on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    days: [bool; 7],
    from: Time,
    /// `None` is 24:00, the end of the day.
    to: Option<Time>,
    text: String,
}

/// Why a text is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no window: {problem}; write for example \"22:00-06:00\" or \"Mon..Fri,Sun 02:00-04:30\"")]
pub struct WindowError {
    text: String,
    problem: String,
}

/// All windows of `run.window`. Without any, every moment is inside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct MaintenanceWindow(Vec<Window>);

/// Where a moment lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowState {
    /// Inside of a window.
    Open,
    /// Outside of all.
    Closed {
        /// When the next one opens; `None` where none does within two weeks.
        opens: Option<Zoned>,
    },
}

impl MaintenanceWindow {
    /// These windows together.
    pub fn new(windows: Vec<Window>) -> Self {
        Self(windows)
    }

    /// Whether there is any, so that time matters.
    pub fn is_restricted(&self) -> bool {
        !self.0.is_empty()
    }

    /// Where `now` lies, in its own time zone.
    pub fn at(&self, now: &Zoned) -> WindowState {
        let moment = now.timestamp();
        if !self.is_restricted() || self.around(now, 1).any(|span| span.contains(moment)) {
            return WindowState::Open;
        }
        let opens = self.around(now, AHEAD).map(|span| span.from).filter(|from| *from > moment).min();
        WindowState::Closed { opens: opens.map(|opens| opens.to_zoned(now.time_zone().clone())) }
    }

    /// The spans that begin on one of the days from yesterday, whose window may reach into today, up to `ahead` days on.
    fn around<'w>(&'w self, now: &'w Zoned, ahead: i64) -> impl Iterator<Item = Span> + 'w {
        let days = (-1..=ahead).filter_map(move |offset| now.date().checked_add(offset.days()).ok());
        days.flat_map(move |day| self.0.iter().filter_map(move |window| window.on(day, now.time_zone())))
    }
}

impl fmt::Display for MaintenanceWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<&str> = self.0.iter().map(|window| window.text.as_str()).collect();
        f.write_str(&texts.join(", "))
    }
}

/// From one moment to just before another.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: Timestamp,
    to: Timestamp,
}

impl Span {
    fn contains(self, moment: Timestamp) -> bool {
        self.from <= moment && moment < self.to
    }
}

impl Window {
    /// The span that begins on `day`. `None` on other days, and where the clock skips it whole.
    fn on(&self, day: Date, zone: &TimeZone) -> Option<Span> {
        if !self.days[usize::try_from(day.weekday().to_monday_zero_offset()).ok()?] {
            return None;
        }
        let last = match self.to {
            Some(to) if to > self.from => day.to_datetime(to),
            Some(to) => day.tomorrow().ok()?.to_datetime(to),
            None => day.tomorrow().ok()?.to_datetime(Time::midnight()),
        };
        let from = moment(day.to_datetime(self.from), zone, Twice::First)?;
        let to = moment(last, zone, Twice::Second)?;
        (from < to).then_some(Span { from, to })
    }
}

/// Which of two moments is meant by a time that the clock shows twice.
#[derive(Clone, Copy)]
enum Twice {
    First,
    Second,
}

/// The moment at which the clock on the wall shows `time`, or passes it by where it is put forward.
fn moment(time: DateTime, zone: &TimeZone, twice: Twice) -> Option<Timestamp> {
    let at = |offset: jiff::tz::Offset| offset.to_timestamp(time).ok();
    match (zone.to_ambiguous_timestamp(time).offset(), twice) {
        (AmbiguousOffset::Unambiguous { offset }, _) => at(offset),
        (AmbiguousOffset::Fold { before, .. }, Twice::First) => at(before),
        (AmbiguousOffset::Fold { after, .. }, Twice::Second) => at(after),
        // By the later offset the time lies before the change: the change itself is the next one from there.
        (AmbiguousOffset::Gap { after, .. }, _) => {
            let before_the_change = at(after)?;
            zone.following(before_the_change).next().map(|change| change.timestamp())
        }
    }
}

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        let no = |problem: String| WindowError { text: text.to_owned(), problem };
        let words: Vec<&str> = text.split_whitespace().collect();
        let (days, times) = match words.as_slice() {
            [times] => (None, *times),
            [days, times] => (Some(*days), *times),
            _ => return Err(no("it is days, a blank, and two times with a dash between".to_owned())),
        };
        let (from, to) = times.split_once('-').ok_or_else(|| no(format!("{times:?} has no dash between two times")))?;
        let from = time(from).and_then(|time| time.ok_or("24:00 can only be an end".to_owned())).map_err(no)?;
        let to = time(to).map_err(no)?;
        if to == Some(from) {
            return Err(no("it ends when it begins; a whole day is 00:00-24:00".to_owned()));
        }
        let days = days.map_or(Ok([true; 7]), weekdays).map_err(no)?;
        Ok(Self { days, from, to, text: words.join(" ") })
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// `HH:MM`; `None` is 24:00.
fn time(text: &str) -> Result<Option<Time>, String> {
    let number = |digits: &str| {
        let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse::<i8>().ok()).flatten()
    };
    let parsed = text.split_once(':').filter(|(_, minutes)| minutes.len() == 2);
    let (hours, minutes) = parsed
        .and_then(|(hours, minutes)| number(hours).zip(number(minutes)))
        .ok_or_else(|| format!("{text:?} is no time such as 02:30"))?;
    if (hours, minutes) == (24, 0) {
        return Ok(None);
    }
    Time::new(hours, minutes, 0, 0).map(Some).map_err(|_| format!("{text:?} is no time of a day"))
}

/// `Mon..Fri,Sun`, as systemd.time(7) has it.
fn weekdays(text: &str) -> Result<[bool; 7], String> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = match part.split_once("..") {
            Some((first, last)) => (weekday(first)?, weekday(last)?),
            None => (weekday(part)?, weekday(part)?),
        };
        if last < first {
            return Err(format!("{part:?} runs backwards; a week begins on Monday, so write the two parts apart"));
        }
        days[first..=last].fill(true);
    }
    Ok(days)
}

fn weekday(text: &str) -> Result<usize, String> {
    let is = |name: &str| name.eq_ignore_ascii_case(text);
    DAYS.iter()
        .position(|(short, long)| is(short) || is(long))
        .ok_or_else(|| format!("{text:?} is no weekday; those are Mon, Tue, Wed, Thu, Fri, Sat and Sun"))
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
