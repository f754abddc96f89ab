//! Lines 11 to 16 and 19 to 24: files that are not the module's, by every handle that leads to them, and files of its
//! own that it may not make.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::sys::statvfs::FsFlags;

use crate::Attempt;
use crate::context::Context;
use crate::outcome::{Outcome, worst};
use crate::raw::{self, at, into, sys, text};

pub const ATTEMPTS: &[Attempt] = &[
    ("11a", "mknod a block device", |context| device(context, libc::S_IFBLK, 259, 0)),
    ("11b", "mknod /dev/mem", |context| device(context, libc::S_IFCHR, 1, 1)),
    ("12a", "chmod u+s", |context| set_id(context, by_chmod)),
    ("12b", "create with u+s", |context| set_id(context, by_creation)),
    ("12c", "fchmodat2 u+s", |context| set_id(context, by_fchmodat2)),
    ("12d", "chmod g+s", set_group_id),
    ("12e", "a file capability", capability),
    ("12f", "create with u+s by openat2", |context| set_id(context, by_openat2)),
    ("12g", "mknod a file with u+s", |context| set_id(context, by_mknod)),
    ("12h", "create with u+s without a name, then name it", |context| set_id(context, by_naming)),
    ("13", "open_by_handle_at", |_| by_handle()),
    ("14a", "write /proc/sys/kernel/core_pattern", |_| writable("/proc/sys/kernel/core_pattern")),
    ("14b", "write /proc/sys/kernel/modprobe", |_| writable("/proc/sys/kernel/modprobe")),
    ("14c", "write /proc/sys/fs/binfmt_misc/register", |_| writable("/proc/sys/fs/binfmt_misc/register")),
    ("14d", "write /proc/sys/vm/drop_caches", |_| writable("/proc/sys/vm/drop_caches")),
    ("14e", "write core_pattern through /proc/1/root", |_| writable("/proc/1/root/proc/sys/kernel/core_pattern")),
    ("14f", "write /sys/kernel/uevent_helper", |_| writable("/sys/kernel/uevent_helper")),
    ("14g", "write any file of the kernel in /sys", |_| sysfs()),
    ("14h", "write /proc/irq", |_| writable("/proc/irq/default_smp_affinity")),
    ("14i", "open any setting of /proc/sys for writing", |_| settings()),
    ("15a", "write sysrq-trigger", |_| writable("/proc/sysrq-trigger")),
    ("15b", "read kcore", |_| readable(Path::new("/proc/kcore"))),
    ("15c", "read /dev/mem", |_| readable(Path::new("/dev/mem"))),
    ("15d", "read or write kmsg", |_| {
        worst([
            ("/dev/kmsg", openable("/dev/kmsg", libc::O_WRONLY)),
            ("/proc/kmsg", kernel_log()),
            ("syslog", Outcome::of(sys!(libc::SYS_syslog, 10, 0, 0), &[])),
        ])
    }),
    ("15e", "open a disk", |_| block_devices()),
    ("15f", "open a device that reaches the kernel", |_| control_devices()),
    ("16a", "write a cgroup's release_agent", |_| cgroup_file(&["release_agent"])),
    ("16b", "write any file of a cgroup", |_| cgroup_file(&["cgroup.procs", "tasks", "memory.max", "pids.max"])),
    ("19a", "hardlink out of a writable directory", |context| hardlink(context, Direction::Out)),
    ("19b", "hardlink a read-only file in", |context| hardlink(context, Direction::In)),
    ("19c", "hardlink a read-only file in by /proc/self/fd", |context| hardlink(context, Direction::ByDescriptor)),
    ("19d", "rename out of a writable directory", |context| rename(context, Direction::Out)),
    ("19e", "rename the writable directory itself", |context| rename(context, Direction::In)),
    ("20a", "write the runner through /proc/1/exe", |_| reopened("/proc/1/exe")),
    ("20b", "write itself through /proc/self/exe", |_| reopened("/proc/self/exe")),
    ("21", "a directory outside, by a descriptor that was left open", |_| left_open()),
    ("22", "use an inherited descriptor", inherited),
    ("23a", "fill /tmp", |_| bounded("/tmp")),
    ("23b", "fill /var/tmp", |_| bounded("/var/tmp")),
    ("23c", "fill /dev/shm", |_| bounded("/dev/shm")),
    ("23d", "fill /run", |_| bounded("/run")),
    ("24a", "a file over limit_fsize", file_size),
    ("24b", "raise limit_fsize", |_| raise_limit()),
];

