//! Lines 1 to 7: changing what is mounted, or going round it. Every one but 6 and 7 runs in a mount namespace of its own
//! where one can be had, so that a machine whose doors are open stays as it is; where none can be had, the calls below
//! are the same question.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;

use crate::Attempt;
use crate::context::Context;
use crate::outcome::{Outcome, worst};
use crate::raw::{self, at, sys, text};

pub const ATTEMPTS: &[Attempt] = &[
    ("1a", "remount /usr read-write", |_| remount()),
    ("1b", "clear read-only of /usr by mount_setattr", |_| clear_read_only(false)),
    ("1c", "clear read-only of / and all below by mount_setattr", |_| clear_read_only(true)),
    ("1d", "remount the root read-write through /proc/self/root", |_| remount_root()),
    ("2", "umount something to see below it", |_| unmount()),
    ("3a", "mount a tmpfs", |context| mount(context, c"tmpfs", c"tmpfs", 0)),
    ("3b", "mount a fresh proc", |context| mount(context, c"proc", c"proc", 0)),
    ("3c", "mount a fresh sysfs", |context| mount(context, c"sysfs", c"sysfs", 0)),
    ("3d", "bind / to a second place", |context| mount(context, c"/", c"", libc::MS_BIND | libc::MS_REC)),
    ("3e", "mount an overlay over /etc", overlay),
    ("4a", "open_tree with a clone", |_| open_tree()),
    ("4b", "fsopen", |_| Outcome::of(sys!(libc::SYS_fsopen, c"tmpfs".as_ptr(), 1), &[])),
    ("4c", "fsmount", |_| Outcome::of(sys!(libc::SYS_fsmount, -1_i32, 0, 0), &[Errno::EBADF])),
    ("4d", "fspick", |_| Outcome::of(sys!(libc::SYS_fspick, libc::AT_FDCWD, c"/".as_ptr(), 1), &[Errno::EINVAL])),
    ("4e", "move_mount", |_| move_mount()),
    ("4f", "mount_setattr (CVE-2021-41133)", |_| set_nothing()),
    ("4g", "open_tree_attr", |_| open_tree_attr()),
    ("5a", "pivot_root", |_| pivot_root()),
    ("5b", "chroot", |_| Outcome::of(sys!(libc::SYS_chroot, c"/".as_ptr()), &[])),
    ("5c", "chroot to the root of pid 1", |_| Outcome::of(sys!(libc::SYS_chroot, c"/proc/1/root".as_ptr()), &[])),
    ("6", "write into every mount there is", write_everywhere),
    ("7", "a mount that would show outside", |_| propagation()),
];

// linux/mount.h; libc has no struct for it on every target.
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

const MOUNT_ATTR_RDONLY: u64 = 1;
const AT_RECURSIVE: i32 = 0x8000;
const SYS_OPEN_TREE_ATTR: i64 = 467; // since Linux 6.15

// Whatever is mounted afterwards is seen by this process alone.
fn alone() {
    if sys!(libc::SYS_unshare, libc::CLONE_NEWNS).is_ok() {
        let propagation = libc::MS_REC | libc::MS_PRIVATE;
        sys!(libc::SYS_mount, 0, c"/".as_ptr(), 0, propagation, 0).ok();
    }
}

fn remount() -> Outcome {
    alone();
    let flags = libc::MS_REMOUNT | libc::MS_BIND;
    // Not a mount of its own is found out after permission was given.
    Outcome::of(sys!(libc::SYS_mount, 0, c"/usr".as_ptr(), 0, flags, 0), &[Errno::EINVAL])
}

fn remount_root() -> Outcome {
    alone();
    let flags = libc::MS_REMOUNT | libc::MS_BIND;
    Outcome::of(sys!(libc::SYS_mount, 0, c"/proc/self/root".as_ptr(), 0, flags, 0), &[Errno::EINVAL])
}

