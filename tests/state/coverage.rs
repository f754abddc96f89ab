//! Where each line of the list of faults is tested. A test declares its lines in a comment `faults: 12 20` right above its
//! attribute; a line that no test declares fails here, and so does a declaration above nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The lines of the state manager, and from 62 on those of the supervisor's own updates and of its source.
const LINES: std::ops::RangeInclusive<u32> = 1..=68;

const MARK: &str = "// faults:";

#[test]
fn every_fault_of_the_list_is_tested() {
    let declared = declarations();
    let missing: Vec<_> = LINES.filter(|line| !declared.contains_key(line)).collect();
    assert!(missing.is_empty(), "no test declares {missing:?}");
    let unknown: Vec<_> = declared.iter().filter(|(line, _)| !LINES.contains(line)).collect();
    assert!(unknown.is_empty(), "there are no such lines: {unknown:?}");
}

/// The tests by line, each as file and name.
fn declarations() -> BTreeMap<u32, BTreeSet<String>> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    ["src", "tests", "runner"].iter().for_each(|folder| sources(&top.join(folder), &mut files));
    let mut found = BTreeMap::<u32, BTreeSet<String>>::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        for (at, numbers) in lines.iter().enumerate().filter_map(|(at, line)| Some((at, line.strip_prefix(MARK)?))) {
            let place = format!("{}:{}", file.display(), at + 1);
            // Other attributes and further comments may stand between.
            let mut below = lines[at + 1..].iter().skip_while(|line| line.starts_with("//"));
            let is_test = below.clone().take_while(|line| line.starts_with("#[")).any(|line| *line == "#[test]");
            let name = below.find_map(|line| line.strip_prefix("fn ")).and_then(|rest| rest.split('(').next());
            assert!(is_test, "{place}: a declaration above no test");
            for number in numbers.split_whitespace() {
                let number = number.parse().unwrap_or_else(|_| panic!("{place}: {number} is no line"));
                found.entry(number).or_default().insert(format!("{} {}", file.display(), name.unwrap_or_default()));
            }
        }
    }
    found
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}
