//! `/proc` of the sandbox's own pid namespace, with the machine's settings and secrets out of reach.

use std::path::Path;

use rustix::mount::MountAttrFlags;
use updates_protocol::{ProtectProc, SetupFailure};

use super::filesystems::new_file_system;
use super::mounts::{FileTree, READ_ONLY};
use super::target::{Kind, Links};

/// Memory, keys, addresses and messages of the kernel, of which user 0 could read some whatever capabilities it lacks:
/// what systemd's ProtectKernelTunables= and ProtectKernelLogs= and the OCI runtimes hide, and the counts of pages that
/// tell where memory lies. A kernel has only some of them.
const HIDDEN: [&str; 12] = [
    "/proc/kcore",
    "/proc/kmsg",
    "/proc/keys",
    "/proc/kallsyms",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/kpagecgroup",
    "/proc/vmallocinfo",
];

impl FileTree {
    /// User 0 owns `/proc/sys`, `sysrq-trigger` and the like even without capabilities, so only a read-only mount keeps
    /// it from writing there. All of `/proc` is mounted so: one mount instead of one for each such file, and nothing
    /// that a newer kernel adds is forgotten. Links below `/proc/self/fd` lead elsewhere and can still be written to.
    pub(super) fn mount_proc(&mut self, protect: ProtectProc) -> Result<(), SetupFailure> {
        let target = Path::new("/proc");
        let place = self.root.place(target, Kind::Directory, Links::Follow)?;
        let hidepid = match protect {
            ProtectProc::Default => None,
            ProtectProc::Noaccess => Some("noaccess"),
            ProtectProc::Invisible => Some("invisible"),
            ProtectProc::Ptraceable => Some("ptraceable"),
        };
        let options: Vec<_> = hidepid.map(|mode| ("hidepid", mode.to_owned())).into_iter().collect();
        let mount = new_file_system("proc", &options, READ_ONLY.union(MountAttrFlags::MOUNT_ATTR_NOEXEC))?;
        self.attach(&mount, &place, target)?;
        HIDDEN.iter().try_for_each(|path| self.mask(Path::new(path)))
    }
}
