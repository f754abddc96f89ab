//! Requests for owners and modes of paths that the module declares.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Denial, Grants, failed};
use crate::permissions::{self, PermissionTarget, Scope};

#[derive(Deserialize)]
pub(super) struct PermissionArguments {
    targets: Vec<PermissionTarget>,
}

impl Grants<'_> {
    pub(super) fn set_permissions(&self, arguments: PermissionArguments, left: Duration) -> Result<Value, Denial> {
        for target in &arguments.targets {
            self.own_path(&target.path.to_string())?;
        }
        let scope = Scope {
            machine: &self.supervisor.layout.machine(),
            declared: &self.declared,
            closed: &self.closed,
            until: Instant::now() + left,
            is_cancelled: &|| self.supervisor.cancel.reason().is_some(),
        };
        match permissions::apply(&scope, &arguments.targets) {
            Ok(changed) => Ok(json!({"changed": changed})),
            Err(error) if error.is_refusal() => Err(error.to_string().into()),
            Err(error) => Err(failed(error)),
        }
    }
}
