//! From an operation's name to its answer, and what all operations share: the module's declared set.

use std::time::Duration;

use serde_json::{Map, Value};
use updates_protocol::{Database, DeclaredPath, ModuleName, Phase, UnitName};

use super::Denial;
use crate::fs::PathError;
use crate::permissions::Closed;
use crate::supervisor::Supervisor;
use crate::supervisor::journal::Journal;
use crate::supervisor::target::Target;

/// Everything that can be asked for.
pub(in crate::supervisor) const OPERATIONS: [&str; 15] = [
    "state.backup",
    "state.restore",
    "state.info",
    "state.list",
    "state.remove",
    "permissions.set",
    "service.status",
    "service.start",
    "service.stop",
    "service.restart",
    "service.reload",
    "service.enable",
    "service.disable",
    "version.list",
    "version.checkout",
];

/// What looks and changes nothing: all that is granted in a check.
const LOOKING: [&str; 4] = ["state.info", "state.list", "service.status", "version.list"];

/// Answers the requests of one module during one attempt.
pub(in crate::supervisor) struct Grants<'a> {
    pub(super) supervisor: &'a Supervisor,
    pub(super) module: &'a ModuleName,
    pub(super) declared: Vec<DeclaredPath>,
    /// Paths inside the declared ones that the module may not write.
    pub(super) closed: Closed,
    pub(super) units: Vec<UnitName>,
    pub(super) databases: Vec<Database>,
    pub(super) check: bool,
    pub(super) journal: &'a Journal<'a>,
    pub(super) target: &'a Target,
    pub(super) phase: Phase,
}

impl<'a> Grants<'a> {
    /// The grants of `target`, which may write its declared paths and `further` ones. In a check nothing that changes
    /// anything is granted.
    pub(in crate::supervisor) fn new(
        supervisor: &'a Supervisor,
        target: &'a Target,
        further: impl Iterator<Item = DeclaredPath>,
        journal: &'a Journal<'a>,
        phase: Phase,
        check: bool,
    ) -> Result<Self, PathError> {
        let mut declared = target.declared();
        declared.extend(further);
        declared.sort();
        declared.dedup();
        let profile = &target.profile;
        let closed = profile.read_only_paths.iter().chain(&profile.inaccessible_paths).cloned();
        let closed = Closed::find(&supervisor.layout.machine(), closed)?;
        let manifest = &target.manifest;
        let (units, databases) = (target.units().cloned().collect(), manifest.databases.clone());
        Ok(Self {
            supervisor,
            module: &manifest.name,
            declared,
            closed,
            units,
            databases,
            check,
            journal,
            target,
            phase,
        })
    }

    /// Does what is asked within `left`, or says why not.
    pub(in crate::supervisor) fn answer(
        &self,
        operation: &str,
        arguments: Map<String, Value>,
        left: Duration,
    ) -> Result<Value, Denial> {
        if !OPERATIONS.contains(&operation) {
            let shown: String = operation.chars().take(80).collect();
            return Err(format!("{shown:?} is not something that a module can ask for").into());
        }
        if self.check && !LOOKING.contains(&operation) {
            return Err(format!("{operation} is refused: a check changes nothing").into());
        }
        match operation.split_once('.') {
            Some(("state", what)) => self.state(what, operation, arguments),
            Some(("service", what)) => self.service(what, parse(operation, arguments)?, left),
            Some(("permissions", _)) => self.set_permissions(parse(operation, arguments)?, left),
            Some((_, what)) => self.version(what, parse(operation, arguments)?),
            None => Err(format!("{operation} is not something that a module can ask for").into()),
        }
    }

    /// Checks that a path lies within what the module declares.
    pub(super) fn own_path(&self, text: &str) -> Result<DeclaredPath, Denial> {
        let path = DeclaredPath::new(text).map_err(|problem| format!("the path {text:?} {problem}"))?;
        if self.declared.iter().any(|declared| path.is_within(declared)) {
            return Ok(path);
        }
        let known = self.declared.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Err(format!(
            "{path} is not declared by {}: add it to configuration.backup_paths in index.json (declared: {known})",
            self.module
        )
        .into())
    }
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(
    operation: &str,
    arguments: Map<String, Value>,
) -> Result<T, Denial> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| format!("{operation}: {error}").into())
}
