//! Lines 34 to 43: other processes, and namespaces that would give rights over something. Those of lines 44 to 50 are
//! about how a module ends, which only its supervisor can see; the tests that run it have them.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;

use crate::Attempt;
use crate::context::Context;
use crate::files::{readable, writable};
use crate::outcome::{Outcome, worst};
use crate::raw::{self, at, into, sys};

pub const ATTEMPTS: &[Attempt] = &[
    ("34a", "unshare a user namespace", |_| unshare(libc::CLONE_NEWUSER)),
    ("34b", "unshare a user and a mount namespace", |_| unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)),
    ("34c", "clone into a user namespace", |_| clone(libc::CLONE_NEWUSER)),
    ("34d", "unshare any other namespace", |_| any_namespace()),
    ("34e", "clone into a namespace with high bits set", |_| clone_high()),
    ("35a", "clone3 into a user namespace", |_| clone3(libc::CLONE_NEWUSER as u64)),
    ("35b", "clone3 into a mount namespace", |_| clone3(libc::CLONE_NEWNS as u64)),
    ("35c", "clone3 into a cgroup", |_| clone3_into_cgroup()),
    ("36a", "setns to a namespace of pid 1", |_| enter_namespaces()),
    ("36b", "setns by a pidfd of pid 1", |_| enter_by_pidfd()),
    ("36c", "setns by a pidfd of the parent", |context| enter(context.parent)),
    ("36d", "open a namespace outside by its handle", |_| namespace_by_handle()),
    ("36e", "the namespace above one's own", |_| parent_namespace()),
    ("37", "ptrace pid 1", |_| trace(1)),
    ("38", "ptrace the parent", |context| trace(context.parent)),
    ("39a", "process_vm_writev into pid 1", |_| memory(libc::SYS_process_vm_writev, 1)),
    ("39b", "process_vm_readv of pid 1", |_| memory(libc::SYS_process_vm_readv, 1)),
    ("39c", "process_vm_writev into the parent", |context| memory(libc::SYS_process_vm_writev, context.parent)),
    ("39d", "take a descriptor of pid 1", |_| descriptor_of(1)),
    ("39e", "kcmp with pid 1", |_| Outcome::of(sys!(libc::SYS_kcmp, 1, std::process::id(), 0, 0, 0), &[])),
    ("40a", "open /proc/1/mem for writing", |_| writable("/proc/1/mem")),
    ("40b", "walk into /proc/1/root", |_| listed("/proc/1/root/")),
    ("40c", "see what pid 1 has open", |_| descriptors_of_init()),
    ("40d", "read /proc/1/maps, auxv or syscall", |_| {
        worst([
            ("maps", readable(Path::new("/proc/1/maps"))),
            ("auxv", readable(Path::new("/proc/1/auxv"))),
            ("syscall", readable(Path::new("/proc/1/syscall"))),
        ])
    }),
    ("40e", "walk into /proc/1/cwd", |_| listed("/proc/1/cwd/")),
    ("40f", "change the limits of pid 1", |_| limits_of_init()),
    ("41a", "read the environment of pid 1", |_| readable(Path::new("/proc/1/environ"))),
    ("41b", "find the supervisor's secret in any environment", |_| environments()),
    ("42a", "signal a process outside", |context| signal_outside(context)),
    ("42b", "a pidfd of a process outside", |context| match context.number::<i32>("pid") {
        Some(outside) => Outcome::of(sys!(libc::SYS_pidfd_open, outside, 0), &[]),
        None => Outcome::not_applicable("no pid= was given"),
    }),
    ("42c", "stop pid 1", |_| stop_init()),
    ("43", "see processes of others", |context| others(context)),
];

fn unshare(flags: i32) -> Outcome {
    Outcome::of(sys!(libc::SYS_unshare, flags), &[])
}

const NAMESPACES: [(&str, i32); 7] = [
    ("mount", libc::CLONE_NEWNS),
    ("net", libc::CLONE_NEWNET),
    ("pid", libc::CLONE_NEWPID),
    ("uts", libc::CLONE_NEWUTS),
    ("ipc", libc::CLONE_NEWIPC),
    ("cgroup", libc::CLONE_NEWCGROUP),
    ("time", 0x80), // CLONE_NEWTIME
];

fn any_namespace() -> Outcome {
    Outcome::worst(NAMESPACES.map(|(name, flag)| (name.to_owned(), unshare(flag))))
}

// Ends the child that a raw clone made, and waits for it.
fn ended(answer: raw::Answer) -> Outcome {
    match answer {
        Ok(0) => raw::leave(0),
        Ok(child) => {
            sys!(libc::SYS_wait4, child, 0, libc::__WALL, 0).ok();
            Outcome::open("a child was made")
        }
        error => Outcome::of(error, &[]),
    }
}