fn device(context: &Context, kind: u32, major: u32, minor: u32) -> Outcome {
    let path = context.scratch("device");
    let name = text(&path);
    let number = libc::makedev(major, minor);
    let answer = sys!(libc::SYS_mknodat, libc::AT_FDCWD, name.as_ptr(), kind | 0o600, number);
    fs::remove_file(&path).ok();
    Outcome::of(answer, &[])
}

fn set_id(context: &Context, make: fn(&Path)) -> Outcome {
    let path = context.scratch("set-id");
    make(&path);
    let mode = fs::symlink_metadata(&path).map(|metadata| metadata.mode());
    fs::remove_file(&path).ok();
    match mode {
        Ok(mode) if mode & 0o6000 != 0 => Outcome::open(format!("{:04o}", mode & 0o7777)),
        Ok(_) => Outcome::refused("the bit is not there"),
        Err(_) => Outcome::refused("the file was not made"),
    }
}

fn by_chmod(path: &Path) {
    if fs::write(path, "").is_ok() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o4755)).ok();
    }
}

fn by_creation(path: &Path) {
    let path = text(path);
    sys!(libc::SYS_umask, 0).ok();
    sys!(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_CREAT | libc::O_WRONLY, 0o4755).ok();
}

fn by_fchmodat2(path: &Path) {
    const SYS_FCHMODAT2: i64 = 452; // since Linux 6.6
    if fs::write(path, "").is_ok() {
        let path = text(path);
        sys!(SYS_FCHMODAT2, libc::AT_FDCWD, path.as_ptr(), 0o4755, 0).ok();
    }
}

// The mode lies in memory, where no filter of system calls can see it.
fn by_openat2(path: &Path) {
    let how = [(libc::O_CREAT | libc::O_WRONLY) as u64, 0o4755, 0];
    let path = text(path);
    sys!(libc::SYS_umask, 0).ok();
    sys!(libc::SYS_openat2, libc::AT_FDCWD, path.as_ptr(), at(&how), size_of_val(&how)).ok();
}

fn by_mknod(path: &Path) {
    let path = text(path);
    sys!(libc::SYS_umask, 0).ok();
    sys!(libc::SYS_mknodat, libc::AT_FDCWD, path.as_ptr(), libc::S_IFREG | 0o4755, 0).ok();
}

fn by_naming(path: &Path) {
    let directory = text(path.parent().unwrap_or(path));
    let flags = libc::O_TMPFILE | libc::O_WRONLY;
    sys!(libc::SYS_umask, 0).ok();
    if let Ok(descriptor) = sys!(libc::SYS_openat, libc::AT_FDCWD, directory.as_ptr(), flags, 0o4755) {
        let (held, path) = (text(format!("/proc/self/fd/{descriptor}")), text(path));
        let (here, follow) = (libc::AT_FDCWD, libc::AT_SYMLINK_FOLLOW);
        sys!(libc::SYS_linkat, here, held.as_ptr(), here, path.as_ptr(), follow).ok();
    }
}

fn set_group_id(context: &Context) -> Outcome {
    let path = context.scratch("set-group-id");
    if fs::write(&path, "").is_err() {
        return Outcome::not_applicable("no writable directory");
    }
    let name = text(&path);
    let descriptor = raw::open(&path, libc::O_RDWR).unwrap_or(-1);
    let outcome = worst([
        ("chmod", Outcome::of(sys!(libc::SYS_fchmodat, libc::AT_FDCWD, name.as_ptr(), 0o2755), &[])),
        ("fchmod", Outcome::of(sys!(libc::SYS_fchmod, descriptor, 0o2755), &[])),
    ]);
    fs::remove_file(&path).ok();
    outcome
}

fn capability(context: &Context) -> Outcome {
    let path = context.scratch("capability");
    if fs::write(&path, "").is_err() {
        return Outcome::not_applicable("no writable directory");
    }
    // struct vfs_cap_data, revision 2, effective, CAP_NET_RAW permitted.
    let value: [u32; 5] = [0x0200_0001, 1 << 13, 0, 0, 0];
    let (name, key) = (text(&path), c"security.capability");
    let answer = sys!(libc::SYS_setxattr, name.as_ptr(), key.as_ptr(), at(&value), size_of_val(&value), 0);
    fs::remove_file(&path).ok();
    Outcome::of(answer, &[])
}

