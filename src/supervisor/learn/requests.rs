//! What a module asks of the supervisor while it is learnt from: answered as if granted, done nowhere.
//!
//! Backups go to a scratch folder that is removed; services and permissions stay as they are, and the module is told
//! that all went well, so that it goes on to show what else it needs.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};
use updates_protocol::DeclaredPath;

use crate::supervisor::requests::Grants;

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Units to control, or to look at.
    pub(super) services: BTreeSet<String>,
    /// Paths whose owner or mode is to be set.
    pub(super) permissions: BTreeSet<PathBuf>,
    /// Paths to back up.
    pub(super) saved: BTreeSet<PathBuf>,
    /// What was answered without being done, and what could not be answered.
    pub(super) notes: BTreeSet<String>,
}

/// Answers one module.
pub(super) struct Answers<'a> {
    grants: Grants<'a>,
    asked: RefCell<Asked>,
}

impl<'a> Answers<'a> {
    /// `grants` are those of a scratch folder, of which nothing is kept.
    pub(super) fn new(grants: Grants<'a>) -> Self {
        Self { grants, asked: RefCell::default() }
    }

    pub(super) fn answer(
        &self,
        operation: &str,
        arguments: Map<String, Value>,
        left: Duration,
    ) -> Result<Value, String> {
        let mut asked = self.asked.borrow_mut();
        match operation.split('.').next().unwrap_or_default() {
            "service" => {
                let unit = arguments.get("unit").and_then(Value::as_str).unwrap_or_default().to_owned();
                asked.services.insert(unit.clone());
                if operation == "service.status" {
                    return Ok(json!({
                        "unit": unit, "active": true, "load_state": "loaded", "active_state": "active",
                        "sub_state": "running", "unit_file_state": "enabled",
                    }));
                }
                asked.notes.insert(format!("{operation} was answered with success and not done"));
                let done = operation.trim_start_matches("service.");
                Ok(json!({"unit": unit, "done": done}))
            }
            "permissions" => {
                let targets = arguments.get("targets").and_then(Value::as_array).into_iter().flatten();
                let paths = targets.filter_map(|target| target.get("path")?.as_str());
                asked.permissions.extend(paths.map(PathBuf::from));
                asked.notes.insert(format!("{operation} was answered with success and not done"));
                Ok(json!({"changed": 0}))
            }
            "state" => {
                asked.saved.extend(texts(&arguments, &["files"]).map(PathBuf::from));
                if operation == "state.restore" {
                    asked.notes.insert("state.restore was answered, but put nothing back on the overlay".to_owned());
                }
                self.grants.answer(operation, arguments, left).map_err(|denial| denial.to_string())
            }
            _ => {
                asked.notes.insert(format!("{operation} was refused: it can't be tried on an overlay"));
                Err(format!("{operation} is refused while the module is learnt from"))
            }
        }
    }

    pub(super) fn into_asked(self) -> Asked {
        self.asked.into_inner()
    }
}

// Every text at one of `keys`, in lists as well.
fn texts<'v>(arguments: &'v Map<String, Value>, keys: &'v [&str]) -> impl Iterator<Item = String> + 'v {
    let values = keys.iter().filter_map(|key| arguments.get(*key));
    let flat = values.flat_map(|value| match value {
        Value::Array(items) => items.iter().collect::<Vec<_>>(),
        other => vec![other],
    });
    flat.filter_map(Value::as_str).map(str::to_owned)
}

/// Whether a module may name this path in a declaration at all.
pub(super) fn is_declarable(path: &Path) -> bool {
    path.to_str().is_some_and(|text| DeclaredPath::new(text).is_ok())
}
