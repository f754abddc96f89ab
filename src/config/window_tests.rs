//! Windows against the calendar: what is inside, what comes next, and the nights on which the clock is changed.

use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use proptest::prelude::*;

use super::*;

fn windows(texts: &[&str]) -> MaintenanceWindow {
    MaintenanceWindow::new(texts.iter().map(|text| text.parse().unwrap()).collect())
}

fn berlin(text: &str) -> Zoned {
    text.parse::<DateTime>().unwrap().to_zoned(zone()).unwrap()
}

// Written out as POSIX has it, so that no test depends on the machine's time zone database.
fn zone() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn is_open(texts: &[&str], now: &str) -> bool {
    windows(texts).at(&berlin(now)) == WindowState::Open
}

fn opens(texts: &[&str], now: &str) -> String {
    match windows(texts).at(&berlin(now)) {
        WindowState::Open => "now".to_owned(),
        WindowState::Closed { opens: Some(opens) } => opens.strftime("%a %F %H:%M %z").to_string(),
        WindowState::Closed { opens: None } => "never".to_owned(),
    }
}

#[test]
fn a_window_begins_with_its_first_minute_and_ends_before_its_last() {
    for (now, inside) in [("01:59", false), ("02:00", true), ("03:59", true), ("04:00", false)] {
        assert_eq!(is_open(&["02:00-04:00"], &format!("2026-06-10T{now}")), inside, "{now}");
    }
    assert!(is_open(&["22:00-24:00"], "2026-06-10T23:59:59.999"));
    assert!(!is_open(&["22:00-24:00"], "2026-06-11T00:00"));
    assert!(is_open(&[], "2026-06-11T00:00"), "without windows every moment is inside");
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
    // 2026-06-12 is a Friday.
    let window = ["Fri 22:00-06:00"];
    for (now, inside) in [("12T21:59", false), ("12T22:00", true), ("13T05:59", true), ("13T06:00", false)] {
        assert_eq!(is_open(&window, &format!("2026-06-{now}")), inside, "{now}");
    }
    assert!(!is_open(&window, "2026-06-12T03:00"), "that is the night of Thursday");
}

#[test]
fn days_are_lists_and_ranges_by_their_short_and_long_names() {
    // 2026-06-08 is a Monday.
    for (days, expected) in [
        ("Mon..Fri", "1111100"),
        ("Sat,Sun", "0000011"),
        ("mon..tue,Thursday,SUN", "1101001"),
        ("Wed..Wed", "0010000"),
        ("Mon..Sunday", "1111111"),
    ] {
        let text = format!("{days} 00:00-24:00");
        let found: String =
            (8..15).map(|day| if is_open(&[&text], &format!("2026-06-{day:02}T12:00")) { '1' } else { '0' }).collect();
        assert_eq!(found, expected, "{days}");
    }
}

#[test]
fn the_next_opening_is_the_earliest_of_all_windows() {
    assert_eq!(opens(&["Sat,Sun 02:00-04:00", "Wed 23:00-01:00"], "2026-06-10T12:00"), "Wed 2026-06-10 23:00 +0200");
    assert_eq!(opens(&["Sat,Sun 02:00-04:00"], "2026-06-10T12:00"), "Sat 2026-06-13 02:00 +0200");
    assert_eq!(opens(&["Wed 02:00-04:00"], "2026-06-10T04:00"), "Wed 2026-06-17 02:00 +0200");
    assert_eq!(opens(&["02:00-04:00"], "2026-06-10T03:00"), "now");
}

#[test]
fn on_the_night_that_is_an_hour_short_the_window_ends_by_the_clock_all_the_same() {
    // At 02:00 on 2026-03-29 it is 03:00.
    assert!(is_open(&["22:00-06:00"], "2026-03-29T05:59"));
    assert!(!is_open(&["22:00-06:00"], "2026-03-29T06:00"));
    assert_eq!(opens(&["02:30-04:00"], "2026-03-29T01:00"), "Sun 2026-03-29 03:00 +0200");
    assert!(!is_open(&["01:00-02:30"], "2026-03-29T03:00"));
    assert_eq!(opens(&["02:00-03:00"], "2026-03-29T01:00"), "Mon 2026-03-30 02:00 +0200", "there is no such hour");
    assert_eq!(opens(&["Sun 02:00-03:00"], "2026-03-29T01:00"), "Sun 2026-04-05 02:00 +0200");
}