#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    data: [u8; 128],
}

fn by_handle() -> Outcome {
    let ways = ["/", "/usr", "/etc", "/var", "/tmp"].map(|path| {
        // Where the file system gives none, inode 2 of an ext4, which is its root.
        let mut handle = Handle { bytes: 128, kind: 0, data: [0; 128] };
        let (name, mut mount) = (text(path), 0_i32);
        let given =
            sys!(libc::SYS_name_to_handle_at, libc::AT_FDCWD, name.as_ptr(), into(&mut handle), into(&mut mount), 0);
        if given.is_err() {
            handle = Handle { bytes: 8, kind: 1, data: [0; 128] };
            handle.data[0] = 2;
        }
        let directory = raw::open(path, libc::O_RDONLY | libc::O_DIRECTORY).unwrap_or(-1);
        let answer = sys!(libc::SYS_open_by_handle_at, directory, into(&mut handle), libc::O_RDONLY);
        // A file system that knows no handles says EOPNOTSUPP or ESTALE after permission was given.
        (path.to_owned(), Outcome::of(answer, &[Errno::ESTALE, Errno::EOPNOTSUPP]))
    });
    Outcome::worst(ways)
}

fn settings() -> Outcome {
    let mut directories = vec![PathBuf::from("/proc/sys")];
    let mut ways = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                _ => ways.push((entry.path().display().to_string(), writable(entry.path()))),
            }
        }
    }
    Outcome::worst(ways)
}

fn openable(path: impl AsRef<Path>, flags: i32) -> Outcome {
    Outcome::of(raw::open(path, flags), &[Errno::EBUSY])
}

/// Opens for writing, and writes nothing.
pub fn writable(path: impl AsRef<Path>) -> Outcome {
    openable(path, libc::O_WRONLY)
}

/// Reads one byte: an empty file in the place of a hidden one gives none.
pub fn readable(path: &Path) -> Outcome {
    let mut byte = [0_u8; 1];
    match raw::open(path, libc::O_RDONLY | libc::O_NONBLOCK) {
        Ok(descriptor) => match sys!(libc::SYS_read, descriptor, into(&mut byte), 1) {
            Ok(0) => Outcome::absent("an empty file in its place"),
            other => Outcome::of(other, &[]),
        },
        error => Outcome::of(error, &[]),
    }
}

fn sysfs() -> Outcome {
    let names = [
        "/sys/power/state",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/kernel/profiling",
        "/sys/module/kernel/parameters/panic",
        "/sys/fs/ext4/features/x",
        "/sys/kernel/debug/x",
        "/sys/kernel/security/x",
        "/sys/firmware/efi/vars/x",
        "/sys/class/net/lo/mtu",
    ];
    Outcome::worst(names.map(|name| (name.to_owned(), writable(name))))
}

// Reading would take the lines away from the machine's own log; that it opens is enough, unless something covers it.
fn kernel_log() -> Outcome {
    match nix::sys::statfs::statfs("/proc/kmsg") {
        Ok(status) if status.filesystem_type() != nix::sys::statfs::PROC_SUPER_MAGIC => {
            Outcome::absent("another file in its place")
        }
        _ => openable("/proc/kmsg", libc::O_RDONLY | libc::O_NONBLOCK),
    }
}

fn block_devices() -> Outcome {
    let mut found = Vec::new();
    for directory in ["/dev", "/dev/mapper", "/dev/block"] {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        found.extend(
            entries
                .map(|entry| entry.path())
                .filter(|path| fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_block_device())),
        );
    }
    Outcome::worst(
        found.iter().map(|path| (path.display().to_string(), openable(path, libc::O_RDONLY | libc::O_NONBLOCK))),
    )
}