fn clear_read_only(everything: bool) -> Outcome {
    alone();
    let attributes = MountAttr { clear: MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    let (path, flags) = if everything { (c"/", AT_RECURSIVE) } else { (c"/usr", 0) };
    let size = size_of::<MountAttr>();
    let answer = sys!(libc::SYS_mount_setattr, libc::AT_FDCWD, path.as_ptr(), flags, at(&attributes), size);
    Outcome::of(answer, &[Errno::EINVAL])
}

fn unmount() -> Outcome {
    alone();
    // MNT_EXPIRE unmounts nothing at the first call: EAGAIN says that the second would, EBUSY that it is in use. Mounts
    // may lie on top of each other, and a path must not be asked for twice.
    let mut points = mount_points();
    points.sort();
    points.dedup();
    let expire = libc::MNT_EXPIRE | libc::UMOUNT_NOFOLLOW;
    let ways = points.into_iter().map(|point| {
        let path = text(&point);
        (point, Outcome::of(sys!(libc::SYS_umount2, path.as_ptr(), expire), &[Errno::EAGAIN, Errno::EBUSY]))
    });
    Outcome::worst(ways)
}

fn mount(context: &Context, source: &std::ffi::CStr, kind: &std::ffi::CStr, flags: u64) -> Outcome {
    alone();
    let place = context.scratch("mount");
    if fs::create_dir(&place).is_err() {
        return Outcome::not_applicable("no writable directory");
    }
    let path = text(&place);
    let answer = sys!(libc::SYS_mount, source.as_ptr(), path.as_ptr(), kind.as_ptr(), flags, 0);
    if answer.is_ok() {
        sys!(libc::SYS_umount2, path.as_ptr(), libc::MNT_DETACH).ok();
    }
    fs::remove_dir(&place).ok();
    Outcome::of(answer, &[Errno::EBUSY])
}

fn overlay(context: &Context) -> Outcome {
    alone();
    let [upper, work] = ["upper", "work"].map(|name| context.scratch(name));
    let made = fs::create_dir(&upper).is_ok() && fs::create_dir(&work).is_ok();
    let options = text(format!("lowerdir=/etc,upperdir={},workdir={}", upper.display(), work.display()));
    let answer = sys!(libc::SYS_mount, c"overlay".as_ptr(), c"/etc".as_ptr(), c"overlay".as_ptr(), 0, options.as_ptr());
    if answer.is_ok() {
        sys!(libc::SYS_umount2, c"/etc".as_ptr(), libc::MNT_DETACH).ok();
    }
    for directory in [&upper, &work] {
        fs::remove_dir_all(directory).ok();
    }
    if made { Outcome::of(answer, &[Errno::EINVAL]) } else { Outcome::not_applicable("no writable directory") }
}

fn open_tree() -> Outcome {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    let recursive = flags | AT_RECURSIVE as u32;
    worst([
        ("/", Outcome::of(sys!(libc::SYS_open_tree, libc::AT_FDCWD, c"/".as_ptr(), recursive), &[Errno::EINVAL])),
        ("/proc", Outcome::of(sys!(libc::SYS_open_tree, libc::AT_FDCWD, c"/proc".as_ptr(), flags), &[Errno::EINVAL])),
    ])
}

fn open_tree_attr() -> Outcome {
    let attributes = MountAttr { clear: MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    let size = size_of::<MountAttr>();
    let answer = sys!(SYS_OPEN_TREE_ATTR, libc::AT_FDCWD, c"/".as_ptr(), flags, at(&attributes), size);
    Outcome::of(answer, &[Errno::EINVAL])
}

fn move_mount() -> Outcome {
    let empty = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    let answer = sys!(libc::SYS_move_mount, -1_i32, c"".as_ptr(), -1_i32, c"".as_ptr(), empty);
    Outcome::of(answer, &[Errno::EBADF, Errno::EINVAL])
}

fn set_nothing() -> Outcome {
    // Nothing set and nothing cleared: asked for permission, and done.
    let attributes = MountAttr::default();
    let size = size_of::<MountAttr>();
    Outcome::of(sys!(libc::SYS_mount_setattr, libc::AT_FDCWD, c"/".as_ptr(), 0, at(&attributes), size), &[])
}

fn pivot_root() -> Outcome {
    // The root on itself: EBUSY or EINVAL once permission was given.
    let root = c"/".as_ptr();
    Outcome::of(sys!(libc::SYS_pivot_root, root, root), &[Errno::EBUSY, Errno::EINVAL])
}

/// Tries a new file below each mount point, and in no place that the module may write by design.
fn write_everywhere(context: &Context) -> Outcome {
    let allowed = [context.paths("writable"), vec![context.writable.clone()]].concat();
    // Each of them is a file system in memory that no other process sees; /run would be the machine's own otherwise.
    let own = |point: &Path| {
        nix::sys::statfs::statfs(point).is_ok_and(|status| status.filesystem_type() == nix::sys::statfs::TMPFS_MAGIC)
            && (point != Path::new("/run") || !Path::new("/run/systemd").exists())
    };
    let by_design = |point: &Path| {
        ["/tmp", "/var/tmp", "/dev/shm", "/run"].iter().any(|each| point == Path::new(each) && own(point))
            || allowed.iter().any(|each| point.starts_with(each))
    };
    let others = mount_points().into_iter().filter(|point| !by_design(Path::new(point)));
    Outcome::worst(others.map(|point| {
        let file = Path::new(&point).join(format!(".attempt-{}", std::process::id()));
        let answer = raw::open(&file, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL);
        if let Ok(descriptor) = answer {
            raw::close(descriptor);
            fs::remove_file(&file).ok();
        }
        (point, Outcome::of(answer, &[]))
    }))
}

fn propagation() -> Outcome {
    let Ok(table) = fs::read_to_string("/proc/self/mountinfo") else { return Outcome::absent("no mountinfo") };
    // A peer group shared with the outside would carry a mount there; a slave only receives.
    let shared: Vec<_> = table.lines().filter(|line| line.contains(" shared:")).collect();
    match shared.first() {
        Some(line) => Outcome::open((*line).to_owned()),
        None => Outcome::refused("every mount is private or a slave"),
    }
}

/// Where something is mounted, from mountinfo, with the octal escapes of spaces undone.
pub fn mount_points() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    points.map(|point| point.replace("\\040", " ")).collect()
}
