//! `updates sandbox …`: what a module may do and why, what it asks for, and how exposed that leaves the machine.

mod explain;
mod grant;
mod learn;
mod score;
mod show;

use updates::catalog::Installed;
use updates::process::CancelToken;
use updates::profile::Profiles;
use updates::record::ExitStatus;
use updates_protocol::ModuleName;

use super::args::{SandboxCommand, SourceArgs};
use super::error::CliError;
use super::inspect::read_catalog;
use super::{Session, installation};

/// `updates sandbox`
pub fn sandbox(session: &Session<'_>, cancel: CancelToken, command: &SandboxCommand) -> Result<ExitStatus, CliError> {
    match command {
        SandboxCommand::Show { module } => show::show(session, module),
        SandboxCommand::Grant { module, version, yes, source, branch } => {
            let source = SourceArgs {
                source: source.clone(),
                branch: branch.clone(),
                no_sync: false,
                allow_non_fast_forward: false,
            };
            grant::grant(session, cancel, module, version.as_ref(), &source, *yes)
        }
        SandboxCommand::Learn(arguments) => learn::learn(session, cancel, arguments),
        SandboxCommand::Score { modules } => score::score(session, modules),
    }
}

fn profiles(session: &Session<'_>) -> Result<Profiles, CliError> {
    Ok(Profiles::load(&session.layout.local_profiles(), &installation::find()?.profiles))
}

/// The installed modules of these names, in their order; all where none is named.
fn installed(session: &Session<'_>, names: &[ModuleName]) -> Result<Vec<Installed>, CliError> {
    let (installed, broken) = read_catalog(session)?;
    if names.is_empty() {
        return Ok(installed);
    }
    let find = |name: &ModuleName| {
        if let Some(module) = installed.iter().find(|module| module.name == *name) {
            return Ok(module.clone());
        }
        let problem = broken.iter().find(|broken| broken.name == name.as_str()).map(|broken| broken.problem.clone());
        Err(CliError::NotFound(problem.unwrap_or_else(|| format!("no module {name} is installed; see: updates list"))))
    };
    names.iter().map(find).collect()
}