fn control_devices() -> Outcome {
    let names = [
        "port",
        "kvm",
        "fuse",
        "net/tun",
        "loop-control",
        "userfaultfd",
        "vhost-net",
        "vhost-vsock",
        "btrfs-control",
        "uinput",
        "hpet",
        "nvram",
        "rtc0",
        "console",
        "tty0",
        "tty1",
        "vcs",
        "ttyS0",
        "autofs",
        "mapper/control",
        "cpu/0/msr",
        "snapshot",
    ];
    Outcome::worst(names.map(|name| {
        (name.to_owned(), openable(Path::new("/dev").join(name), libc::O_RDWR | libc::O_NONBLOCK | libc::O_NOCTTY))
    }))
}

fn cgroup_file(names: &[&str]) -> Outcome {
    let mut directories = vec![PathBuf::from("/sys/fs/cgroup")];
    directories.extend(folders_of(Path::new("/sys/fs/cgroup")));
    let below: Vec<_> = directories.iter().skip(1).flat_map(|directory| folders_of(directory)).collect();
    directories.extend(below);
    let files = directories.iter().flat_map(|directory| names.iter().map(|name| directory.join(name)));
    Outcome::worst(files.map(|file| (file.display().to_string(), writable(&file))))
}

fn folders_of(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).take(64).collect()
}

enum Direction {
    Out,
    In,
    ByDescriptor,
}

const TARGETS: [&str; 6] = ["/usr", "/etc", "/srv", "/var", "/var/lib", "/"];

fn hardlink(context: &Context, direction: Direction) -> Outcome {
    let own = context.scratch("link");
    match direction {
        Direction::Out => {
            if fs::write(&own, "").is_err() {
                return Outcome::not_applicable("no writable directory");
            }
            let outcome = Outcome::worst(TARGETS.map(|target| {
                let there = Path::new(target).join(format!(".attempt-{}", std::process::id()));
                let outcome = linked(&own, &there, 0);
                fs::remove_file(&there).ok();
                (target.to_owned(), outcome)
            }));
            fs::remove_file(&own).ok();
            outcome
        }
        Direction::In => {
            let outcome = linked(Path::new("/etc/passwd"), &own, 0);
            fs::remove_file(&own).ok();
            outcome
        }
        Direction::ByDescriptor => {
            let Ok(descriptor) = raw::open("/etc/passwd", libc::O_PATH) else { return Outcome::absent("/etc/passwd") };
            let by_name = PathBuf::from(format!("/proc/self/fd/{descriptor}"));
            let name = text(&own);
            let empty =
                sys!(libc::SYS_linkat, descriptor, c"".as_ptr(), libc::AT_FDCWD, name.as_ptr(), libc::AT_EMPTY_PATH);
            let outcome = worst([
                ("AT_SYMLINK_FOLLOW", linked(&by_name, &own, libc::AT_SYMLINK_FOLLOW)),
                ("AT_EMPTY_PATH", Outcome::of(empty, &[])),
            ]);
            fs::remove_file(&own).ok();
            outcome
        }
    }
}

fn linked(from: &Path, to: &Path, flags: i32) -> Outcome {
    let (from, to) = (text(from), text(to));
    Outcome::of(sys!(libc::SYS_linkat, libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), flags), &[])
}

fn rename(context: &Context, direction: Direction) -> Outcome {
    let moved = |from: &Path, to: &Path, flags: u32| {
        let (from, to) = (text(from), text(to));
        Outcome::of(sys!(libc::SYS_renameat2, libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), flags), &[])
    };
    if let Direction::In = direction {
        if std::env::var_os("STATE_DIRECTORY").is_none() {
            return Outcome::not_applicable("no directory that could be moved without harm");
        }
        let other = context.writable.with_extension("attempt");
        let outcome = moved(&context.writable, &other, libc::RENAME_NOREPLACE);
        // Back again, if it went.
        fs::rename(&other, &context.writable).ok();
        return outcome;
    }
    Outcome::worst(TARGETS.map(|target| {
        let own = context.scratch("rename");
        let there = Path::new(target).join(format!(".attempt-{}", std::process::id()));
        let made = fs::write(&own, "").is_ok();
        let outcome = moved(&own, &there, 0);
        for path in [&own, &there] {
            fs::remove_file(path).ok();
        }
        (target.to_owned(), if made { outcome } else { Outcome::not_applicable("no writable directory") })
    }))
}

