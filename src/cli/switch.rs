//! `enable` and `disable`: one key in the module's local settings, never in the file it was shipped with.

use serde_json::json;
use updates::catalog::Catalog;
use updates::record::ExitStatus;

use super::Session;
use super::args::SwitchArgs;
use super::error::CliError;

/// Enables or disables a module, or one component of it.
pub fn switch(session: &Session<'_>, arguments: &SwitchArgs, enabled: bool) -> Result<ExitStatus, CliError> {
    let catalog = Catalog::open(&session.layout);
    let changed = catalog.set_enabled(&arguments.module, enabled, arguments.component.as_deref())?;
    let word = if enabled { "enabled" } else { "disabled" };
    let file = session.layout.local_patch(&arguments.module);
    let json = json!({"module": arguments.module, "component": arguments.component, "enabled": enabled, "changed": changed, "file": file});
    session.print(&json, || {
        let what = match &arguments.component {
            Some(component) => format!("{component} of {}", arguments.module),
            None => arguments.module.to_string(),
        };
        if changed {
            format!("{what} is {word} now, in {}\n", file.display())
        } else {
            format!("{what} was {word} already\n")
        }
    })?;
    Ok(ExitStatus::Success)
}