fn clone(flags: i32) -> Outcome {
    ended(sys!(libc::SYS_clone, flags | libc::SIGCHLD, 0, 0, 0, 0))
}

fn clone_high() -> Outcome {
    // clone(2) takes the flags from the lower half; a filter that compares all 64 bits lets this through.
    ended(sys!(libc::SYS_clone, (1_u64 << 32) | libc::CLONE_NEWUSER as u64 | libc::SIGCHLD as u64, 0, 0, 0, 0))
}

#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

fn clone3(flags: u64) -> Outcome {
    let arguments = CloneArgs { flags, exit_signal: libc::SIGCHLD as u64, ..CloneArgs::default() };
    ended(sys!(libc::SYS_clone3, at(&arguments), size_of::<CloneArgs>()))
}

fn clone3_into_cgroup() -> Outcome {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    Outcome::worst(roots.map(|root| {
        let outcome = match raw::open(root, libc::O_PATH | libc::O_DIRECTORY) {
            Ok(cgroup) => {
                let arguments = CloneArgs {
                    flags: CLONE_INTO_CGROUP,
                    exit_signal: libc::SIGCHLD as u64,
                    cgroup: cgroup as u64,
                    ..CloneArgs::default()
                };
                ended(sys!(libc::SYS_clone3, at(&arguments), size_of::<CloneArgs>()))
            }
            error => Outcome::of(error, &[]),
        };
        (root.to_owned(), outcome)
    }))
}

fn enter_namespaces() -> Outcome {
    let kinds = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "pid_for_children"];
    Outcome::worst(kinds.map(|kind| {
        let path = format!("/proc/1/ns/{kind}");
        let outcome = match raw::open(&path, libc::O_RDONLY) {
            // One's own user namespace again: EINVAL, whatever one may do.
            Ok(descriptor) if kind == "user" => match sys!(libc::SYS_setns, descriptor, 0) {
                Err(Errno::EINVAL) => Outcome::refused("EINVAL"),
                other => Outcome::of(other, &[]),
            },
            Ok(descriptor) => Outcome::of(sys!(libc::SYS_setns, descriptor, 0), &[]),
            error => Outcome::of(error, &[]),
        };
        (kind.to_owned(), outcome)
    }))
}

fn enter_by_pidfd() -> Outcome {
    enter(1)
}

fn enter(pid: i32) -> Outcome {
    if pid == 0 {
        return Outcome::absent("the parent is outside");
    }
    match sys!(libc::SYS_pidfd_open, pid, 0) {
        Ok(descriptor) => Outcome::worst(
            NAMESPACES.map(|(name, flag)| (name.to_owned(), Outcome::of(sys!(libc::SYS_setns, descriptor, flag), &[]))),
        ),
        error => Outcome::of(error, &[]),
    }
}

// Since Linux 6.18 namespaces have file handles; the first ones of the machine have well-known numbers.
fn namespace_by_handle() -> Outcome {
    const FD_NSFS_ROOT: i32 = -10003;
    const FILEID_NSFS: u32 = 0xf1;
    let kinds =
        NAMESPACES.iter().map(|(name, kind)| (*name, *kind as u64)).chain([("user", libc::CLONE_NEWUSER as u64)]);
    Outcome::worst(kinds.flat_map(|(name, kind)| {
        (1..=16_u64).map(move |id| {
            // struct nsfs_file_handle: its id; its kind, and its inode, where 0 stands for any.
            let mut handle = [16 | u64::from(FILEID_NSFS) << 32, id, kind];
            let answer = sys!(libc::SYS_open_by_handle_at, FD_NSFS_ROOT, into(&mut handle), libc::O_RDONLY);
            // ESTALE: there is none of this number, or it is not to be seen.
            let outcome = match answer {
                Err(error @ (Errno::ESTALE | Errno::EBADF | Errno::EINVAL)) => Outcome::absent(format!("{error:?}")),
                other => Outcome::of(other, &[]),
            };
            (name.to_owned(), outcome)
        })
    }))
}

fn parent_namespace() -> Outcome {
    const NS_GET_PARENT: i32 = 0xb702;
    Outcome::worst(["pid", "user"].map(|kind| {
        let outcome = match raw::open(format!("/proc/self/ns/{kind}"), libc::O_RDONLY) {
            Ok(namespace) => match sys!(libc::SYS_ioctl, namespace, NS_GET_PARENT, 0) {
                Err(error) => Outcome::of(Err(error), &[]),
                Ok(_) => Outcome::open("it was given"),
            },
            error => Outcome::of(error, &[]),
        };
        (kind.to_owned(), outcome)
    }))
}

