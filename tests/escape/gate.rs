//! The gate: nothing is open under a profile that a module is not trusted under, but for what is allowed on purpose.

use std::collections::BTreeSet;

use crate::allowed::{ALLOWED, NOT_APPLICABLE};
use crate::table::{GATED, TABLE, known};

#[test]
fn nothing_is_open_under_a_profile_that_does_not_allow_it() {
    let mut open = Vec::new();
    for profile in GATED {
        let wrong = TABLE.with("open", profile).filter(|(number, _)| !allows(profile, number));
        open.extend(wrong.map(|(_, said)| said));
    }
    assert!(open.is_empty(), "{} open:\n{}", open.len(), open.join("\n"));
}

#[test]
fn what_is_allowed_on_purpose_is_still_there_to_be_allowed() {
    // By line: a machine without IPv6 has one of its ways less.
    let line = |number: &str| number.trim_end_matches(|c: char| c.is_ascii_lowercase()).to_owned();
    for (number, profile, reason) in ALLOWED {
        let open = TABLE.with("open", profile).any(|(open, _)| line(&open) == line(number));
        assert!(open, "nothing of {number} is open under {profile} any more: take it off the list ({reason})");
    }
}

#[test]
fn every_attempt_is_made_under_every_profile() {
    let known: BTreeSet<_> = known().into_iter().collect();
    let made: BTreeSet<_> = TABLE.0.keys().map(|(number, _)| number.to_string()).collect();
    assert_eq!(known, made);
    let mut skipped = Vec::new();
    for profile in GATED {
        let on_purpose = |number: &str| NOT_APPLICABLE.contains(&(number, profile));
        skipped.extend(TABLE.with("not_applicable", profile).filter(|(number, _)| !on_purpose(number)));
    }
    assert!(skipped.is_empty(), "not tried: {skipped:#?}");
    for ((number, name), cells) in &TABLE.0 {
        assert_eq!(cells.len(), 5, "{number} {name}");
    }
}

#[test]
fn the_table_of_attempts_and_profiles() {
    insta::assert_snapshot!(&*TABLE);
}

fn allows(profile: &str, number: &str) -> bool {
    ALLOWED.iter().any(|(allowed, under, _)| *allowed == number && *under == profile)
}
