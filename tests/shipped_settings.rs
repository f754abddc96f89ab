//! The settings file as it is shipped: it names every key that there is, and what it says is the default is the default.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test; clippy knows only test functions themselves")]

use std::collections::BTreeMap;
use std::fs;

use updates::config::{Config, Layout, load};

const SHIPPED: &str = include_str!("../packaging/config/config.toml");

/// The settings of a machine whose `config.toml` is `text`; its mistake instead when it has one.
fn settings(text: &str) -> Result<Config, String> {
    let root = tempfile::tempdir().unwrap();
    let layout = Layout::new(root.path());
    fs::create_dir_all(layout.settings()).unwrap();
    fs::write(layout.config_file(), text).unwrap();
    load(&layout, None).map(|loaded| loaded.config).map_err(|error| error.to_string())
}

/// The names in backticks after `expected`, with which an unknown key is refused.
fn known(text: &str) -> Vec<String> {
    let error = settings(text).unwrap_err();
    let expected = error.split_once("expected").unwrap_or_else(|| panic!("no names in {error}")).1;
    let mut names: Vec<_> = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    names.sort();
    names
}

/// The keys of each section as they stand there commented out.
fn described() -> BTreeMap<&'static str, Vec<String>> {
    let mut sections = BTreeMap::new();
    let mut section = "";
    for line in SHIPPED.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
            sections.insert(section, Vec::new());
        } else if let Some((key, _)) = commented(line) {
            sections.get_mut(section).unwrap().push(key.to_owned());
        }
    }
    for keys in sections.values_mut() {
        keys.sort();
    }
    sections
}

/// A key and its value from a line such as `#branch = "main"`; prose has a space after the sign.
fn commented(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).and_then(|rest| rest.split_once(" = "))
}

/// The file with every key in force, or only those whose value is said to be the default.
fn in_force(examples: bool) -> String {
    let mut example = false;
    let mut text = String::new();
    for line in SHIPPED.lines() {
        match commented(line) {
            Some(_) if examples || !example => text.push_str(&line[1..]),
            _ => text.push_str(line),
        }
        text.push('\n');
        example = line == "# Example:";
    }
    text
}

#[test]
fn the_shipped_settings_change_nothing() {
    assert_eq!(settings(SHIPPED), settings(""));
}

#[test]
fn what_is_said_to_be_the_default_is_the_default() {
    let text = in_force(false);
    assert!(text.contains("\nbranch = "), "{text}");
    assert_eq!(settings(&text), settings(""));
}

#[test]
fn every_example_is_taken() {
    let config = settings(&in_force(true)).unwrap();
    assert!(config.source.url.is_some());
}

#[test]
fn every_key_that_there_is_is_described() {
    let described = described();
    assert_eq!(described.keys().copied().collect::<Vec<_>>(), known("no_such_section = 1\n"));
    for (section, keys) in described {
        assert_eq!(keys, known(&format!("[{section}]\nno_such_key = 1\n")), "[{section}]");
    }
}