fn trace(pid: i32) -> Outcome {
    if pid == 0 {
        return Outcome::absent("the parent is outside");
    }
    // SEIZE stops nothing, and the end of this process lets go again.
    const PTRACE_SEIZE: i32 = 0x4206;
    Outcome::of(sys!(libc::SYS_ptrace, PTRACE_SEIZE, pid, 0, 0), &[])
}

fn memory(number: i64, pid: i32) -> Outcome {
    if pid == 0 {
        return Outcome::absent("the parent is outside");
    }
    let mut byte = [0_u8; 1];
    let local = [into(&mut byte), 1];
    let remote = [0_usize, 1];
    // Address 0 is mapped in no process: EFAULT comes after permission was given.
    Outcome::of(sys!(number, pid, at(&local), 1, at(&remote), 1, 0), &[Errno::EFAULT])
}

fn descriptor_of(pid: i32) -> Outcome {
    match sys!(libc::SYS_pidfd_open, pid, 0) {
        Ok(pidfd) => Outcome::worst((0..8).map(|number| {
            (format!("{number}"), Outcome::of(sys!(libc::SYS_pidfd_getfd, pidfd, number, 0), &[Errno::EBADF]))
        })),
        error => Outcome::of(error, &[]),
    }
}

fn listed(path: &str) -> Outcome {
    match fs::read_dir(path) {
        Ok(entries) => Outcome::open(format!("{} entries", entries.count().min(1))),
        Err(error) => Outcome::of(Err(Errno::from_raw(error.raw_os_error().unwrap_or(0))), &[]),
    }
}

// That user 0 may list the numbers tells nothing; what stands behind them would.
fn descriptors_of_init() -> Outcome {
    Outcome::worst((0..16).map(|number| {
        let path = format!("/proc/1/fd/{number}");
        let outcome = match fs::read_link(&path) {
            Ok(target) => Outcome::open(target.display().to_string()),
            Err(error) => Outcome::of(Err(Errno::from_raw(error.raw_os_error().unwrap_or(0))), &[]),
        };
        (path, outcome)
    }))
}

fn limits_of_init() -> Outcome {
    let mut now = [0_u64; 2];
    let resource = libc::RLIMIT_NOFILE;
    match sys!(libc::SYS_prlimit64, 1, resource, 0, into(&mut now)) {
        // Set to what it is: nothing changes.
        Ok(_) => Outcome::of(sys!(libc::SYS_prlimit64, 1, resource, at(&now), 0), &[]),
        error => Outcome::of(error, &[]),
    }
}

/// The processes that /proc shows.
fn visible() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn environments() -> Outcome {
    let mut ways = Vec::new();
    for pid in visible() {
        let path = format!("/proc/{pid}/environ");
        let text = fs::read(&path).unwrap_or_default();
        if String::from_utf8_lossy(&text).contains("SECRET_OF_THE_SERVICE") {
            ways.push((path, Outcome::open("found")));
        }
    }
    ways.push(("environments".to_owned(), Outcome::absent("nothing found")));
    Outcome::worst(ways)
}

fn signal_outside(context: &Context) -> Outcome {
    let Some(outside) = context.number::<i32>("pid") else { return Outcome::not_applicable("no pid= was given") };
    // Signal 0 asks and does nothing.
    worst([
        ("kill", Outcome::of(sys!(libc::SYS_kill, outside, 0), &[])),
        ("tgkill", Outcome::of(sys!(libc::SYS_tgkill, outside, outside, 0), &[])),
        ("its group", Outcome::of(sys!(libc::SYS_kill, outside.wrapping_neg(), 0), &[])),
    ])
}

fn stop_init() -> Outcome {
    // Inside, the kernel drops the signal; outside it would stop the machine. The first processes of a namespace have
    // the lowest numbers.
    if std::os::unix::process::parent_id() > 10 {
        return Outcome::not_applicable("this is not a pid namespace of its own");
    }
    sys!(libc::SYS_kill, 1, libc::SIGSTOP).ok();
    let stopped = fs::read_to_string("/proc/1/stat").is_ok_and(|stat| {
        stat.rsplit(')').next().is_some_and(|rest| matches!(rest.trim().chars().next(), Some('T' | 't')))
    });
    if stopped { Outcome::open("it stopped") } else { Outcome::refused("it goes on") }
}

fn others(context: &Context) -> Outcome {
    let own = std::process::id() as i32;
    let main = std::os::unix::process::parent_id() as i32;
    let strangers: Vec<_> = visible().into_iter().filter(|pid| ![1, own, main, context.parent].contains(pid)).collect();
    match strangers.first() {
        Some(pid) => {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            Outcome::open(format!("{} of them, as {}", strangers.len(), name.trim()))
        }
        None => Outcome::absent("nobody"),
    }
}
