//! The invocation: all that one attempt of one module needs, in one value.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ModuleName, RunId, SandboxPlan};

/// The number of this protocol.
pub const PROTOCOL: u32 = 1;

/// What the supervisor hands to a runner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Invocation {
    /// What the module may know of it.
    #[serde(flatten)]
    pub module: ModuleInvocation,
    /// What is run, and how.
    pub entry: Entry,
    /// The whole environment of the module.
    pub environment: BTreeMap<String, String>,
    /// The sandbox to enter first.
    pub sandbox: SandboxPlan,
    /// What the runner holds for as long as anything of the module may live; absent where nothing is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
}

/// Proof against two supervisors at once: a file that names the supervisor whose runners may start.
///
/// A runner takes a shared flock(2) of it before it looks at the name, and the next supervisor an exclusive one before it
/// writes its own: so a runner that was left behind has either ended by then, or never starts a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The file, as the runner sees it.
    pub file: PathBuf,
    /// What it holds while it is this supervisor's turn; at most [`Turn::MAX_NAME`] bytes.
    pub name: String,
}

impl Turn {
    /// The longest name, in bytes.
    pub const MAX_NAME: usize = 100;
}

/// The part of an invocation that the module itself is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModuleInvocation {
    /// Always [`PROTOCOL`].
    pub protocol: u32,
    /// The module's name.
    pub module: ModuleName,
    /// The run that this attempt belongs to.
    pub run_id: RunId,
    /// 1, or 2 after the module asked to be restarted.
    pub attempt: u32,
    /// Which part of the module runs.
    pub phase: Phase,
    /// Whether nothing may be changed.
    pub check: bool,
    /// What reaches `main(args)`.
    pub arguments: Vec<String>,
    /// The module's folder, as the module sees it.
    pub directory: PathBuf,
    /// The module's own state directory, as the module sees it.
    pub state_directory: PathBuf,
    /// The effective `index.json`.
    pub manifest: Map<String, Value>,
}

/// Which part of a module runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// `maintenance.py`.
    Maintenance,
    /// `main(args)`, or the executable.
    Main,
}

impl Phase {
    /// The word used on command lines and in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Maintenance => "maintenance",
            Phase::Main => "main",
        }
    }
}

/// What is executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// A Python file, hosted by the SDK.
    Python {
        /// The interpreter, as seen inside.
        interpreter: PathBuf,
        /// The SDK's folder, as seen inside.
        sdk: PathBuf,
        /// The file, as seen inside.
        file: PathBuf,
    },
    /// Any other executable.
    Executable {
        /// The file, as seen inside.
        file: PathBuf,
    },
}
