//! `/proc` of the sandbox's own pid namespace, with the machine's settings out of reach.

use std::path::Path;

use rustix::mount::MountAttrFlags;
use updates_protocol::SetupFailure;

use super::failure::OrFail;
use super::filesystems::new_file_system;
use super::mounts::{FileTree, HARMLESS, clone_of};
use super::target::{Kind, Links};

/// User 0 owns these whatever capabilities it lacks, so only a read-only mount keeps it from writing.
const READ_ONLY: [&str; 5] = ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"];
/// They show memory, keys or messages of the kernel and of other programs; the list that container engines share.
const HIDDEN: [&str; 10] = [
    "/proc/kcore",
    "/proc/kmsg",
    "/proc/keys",
    "/proc/key-users",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/latency_stats",
    "/proc/acpi",
    "/proc/scsi",
    "/proc/kpagecount",
];

impl FileTree {
    pub(super) fn mount_proc(&mut self) -> Result<(), SetupFailure> {
        let target = Path::new("/proc");
        let place = self.root.place(target, Kind::Directory, Links::Follow)?;
        let attributes = HARMLESS.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);
        let mount = new_file_system("proc", &[], attributes)?;
        self.attach(&mount, &place, target)?;
        for path in READ_ONLY.map(Path::new) {
            match self.root.find(path, Links::Refuse) {
                Ok(place) => {
                    let read_only = attributes.union(MountAttrFlags::MOUNT_ATTR_RDONLY);
                    self.attach(&clone_of(&place, read_only, path)?, &place, path)?;
                }
                Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error).or_fail("mounts", || format!("protecting {}", path.display())),
            }
        }
        HIDDEN.iter().try_for_each(|path| self.mask(Path::new(path)))
    }
}