#[test]
fn on_the_night_that_is_an_hour_long_the_window_is_not_shut_in_between() {
    // At 03:00 on 2026-10-25 it is 02:00 once more.
    let first: Timestamp = "2026-10-25T00:15:00Z".parse().unwrap();
    for minutes in (0..105).step_by(15) {
        let now = (first + minutes.minutes()).to_zoned(zone());
        assert_eq!(windows(&["02:15-03:00"]).at(&now), WindowState::Open, "{now}");
    }
    assert!(!is_open(&["02:15-03:00"], "2026-10-25T03:00"));
}

#[test]
fn what_is_no_window_is_refused_with_the_part_that_is_wrong() {
    for (text, expected) in [
        ("", "days, a blank, and two times"),
        ("22:00", "has no dash"),
        ("22-23", "\"22\" is no time such as 02:30"),
        ("22:00-25:00", "\"25:00\" is no time of a day"),
        ("22:00-22:60", "no time of a day"),
        ("24:00-01:00", "24:00 can only be an end"),
        ("02:00-02:00", "a whole day is 00:00-24:00"),
        ("Fri..Mon 22:00-23:00", "runs backwards"),
        ("Mo 22:00-23:00", "\"Mo\" is no weekday"),
        ("Mon, 22:00-23:00", "\"\" is no weekday"),
        ("Mon Tue 22:00-23:00", "days, a blank"),
        ("-1:00-02:00", "is no time"),
        ("+2:00-03:00", "is no time"),
    ] {
        let error = text.parse::<Window>().unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("write for example"), "{text}: {error}");
    }
}

prop_compose! {
    fn any_window()(days in 1u8..128, from in 0i64..1440, length in 1i64..1440) -> String {
        let names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        let days: Vec<&str> = (0..7).filter(|bit| days & (1 << bit) != 0).map(|bit| names[bit]).collect();
        let to = (from + length) % 1440;
        format!("{} {:02}:{:02}-{:02}:{:02}", days.join(","), from / 60, from % 60, to / 60, to % 60)
    }
}

proptest! {
    #[test]
    fn the_clock_on_the_wall_decides(text in any_window(), minutes in 0i64..(370 * 1440)) {
        let start = date(2026, 1, 1).to_zoned(zone()).unwrap();
        let now = (start.timestamp() + minutes.minutes()).to_zoned(zone());
        let window: Window = text.parse().unwrap();
        // The definition, by the clock's face alone.
        let (time, day) = (now.time(), now.date());
        let named = |day: Date| window.days[usize::try_from(day.weekday().to_monday_zero_offset()).unwrap()];
        let to = window.to.unwrap();
        let inside = if window.from < to {
            named(day) && window.from <= time && time < to
        } else {
            (named(day) && window.from <= time) || (named(day.yesterday().unwrap()) && time < to)
        };
        let found = MaintenanceWindow::new(vec![window]).at(&now) == WindowState::Open;
        // In the hour that the clock shows twice, a window stays open that has not ended the second time.
        let repeated = now.timestamp() >= "2026-10-25T00:00:00Z".parse().unwrap()
            && now.timestamp() < "2026-10-25T02:00:00Z".parse().unwrap();
        prop_assert!(found == inside || (repeated && found), "{text} at {now}: {found}");
    }

    #[test]
    fn it_opens_at_the_moment_that_was_said_and_not_before(text in any_window(), minutes in 0i64..(370 * 1440)) {
        let start = date(2026, 1, 1).to_zoned(zone()).unwrap();
        let now = (start.timestamp() + minutes.minutes()).to_zoned(zone());
        let windows = windows(&[&text]);
        if let WindowState::Closed { opens } = windows.at(&now) {
            let opens = opens.unwrap();
            prop_assert!(opens > now);
            prop_assert_eq!(windows.at(&opens), WindowState::Open);
            let just_before = (opens.timestamp() - 1.second()).to_zoned(zone());
            prop_assert_ne!(windows.at(&just_before), WindowState::Open);
        }
    }

    #[test]
    fn a_window_is_printed_as_it_was_written(text in any_window()) {
        let window: Window = text.parse().unwrap();
        prop_assert_eq!(serde_json::to_value(&window).unwrap(), text);
    }

    #[test]
    fn a_text_is_a_window_for_good_or_is_quoted_in_the_refusal(text in "\\PC{0,40}") {
        match text.parse::<Window>() {
            Ok(window) => prop_assert_eq!(window.text.parse::<Window>(), Ok(window)),
            Err(error) => prop_assert!(error.to_string().starts_with(&format!("{text:?}"))),
        }
    }
}