// CVE-2019-5736: a program that runs can't be opened for writing, but a descriptor that names it can be reopened as
// soon as it has ended. ETXTBSY is therefore as good as open, unless the file is on a read-only mount: the kernel looks
// at that later.
fn reopened(path: &str) -> Outcome {
    let judged = |name: &str, answer: raw::Answer| match nix::sys::statvfs::statvfs(name) {
        Ok(status) if answer == Err(Errno::ETXTBSY) && status.flags().contains(FsFlags::ST_RDONLY) => {
            Outcome::refused("on a read-only mount")
        }
        _ => Outcome::of(answer, &[Errno::ETXTBSY]),
    };
    let through = match raw::open(path, libc::O_PATH) {
        Ok(held) => {
            let name = format!("/proc/self/fd/{held}");
            judged(&name, raw::open(&name, libc::O_WRONLY))
        }
        error => Outcome::of(error, &[]),
    };
    worst([("directly", judged(path, raw::open(path, libc::O_WRONLY))), ("by O_PATH", through)])
}

// CVE-2024-21626: a directory of the machine that init or this process still holds is a way out.
fn left_open() -> Outcome {
    let mut ways = Vec::new();
    for owner in ["1", "self"] {
        for number in 0..256 {
            let path = format!("/proc/{owner}/fd/{number}");
            if let Ok(descriptor) = raw::open(&path, libc::O_PATH | libc::O_DIRECTORY) {
                raw::close(descriptor);
                ways.push((path, Outcome::open("a directory")));
            }
        }
    }
    let here = std::env::current_dir();
    ways.push((
        "working directory".to_owned(),
        match here {
            Ok(path) if path.starts_with("/") => Outcome::refused("inside"),
            _ => Outcome::open("unreachable"),
        },
    ));
    Outcome::worst(ways)
}

fn inherited(context: &Context) -> Outcome {
    // One's own channel to the supervisor is given on purpose; the caller says which it is.
    let channel = context.number::<i32>("channel");
    match context.inherited.iter().find(|descriptor| Some(**descriptor) != channel) {
        Some(descriptor) => {
            let name = fs::read_link(format!("/proc/self/fd/{descriptor}")).unwrap_or_default();
            Outcome::open(format!("{descriptor}: {}", name.display()))
        }
        None => Outcome::refused("EBADF"),
    }
}

// Every page and every file of a file system in memory is memory of the machine's.
fn bounded(path: &str) -> Outcome {
    const MANY: u64 = 8 << 20;
    const LARGE: u64 = 8 << 30;
    let file = Path::new(path).join(format!(".attempt-{}", std::process::id()));
    match raw::open(&file, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL) {
        Ok(_) => fs::remove_file(&file).unwrap_or_default(),
        error => return Outcome::of(error, &[]),
    }
    match nix::sys::statvfs::statvfs(path) {
        Ok(status) => {
            let size = status.blocks() * status.fragment_size();
            // 0 is what a tmpfs without a limit says of both.
            let within = (1..=LARGE).contains(&size) && (1..=MANY).contains(&status.files());
            let said = format!("{} MiB, {} files", size >> 20, status.files());
            if within { Outcome::refused(said) } else { Outcome::open(said) }
        }
        Err(error) => Outcome::of(Err(error), &[]),
    }
}

fn limit() -> Result<(u64, u64), Errno> {
    nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_FSIZE)
}

fn file_size(context: &Context) -> Outcome {
    let Ok((soft, _)) = limit() else { return Outcome::not_applicable("getrlimit") };
    if soft == libc::RLIM_INFINITY {
        return Outcome::open("no limit");
    }
    let path = context.scratch("large");
    let Ok(descriptor) = raw::open(&path, libc::O_WRONLY | libc::O_CREAT) else {
        return Outcome::not_applicable("no writable directory");
    };
    // SIGXFSZ ends the child otherwise, which is an answer as well. The file is a hole and takes no space.
    let answer = sys!(libc::SYS_ftruncate, descriptor, soft + 1);
    fs::remove_file(&path).ok();
    Outcome::of(answer, &[])
}

fn raise_limit() -> Outcome {
    let Ok((_, hard)) = limit() else { return Outcome::not_applicable("getrlimit") };
    if hard == libc::RLIM_INFINITY {
        return Outcome::open("no limit");
    }
    let wanted = [hard + 1, hard + 1];
    Outcome::of(sys!(libc::SYS_prlimit64, 0, libc::RLIMIT_FSIZE, at(&wanted), 0), &[])
}
