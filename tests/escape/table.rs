//! Runs the program `attempt` as a module under each shipped profile, and keeps what came of it as a table.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::json;

use crate::outside::{Outside, plant_secrets};
use crate::support::{Module, Root};

/// The profiles that a module is not trusted under.
pub const GATED: [&str; 3] = ["strict", "default", "network"];
const PROFILES: [&str; 5] = ["strict", "default", "network", "package-manager", "legacy"];

/// A row under one profile.
#[derive(Debug, Clone)]
pub struct Cell {
    pub verdict: String,
    pub detail: String,
}

/// What became of every attempt under every profile: number and name, then profile.
pub struct Table(pub BTreeMap<(Number, String), BTreeMap<&'static str, Cell>>);

/// `4a`, in the order of the number and then of the letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub u32, pub String);

impl Number {
    fn new(text: &str) -> Self {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        Self(text[..digits].parse().unwrap(), text[digits..].to_owned())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}{}", self.0, self.1))
    }
}

/// The table of this test run: made once, looked at by several tests.
pub static TABLE: LazyLock<Table> = LazyLock::new(Table::make);

/// The program, which lies beside the one that is tested.
#[track_caller]
pub fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_updates")).with_file_name("attempt");
    assert!(program.exists(), "{} is missing: run `cargo build --workspace` first", program.display());
    program
}

/// A module whose executable is the program.
pub fn module(name: &str, profile: &str) -> Module {
    let program = fs::read(program()).unwrap();
    Module::new(name, "1.0.0").file_with_mode("index", program, 0o755).sandbox("profile", json!(profile))
}

impl Table {
    fn make() -> Self {
        let root = Root::new();
        plant_secrets(&root);
        // A run of its own first, so that database, mirror and checkpoints are there to be found.
        root.install(&Module::idle("before", "1.0.0").declares(&["/srv/data/"]));
        root.run(&["--no-sync"]).0.expect(0);
        let outside = Outside::new(&root);
        let mut table = BTreeMap::<_, BTreeMap<_, _>>::new();
        for profile in PROFILES {
            root.install(&module("escape", profile));
            let arguments: Vec<&str> =
                ["runner", "escape", "--", "all"].into_iter().chain(outside.arguments()).collect();
            let ran = root.updates(&arguments);
            let result = ran.json();
            let rows = result["rows"].as_array().unwrap_or_else(|| panic!("{profile}: {result:#}\n{}", ran.stderr));
            for row in rows {
                let text = |key: &str| row[key].as_str().unwrap_or_else(|| panic!("{profile}: {row}")).to_owned();
                let cell = Cell { verdict: text("verdict"), detail: text("detail") };
                table.entry((Number::new(&text("attempt")), text("name"))).or_default().insert(profile, cell);
            }
        }
        Self(table)
    }

    /// Every row with this verdict under a profile, as `NUMBER under PROFILE: NAME (DETAIL)`.
    pub fn with(&self, verdict: &str, profile: &str) -> impl Iterator<Item = (String, String)> {
        self.0.iter().filter_map(move |((number, name), cells)| {
            let cell = cells.get(profile)?;
            let said = format!("{number} under {profile}: {name} ({})", cell.detail);
            (cell.verdict == verdict).then(|| (number.to_string(), said))
        })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:4} {:56} {}", "", "", PROFILES.map(|profile| format!("{profile:16}")).concat().trim_end())?;
        for ((number, name), cells) in &self.0 {
            let verdicts = PROFILES.map(|profile| match cells.get(profile) {
                // Refused and absent are told apart by the kernel's configuration; what matters is that neither is open.
                Some(cell) if cell.verdict == "open" => format!("{:16}", "OPEN"),
                Some(cell) if cell.verdict == "not_applicable" => format!("{:16}", "-"),
                Some(_) => format!("{:16}", "refused"),
                None => format!("{:16}", "missing"),
            });
            writeln!(f, "{number:4} {name:56} {}", verdicts.concat().trim_end())?;
        }
        Ok(())
    }
}

/// The rows that the program knows.
pub fn known() -> Vec<String> {
    let output = std::process::Command::new(program()).arg("list").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}
