//! What a plan shows at a path: pure, by the mounts in their order.

use std::path::{Path, PathBuf};

use updates_protocol::{Access, Mount, SandboxPlan};

/// What is at a path inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// The machine's, writable; the mount begins at this path.
    Writable(PathBuf),
    /// The machine's, read-only.
    ReadOnly,
    /// Hidden by the mount at this path.
    Hidden(PathBuf),
    /// Nothing of the machine: the sandbox has its own at this path.
    Own(PathBuf),
    /// The kernel's: `/proc`, `/sys` or `/dev`.
    Kernel(&'static str),
}

/// Looks `path` up, of which no component is a link but the plan's own.
pub(super) fn seen(plan: &SandboxPlan, path: &Path) -> Seen {
    let path = &followed(plan, path);
    if let Some(place) = ["/proc", "/sys", "/dev"].into_iter().find(|place| path.starts_with(place)) {
        return Seen::Kernel(place);
    }
    let mut seen = Seen::Own(PathBuf::from("/"));
    for mount in &plan.mounts {
        let (target, shows) = match mount {
            Mount::Bind { target, access: Access::ReadWrite, .. } | Mount::Overlay { target, work: Some(_), .. } => {
                (target, Seen::Writable(target.clone()))
            }
            Mount::Bind { target, .. } | Mount::Overlay { target, .. } | Mount::File { target, .. } => {
                (target, Seen::ReadOnly)
            }
            Mount::Inaccessible { target } => (target, Seen::Hidden(target.clone())),
            Mount::Tmpfs { target, .. } | Mount::Directory { target } => (target, Seen::Own(target.clone())),
            Mount::Symlink { .. } | Mount::Proc { .. } | Mount::Dev => continue,
        };
        if path.starts_with(target) {
            seen = shows;
        }
    }
    seen
}

// `/bin/sh` is meant, `/usr/bin/sh` is where mounts are.
fn followed(plan: &SandboxPlan, path: &Path) -> PathBuf {
    for mount in &plan.mounts {
        if let Mount::Symlink { content, target } = mount
            && let Ok(rest) = path.strip_prefix(target)
        {
            return target.parent().unwrap_or(Path::new("/")).join(content).join(rest);
        }
    }
    path.to_owned()
}
