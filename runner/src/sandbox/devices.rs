//! `/dev` with the devices that every program may expect and that can't harm anybody.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, RawMode, major, makedev, minor, mkdirat, mknodat, openat};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use updates_protocol::SetupFailure;

use super::failure::{OrFail, refused};
use super::filesystems::new_file_system;
use super::mounts::{FileTree, HARMLESS, clone_of, open_source, source_failure};
use super::target::{Kind, Links};

/// A name with the numbers that Documentation/admin-guide/devices.txt of the kernel lists for it.
struct Device {
    name: &'static str,
    major: u32,
    minor: u32,
}

const fn device(name: &'static str, major: u32, minor: u32) -> Device {
    Device { name, major, minor }
}

const DEVICES: [Device; 6] = [
    device("null", 1, 3),
    device("zero", 1, 5),
    device("full", 1, 7),
    device("random", 1, 8),
    device("urandom", 1, 9),
    device("tty", 5, 0),
];
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
const ATTRIBUTES: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

impl FileTree {
    /// Lies in the new root's own file system and becomes read-only with it; `shm` is a writable view of one directory.
    pub(super) fn mount_dev(&mut self) -> Result<(), SetupFailure> {
        let dev = self.root.place(Path::new("/dev"), Kind::Directory, Links::Refuse)?;
        self.root.require_own(&dev, Path::new("/dev"), Path::new("/dev"))?;
        for device in &DEVICES {
            self.device(&dev, device)?;
        }
        for (name, content) in LINKS {
            rustix::fs::symlinkat(content, &dev, name).or_fail("mounts", || format!("symbolic link /dev/{name}"))?;
        }
        let options = [("ptmxmode", "0666".to_owned()), ("mode", "0620".to_owned())];
        let terminals = new_file_system("devpts", &options, ATTRIBUTES)?;
        self.attach(&terminals, &directory(&dev, "pts", 0o755)?, Path::new("/dev/pts"))?;

        let shm = directory(&dev, "shm", 0o1777)?;
        let view = clone_of(&shm, HARMLESS, Path::new("/dev/shm"))?;
        self.attach(&view, &shm, Path::new("/dev/shm"))
    }

    fn device(&self, dev: &OwnedFd, device: &Device) -> Result<(), SetupFailure> {
        let Device { name, major, minor } = *device;
        let about = || format!("device /dev/{name}");
        let mode = Mode::from_raw_mode(0o666 as RawMode);
        match mknodat(dev, name, FileType::CharacterDevice, mode, makedev(major, minor)) {
            Ok(()) => return Ok(()),
            // In a user namespace, or where a device cgroup forbids it, the machine's own device is shown instead.
            Err(Errno::PERM) => {}
            Err(error) => return Err(error).or_fail("mounts", about),
        }
        let path = Path::new("/dev").join(name);
        let source = open_device(&path, device)?;
        let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let place = openat(dev, name, create, Mode::from_raw_mode(0o444)).or_fail("mounts", about)?;
        self.attach(&clone_of(&source, ATTRIBUTES, &path)?, &place, &path)
    }
}

fn directory(dev: &OwnedFd, name: &str, mode: RawMode) -> Result<OwnedFd, SetupFailure> {
    let about = || format!("directory /dev/{name}");
    mkdirat(dev, name, Mode::from_raw_mode(mode)).or_fail("mounts", about)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dev, name, flags, Mode::empty()).or_fail("mounts", about)
}

fn open_device(path: &Path, device: &Device) -> Result<OwnedFd, SetupFailure> {
    let source = open_source(path, Links::Refuse).map_err(|error| source_failure(path, error))?;
    let status = rustix::fs::fstat(&source).or_fail("mounts", || format!("{}", path.display()))?;
    let expected = FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice
        && (major(status.st_rdev), minor(status.st_rdev)) == (device.major, device.minor);
    if expected {
        return Ok(source);
    }
    refused("mounts", format!("{} of the machine is not the device of that name", path.display()))
}
