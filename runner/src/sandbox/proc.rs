//! `/proc` of the sandbox's own pid namespace, with the machine's settings and secrets out of reach.

use std::path::Path;

use rustix::mount::MountAttrFlags;
use updates_protocol::SetupFailure;

use super::filesystems::new_file_system;
use super::mounts::{FileTree, READ_ONLY};
use super::target::{Kind, Links};

/// Memory, keys and messages of the kernel, which user 0 could read whatever capabilities it lacks.
const HIDDEN: [&str; 4] = ["/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/timer_list"];

impl FileTree {
    /// User 0 owns `/proc/sys`, `sysrq-trigger` and the like even without capabilities, so only a read-only mount keeps
    /// it from writing there. All of `/proc` is mounted so: one mount instead of one for each such file, and nothing
    /// that a newer kernel adds is forgotten. Links below `/proc/self/fd` lead elsewhere and can still be written to.
    pub(super) fn mount_proc(&mut self) -> Result<(), SetupFailure> {
        let target = Path::new("/proc");
        let place = self.root.place(target, Kind::Directory, Links::Follow)?;
        let mount = new_file_system("proc", &[], READ_ONLY.union(MountAttrFlags::MOUNT_ATTR_NOEXEC))?;
        self.attach(&mount, &place, target)?;
        HIDDEN.iter().try_for_each(|path| self.mask(Path::new(path)))
    }
}
