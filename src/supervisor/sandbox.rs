//! Gathering the facts that a profile needs to become the plan of a sandbox.

use std::path::{Path, PathBuf};

use updates_protocol::{DeclaredPath, Identity, ModuleName, SandboxPlan};

use super::RunContext;
use super::reach::is_hidden;
use super::target::Target;
use super::view::View;
use super::volatile::Volatile;
use super::writable::{Entry, EntryState, own_place};
use crate::config::{Layout, Machine};
use crate::fs::PathError;
use crate::process::CgroupLimits;
use crate::profile::{IdentityError, Place, PlanInput, Profile, TopLevel, plan as resolve};

/// Why a plan can't be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlanError {
    /// A place can't be looked at.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The profile's user is not there.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A path to be read is another name of one that is hidden.
    #[error(
        "sandbox.read_only_paths: {path} leads to {}, which is hidden or holds what is; name that one, so that it can be \
         granted",
        real.display()
    )]
    Hidden {
        /// As the module names it.
        path: DeclaredPath,
        /// The same place without a link.
        real: PathBuf,
    },
}

/// The limits that a cgroup enforces.
pub(super) fn cgroup_limits(profile: &Profile) -> CgroupLimits {
    CgroupLimits {
        tasks_max: Some(profile.tasks_max),
        memory_max: Some(profile.memory_max),
        cpu_quota: profile.cpu_quota,
    }
}

/// The plan of one attempt.
pub(super) fn plan(
    context: &RunContext<'_>,
    target: &Target,
    writable: &[Entry],
    cgroup_procs: Vec<PathBuf>,
) -> Result<SandboxPlan, PlanError> {
    let layout = &context.supervisor.layout;
    let machine = layout.machine();
    refuse_detours(&target.profile, &target.manifest.sandbox.read_only_paths, &View::new(machine.clone()))?;
    let there = |place: &Place| place.source.symlink_metadata().is_ok_and(|found| !found.is_symlink());
    let declared = writable
        .iter()
        .filter(|entry| entry.state != EntryState::Link)
        .map(|entry| Place { source: entry.place.clone(), target: entry.path.as_path().to_owned() });
    let located = |path: &updates_protocol::DeclaredPath| Place {
        source: machine.locate(path),
        target: path.as_path().to_owned(),
    };
    let volatile = Volatile::resolve(layout, &context.host_top, &target.profile);
    // In a check nothing may be made, so that there is nothing of `/run` to see before the first run since the start.
    let mountable =
        |place: &Place| !context.check || place.target != Path::new("/run") || place.source.join("updates").is_dir();
    let own = |path: PathBuf| Place { target: inside(layout, &path), source: path };
    let input = PlanInput {
        host_top: context.host_top.clone(),
        // Read for each attempt: a folder that is declared may have been made just now.
        machine_top: match &machine {
            Machine::Host => Vec::new(),
            Machine::Root(root) => TopLevel::list(root)?,
        },
        writable: declared.chain(volatile.bound).filter(there).filter(mountable).collect(),
        laid_over: if context.check { Vec::new() } else { volatile.laid_over },
        read_only: target.profile.read_only_paths.iter().map(located).filter(there).collect(),
        check: context.check,
        sdk: context.supervisor.installation.sdk.clone(),
        module_directory: Place { source: target.code.clone(), target: target.inside.clone() },
        state_directory: state_directory(context, &target.manifest.name),
        effective_index: target.effective_index.clone(),
        protected: [layout.modules(), layout.settings()].into_iter().map(own).filter(there).collect(),
        hidden: vec![PathBuf::from("/var/lib/updates"), PathBuf::from("/var/backups/updates")],
        cgroup_procs,
        identity: identity(context, target)?,
        hostname: context.hostname.clone(),
        machine,
    };
    Ok(resolve(&target.profile, &input))
}

// A grant is of a name. A link would make it one of whatever it leads to, and another module may have made the link.
fn refuse_detours(profile: &Profile, paths: &[DeclaredPath], view: &View) -> Result<(), PlanError> {
    for path in paths {
        let real = view.resolve(path.as_path());
        if real != path.as_path() && (is_hidden(profile, &real) || own_place(&real).is_some()) {
            return Err(PlanError::Hidden { path: path.clone(), real });
        }
    }
    Ok(())
}

/// Whom a module runs as on the machine that modules see.
pub(super) fn identity(context: &RunContext<'_>, target: &Target) -> Result<Option<Identity>, IdentityError> {
    target.profile.user.resolve(&target.manifest.name, context.supervisor.layout.root())
}

/// Where a module's state directory lies, and where the module sees it.
///
/// In a check nothing may be made: a module that never ran sees an empty folder instead, in the sandbox's own `/run`,
/// since there may be no folder of the machine's to show it in.
pub(super) fn state_directory(context: &RunContext<'_>, name: &ModuleName) -> Place {
    let layout = &context.supervisor.layout;
    let target = layout.module_state(name);
    let source = layout.root().join(target.strip_prefix("/").unwrap_or(&target));
    match &context.empty {
        Some(empty) if !source.is_dir() => {
            Place { source: empty.clone(), target: Path::new("/run/updates/state").join(name.as_str()) }
        }
        _ => Place { source, target },
    }
}

fn inside(layout: &Layout, path: &Path) -> PathBuf {
    Path::new("/").join(path.strip_prefix(layout.root()).unwrap_or(path))
}
