//! Real file systems for tests: made in a sparse file, mounted by loop, gone again whatever becomes of the test.
//!
//! Where the machine lacks root, the kernel the file system or a person its tools, there is none, and the test that
//! wanted one says nothing; `make setup-test` brings the tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::ground::{Ground, is_root};

/// A mount that goes when it is dropped.
#[derive(Debug)]
pub struct Mount(PathBuf);

/// A file system with its image's size and how to make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Xfs,
    Btrfs,
    Tmpfs,
    Overlay,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Ext4, Kind::Xfs, Kind::Btrfs, Kind::Tmpfs, Kind::Overlay];

    fn name(self) -> &'static str {
        match self {
            Kind::Ext4 => "ext4",
            Kind::Xfs => "xfs",
            Kind::Btrfs => "btrfs",
            Kind::Tmpfs => "tmpfs",
            Kind::Overlay => "overlay",
        }
    }

    /// The smallest size that its mkfs takes, about.
    fn megabytes(self) -> u64 {
        match self {
            Kind::Xfs => 320,
            Kind::Btrfs => 128,
            Kind::Ext4 | Kind::Tmpfs | Kind::Overlay => 32,
        }
    }
}

impl Mount {
    /// Mounts a new file system at `at`, with an image beside it where it needs one.
    pub fn new(kind: Kind, at: &Path, options: &str) -> Option<Mount> {
        if !is_root() || !is_known(kind) {
            return None;
        }
        fs::create_dir_all(at).unwrap();
        let beside = |ending: &str| at.with_extension(ending);
        let mut mount = Command::new("mount");
        match kind {
            Kind::Tmpfs => mount.args(["-t", "tmpfs", "-o", options, "none"]),
            Kind::Overlay => {
                let layers = ["lower", "upper", "work"].map(beside);
                layers.iter().for_each(|layer| fs::create_dir_all(layer).unwrap());
                let layers = layers.map(|layer| layer.to_str().unwrap().to_owned());
                let [lower, upper, work] = layers;
                mount.args(["-t", "overlay", "none", "-o"]);
                mount.arg(format!("{options},lowerdir={lower},upperdir={upper},workdir={work}"))
            }
            Kind::Ext4 | Kind::Xfs | Kind::Btrfs => {
                let image = beside("image");
                fs::File::create_new(&image).unwrap().set_len(kind.megabytes() << 20).unwrap();
                let mkfs =
                    Command::new(format!("mkfs.{}", kind.name())).arg("-q").arg(&image).stdout(Stdio::null()).status();
                if !mkfs.ok()?.success() {
                    panic!("mkfs.{} failed", kind.name());
                }
                mount.args(["-o", &format!("loop,{options}")]).arg(image)
            }
        };
        let mounted = mount.arg(at).status().unwrap();
        assert!(mounted.success(), "no {kind:?} at {}", at.display());
        Some(Mount(at.to_owned()))
    }

    pub fn remount(&self, options: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // By loop's autoclear its device goes with the mount. Lazily, for a test that failed with a file open.
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(std::thread::panicking() || unmounted.unwrap().success());
    }
}

fn is_known(kind: Kind) -> bool {
    // The kernel lists what it has loaded; mount(8) loads the others.
    drop(Command::new("modprobe").args(["-q", kind.name()]).stderr(Stdio::null()).status());
    let known = fs::read_to_string("/proc/filesystems").unwrap();
    known.lines().any(|line| line.split_whitespace().last() == Some(kind.name()))
}

/// A ground whose machine and store lie on file systems of their own; on one and the same where `store` is none.
pub fn ground(machine: Kind, store: Option<Kind>) -> Option<Ground> {
    ground_with(machine, store, "rw", "rw")
}

/// As [`ground`], with options for the two mounts.
pub fn ground_with(machine: Kind, store: Option<Kind>, live: &str, kept: &str) -> Option<Ground> {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str, disk: &Path| {
        fs::create_dir_all(disk.join(name)).unwrap();
        std::os::unix::fs::symlink(disk.join(name), folder.path().join(name)).unwrap();
    };
    let first = folder.path().join("live");
    let mut mounts = vec![Mount::new(machine, &first, live)?];
    place("machine", &first);
    match store {
        None => place("store", &first),
        Some(store) => {
            let second = folder.path().join("kept");
            mounts.push(Mount::new(store, &second, kept)?);
            place("store", &second);
        }
    }
    Some(Ground::mounted(folder, mounts))
}
