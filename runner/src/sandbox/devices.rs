//! `/dev` with the devices that every program may expect and that can't harm anybody.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, major, minor};
use rustix::mount::MountAttrFlags;
use updates_protocol::SetupFailure;

use super::failure::{OrFail, refused};
use super::filesystems::{new_file_system, tmpfs};
use super::mounts::{FileTree, clone_of, open_source};
use super::target::{Kind, Links};
use crate::kernel::mount_setattr;

/// Name, major and minor number as Documentation/admin-guide/devices.txt of the kernel lists them.
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
const SHARED_MEMORY: u64 = 64 << 20;

impl FileTree {
    pub(super) fn mount_dev(&mut self) -> Result<(), SetupFailure> {
        let target = Path::new("/dev");
        let place = self.root.place(target, Kind::Directory, Links::Follow)?;
        let own = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let mount = tmpfs(64 << 10, 0o755, own)?;
        self.attach(&mount, &place, target)?;
        self.root.adopt(&mount, target)?;

        for device in DEVICES {
            let path = target.join(device.0);
            let source = open_device(&path, device)?;
            let place = self.root.place(&path, Kind::File, Links::Refuse)?;
            // Binding works in a user namespace too, where mknod does not.
            self.attach(&clone_of(&source, own, &path)?, &place, &path)?;
        }
        for (name, content) in LINKS {
            self.root.symlink(Path::new(content), &target.join(name))?;
        }
        let terminals = new_file_system("devpts", &[("ptmxmode", "0666".into()), ("mode", "0620".into())], own)?;
        let path = target.join("pts");
        let place = self.root.place(&path, Kind::Directory, Links::Refuse)?;
        self.attach(&terminals, &place, &path)?;
        self.tmpfs(&target.join("shm"), SHARED_MEMORY, 0o1777)?;
        mount_setattr(std::os::fd::AsFd::as_fd(&mount), MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into(), false)
            .or_fail("mounts", || "making /dev read-only".to_owned())
    }
}

fn open_device(path: &Path, (_, device_major, device_minor): (&str, u32, u32)) -> Result<OwnedFd, SetupFailure> {
    let source = open_source(path, Links::Refuse)?;
    let status = rustix::fs::fstat(&source).or_fail("mounts", || format!("{}", path.display()))?;
    let expected = FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice
        && (major(status.st_rdev), minor(status.st_rdev)) == (device_major, device_minor);
    if expected {
        return Ok(source);
    }
    refused("mounts", format!("{} of the machine is not the device of that name", path.display()))
}
