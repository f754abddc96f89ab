//! The layer table of ARCHITECTURE.md, held against the imports: a part uses only parts below its own layer, and the
//! composing layer alone puts two of one layer together.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const ARCHITECTURE: &str = include_str!("../ARCHITECTURE.md");

/// Reads the rows `| L2 | src/source, src/catalog | … |` of the table: the part's name, and its layer.
fn layers() -> BTreeMap<String, u32> {
    let mut layers = BTreeMap::new();
    for line in ARCHITECTURE.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let Some(layer) = cells.get(1).and_then(|cell| cell.strip_prefix('L')).and_then(|n| n.parse().ok()) else {
            continue;
        };
        for part in cells[2].split(',') {
            if let Some(name) = part.trim().trim_matches('`').strip_prefix("src/") {
                layers.insert(name.to_owned(), layer);
            }
        }
    }
    layers
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The parts that a file names by `crate::part` or, in the program itself, by `updates::part`.
fn imports(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    for prefix in ["crate::", "updates::"] {
        for (at, _) in text.match_indices(prefix) {
            let before = text[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &text[at + prefix.len()..];
            let names = match rest.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap_or_default().to_owned(),
                None => rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect(),
            };
            parts.extend(names.split(',').map(|name| name.trim().split("::").next().unwrap_or_default().to_owned()));
        }
    }
    parts
}

#[test]
fn every_part_has_a_layer_and_imports_only_from_below() {
    let layers = layers();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut checked = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(&root).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let part = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let layer = *layers.get(&part).unwrap_or_else(|| panic!("src/{part} has no layer in ARCHITECTURE.md"));
        let mut files = Vec::new();
        sources(&folder, &mut files);
        for file in files {
            for import in imports(&fs::read_to_string(&file).unwrap()) {
                let Some(&other) = layers.get(&import) else { continue };
                checked += 1;
                // `fs` is the ground of its layer: settings and records are read from files too.
                if import != part && other >= layer && !(import == "fs" && layer == 1) {
                    wrong.push(format!("{}: L{layer} {part} imports L{other} {import}", file.display()));
                }
            }
        }
    }
    assert!(checked > 20, "the imports were not found: only {checked}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_runner_cannot_link_what_belongs_to_the_supervisor() {
    let manifest = include_str!("../runner/Cargo.toml");
    for library in ["git2", "rusqlite", "clap"] {
        assert!(!manifest.contains(library), "the runner depends on {library}");
    }
}

#[test]
fn every_source_file_opens_with_its_purpose() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "runner/src", "runner/protocol/src"] {
        sources(&root.join(folder), &mut files);
    }
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//!"), "{} does not open with //!", file.display());
        let lines = text.lines().count();
        assert!(lines <= 500, "{} has {lines} lines; one subject a file, 500 at most", file.display());
    }
}
