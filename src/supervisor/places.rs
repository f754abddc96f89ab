//! Folders that have to be there before a module runs: the supervisor's own that the module could make in its stead, and
//! the module's state directory, owned by whom it runs as.

use std::path::Path;

use updates_protocol::DeclaredPath;

use super::target::Target;
use super::{RunContext, sandbox};
use crate::fs::{Root, create_directory, give};
use crate::profile::is_dynamic;

/// Makes them. Returns the state directory; a check makes nothing, and has none where the module never ran.
pub(super) fn make(context: &RunContext<'_>, target: &Target) -> Result<Option<DeclaredPath>, String> {
    make_own_places(context, target)?;
    state_directory(context, target)
}

/// The supervisor's own places below a folder that the module may write without a way back. They are there before it
/// starts, to be mounted read-only or hidden: else the module could make them in its stead.
fn make_own_places(context: &RunContext<'_>, target: &Target) -> Result<(), String> {
    let layout = &context.supervisor.layout;
    let covered = |place: &Path| {
        let volatile = target.profile.volatile_paths.iter();
        volatile.map(|path| layout.machine().locate(path)).any(|path| place.starts_with(path))
    };
    for (place, mode) in [(layout.modules(), 0o755), (layout.settings(), 0o755), (layout.backups(), 0o700)] {
        if !context.check && covered(&place) {
            // Folders above are the machine's, as any other of them.
            let above = place.parent().unwrap_or(&place);
            create_directory(above, 0o755).map_err(|error| error.to_string())?;
            create_directory(&place, mode).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// The module's own state directory. Made before anything is looked at, so that it is never one of the paths that
/// are absent: the folder above it is shared with every other module. `None` in a check of one that never ran.
fn state_directory(context: &RunContext<'_>, target: &Target) -> Result<Option<DeclaredPath>, String> {
    let layout = &context.supervisor.layout;
    let path = layout.module_state(&target.manifest.name);
    let declared = DeclaredPath::new(&path.to_string_lossy()).map_err(|problem| problem.to_string())?;
    let place = layout.machine().locate(&declared);
    if context.check {
        return Ok(place.is_dir().then_some(declared));
    }
    create_directory(&place, 0o700).map_err(|error| error.to_string())?;
    give_state(context, target, &path)?;
    Ok(Some(declared))
}

/// Hands the state directory to whom the module runs as. A profile may have changed since the last run.
fn give_state(context: &RunContext<'_>, target: &Target, path: &Path) -> Result<(), String> {
    let identity = sandbox::identity(context, target).map_err(|error| error.to_string())?;
    let root = Root::open(context.supervisor.layout.root()).map_err(|error| error.to_string())?;
    let present = root.status(path).map_err(|error| error.to_string())?.map_or(0, |status| status.uid);
    let (uid, gid) = match identity {
        // Without privilege the caller's own ids stand behind whatever user there is inside.
        _ if !nix::unistd::geteuid().is_root() => return Ok(()),
        Some(identity) => (identity.uid, identity.gid),
        // What a module that is root made of its state is its own affair, unless it was not root before.
        None if !is_dynamic(present) => return Ok(()),
        None => (0, 0),
    };
    give(&root, path, uid, gid)
        .map_err(|error| format!("cannot give {} to user {uid}: {error}", root.locate(path).display()))
}
