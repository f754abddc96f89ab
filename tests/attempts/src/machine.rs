//! Lines 51 to 63: parts of the kernel that no update module needs, by the system calls that lead there. What would
//! change the machine is asked for with arguments that fail after the kernel has looked at permissions.

use std::fs;

use nix::errno::Errno;
use nix::libc;

use crate::Attempt;
use crate::files::writable;
use crate::outcome::{Outcome, worst};
use crate::raw::{self, Answer, at, getpid_by_int80, in_child, into, sys};

pub const ATTEMPTS: &[Attempt] = &[
    ("51a", "io_uring_setup", |_| io_uring(libc::SYS_io_uring_setup)),
    ("51b", "io_uring_enter", |_| Outcome::of(sys!(libc::SYS_io_uring_enter, -1_i32, 0, 0, 0, 0, 0), &[Errno::EBADF])),
    ("51c", "io_uring_register", |_| {
        Outcome::of(sys!(libc::SYS_io_uring_register, -1_i32, 0, 0, 0), &[Errno::EBADF, Errno::EINVAL])
    }),
    ("51d", "io_uring_setup with high bits in its number", |_| io_uring(libc::SYS_io_uring_setup | (1 << 32))),
    ("52a", "userfaultfd", |_| Outcome::of(sys!(libc::SYS_userfaultfd, libc::O_CLOEXEC), &[])),
    ("52b", "userfaultfd for user mode only", |_| Outcome::of(sys!(libc::SYS_userfaultfd, libc::O_CLOEXEC | 1), &[])),
    ("53a", "bpf: make a map", |_| bpf(0)),
    ("53b", "bpf: load a program", |_| bpf(5)),
    ("53c", "bpf: a pinned object", |_| bpf(7)),
    ("54a", "perf_event_open", |_| perf()),
    ("54b", "fanotify_init", |_| Outcome::of(sys!(libc::SYS_fanotify_init, 0x200, 0), &[])),
    ("55a", "keyctl", |_| Outcome::of(sys!(libc::SYS_keyctl, 0, -3_i32, 1), &[Errno::ENOKEY])),
    ("55b", "add_key", |_| add_key()),
    ("55c", "request_key", |_| request_key()),
    ("55d", "read /proc/keys", |_| match fs::read_to_string("/proc/keys") {
        Ok(keys) if keys.is_empty() => Outcome::absent("no key"),
        Ok(_) => Outcome::open("keys are listed"),
        Err(error) => Outcome::of(Err(Errno::from_raw(error.raw_os_error().unwrap_or(0))), &[]),
    }),
    // More segments than there can be: EINVAL comes after CAP_SYS_BOOT was looked for.
    ("56a", "kexec_load", |_| Outcome::of(sys!(libc::SYS_kexec_load, 0, 10_000, 0, 0x4000), &[Errno::EINVAL])),
    ("56b", "kexec_file_load", |_| {
        Outcome::of(sys!(libc::SYS_kexec_file_load, -1_i32, -1_i32, 0, 0, 0x8000), &[Errno::EINVAL, Errno::EBADF])
    }),
    ("56c", "init_module", |_| {
        Outcome::of(sys!(libc::SYS_init_module, 0, 0, c"".as_ptr()), &[Errno::ENOEXEC, Errno::EFAULT])
    }),
    ("56d", "finit_module", |_| {
        Outcome::of(sys!(libc::SYS_finit_module, -1_i32, c"".as_ptr(), 0), &[Errno::EBADF, Errno::ENOEXEC])
    }),
    ("56e", "delete_module", |_| delete_module()),
    // Magic numbers that are none: EINVAL comes after CAP_SYS_BOOT was looked for.
    ("56f", "reboot", |_| Outcome::of(sys!(libc::SYS_reboot, 0, 0, 0, 0), &[Errno::EINVAL])),
    ("56g", "swapon, swapoff", |_| {
        worst([
            ("swapon", by_name(sys!(libc::SYS_swapon, c"/nowhere".as_ptr(), 0))),
            ("swapoff", by_name(sys!(libc::SYS_swapoff, c"/nowhere".as_ptr()))),
        ])
    }),
    ("56h", "acct, quotactl", |_| {
        worst([
            ("acct", by_name(sys!(libc::SYS_acct, c"/nowhere".as_ptr()))),
            (
                "quotactl",
                Outcome::of(sys!(libc::SYS_quotactl, 0x8000_0100_u32, 0, 0, 0), &[Errno::ENOTBLK, Errno::ENODEV]),
            ),
        ])
    }),
    ("56i", "iopl, ioperm", |_| {
        worst([
            ("iopl", Outcome::of(port(libc::SYS_iopl, [3, 0, 0]), &[])),
            ("ioperm", Outcome::of(port(libc::SYS_ioperm, [0x80, 1, 1]), &[])),
        ])
    }),
    ("57a", "settimeofday", |_| Outcome::of(sys!(libc::SYS_settimeofday, 0, 0), &[])),
    ("57b", "adjtimex", |_| adjust()),
    ("57c", "sethostname", |_| Outcome::of(sys!(libc::SYS_sethostname, c"x".as_ptr(), -1_i32), &[Errno::EINVAL])),
    ("57d", "setdomainname", |_| Outcome::of(sys!(libc::SYS_setdomainname, c"x".as_ptr(), -1_i32), &[Errno::EINVAL])),
    ("58a", "personality without address randomisation", |_| Outcome::of(sys!(libc::SYS_personality, 0x004_0000), &[])),
    ("58b", "personality that makes readable memory executable", |_| {
        Outcome::of(sys!(libc::SYS_personality, 0x040_0000), &[])
    }),
    ("58c", "modify_ldt", |_| modify_ldt()),
    ("59a", "int 0x80", |_| int80()),
    ("60a", "an x32 number", |_| x32(39)),
    ("60b", "an x32 number of its own range", |_| match sys!(0x4000_0000 | 521, -1_i32, 0, 0) {
        // ptrace in the x32 table; ESRCH and the like would be its own answer.
        Err(Errno::ENOSYS) => Outcome::refused("ENOSYS"),
        Err(Errno::EPERM) => Outcome::refused("EPERM"),
        other => Outcome::of(other, &[Errno::ESRCH, Errno::EIO]),
    }),
    ("61a", "TIOCSTI", |_| terminal(0x5412, 0)),
    ("61b", "TIOCLINUX", |_| terminal(0x541c, 0)),
    ("61c", "open the controlling terminal", |_| writable("/dev/tty")),
    ("62a", "TIOCSTI with high bits set (CVE-2019-10063)", |_| terminal(0x5412, 1 << 32)),
    ("62b", "TIOCLINUX with high bits set", |_| terminal(0x541c, 1 << 63)),
    ("63a", "SCHED_FIFO", |_| scheduler(libc::SCHED_FIFO)),
    ("63b", "SCHED_RR", |_| scheduler(libc::SCHED_RR)),
    ("63c", "SCHED_DEADLINE", |_| deadline()),
    ("63d", "a nice value of -20", |_| Outcome::of(sys!(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, -20_i32), &[])),
    ("63e", "the real-time class of disk access", |_| Outcome::of(sys!(libc::SYS_ioprio_set, 1, 0, 1 << 13), &[])),
    ("63f", "be the last that is killed for want of memory", |_| {
        match fs::write("/proc/self/oom_score_adj", "-1000") {
            Ok(()) => Outcome::open("-1000"),
            Err(error) => Outcome::of(Err(Errno::from_raw(error.raw_os_error().unwrap_or(0))), &[]),
        }
    }),
];

fn io_uring(number: i64) -> Outcome {
    let mut parameters = [0_u32; 30];
    Outcome::of(sys!(number, 1, into(&mut parameters)), &[Errno::EFAULT, Errno::EINVAL, Errno::ENOMEM])
}

fn bpf(command: i32) -> Outcome {
    let mut attributes = [0_u32; 32];
    match command {
        0 => attributes[..4].copy_from_slice(&[2, 4, 4, 1]), // an array of one number
        5 => attributes[..2].copy_from_slice(&[1, 0]),       // a socket filter of no instruction: E2BIG
        _ => {
            let path = at(c"/sys/fs/bpf/x") as u64;
            attributes[0] = path as u32;
            attributes[1] = (path >> 32) as u32;
        }
    }
    let answer = sys!(libc::SYS_bpf, command, at(&attributes), 128);
    let absent = command == 7 && answer == Err(Errno::ENOENT);
    // An object by its path is looked up before any permission.
    if absent {
        Outcome::open("permitted, then ENOENT")
    } else {
        Outcome::of(answer, &[Errno::EINVAL, Errno::E2BIG, Errno::EFAULT])
    }
}

fn perf() -> Outcome {
    let mut attributes = [0_u32; 32];
    attributes[0] = 1; // PERF_TYPE_SOFTWARE
    attributes[1] = 128;
    Outcome::of(sys!(libc::SYS_perf_event_open, at(&attributes), 0, -1_i32, -1_i32, 0), &[Errno::EINVAL])
}

fn add_key() -> Outcome {
    let process_keyring = -2_i32;
    let (kind, name, value) = (c"user".as_ptr(), c"attempt".as_ptr(), c"x".as_ptr());
    Outcome::of(sys!(libc::SYS_add_key, kind, name, value, 1, process_keyring), &[])
}

fn request_key() -> Outcome {
    let answer = sys!(libc::SYS_request_key, c"user".as_ptr(), c"attempt-none".as_ptr(), 0, 0);
    Outcome::of(answer, &[Errno::ENOKEY])
}

fn delete_module() -> Outcome {
    by_name(sys!(libc::SYS_delete_module, c"attempt_none".as_ptr(), libc::O_NONBLOCK))
}

// That the name does not exist is found out after permission was given.
fn by_name(answer: Answer) -> Outcome {
    match answer {
        Err(Errno::ENOENT) => Outcome::open("permitted, then ENOENT"),
        other => Outcome::of(other, &[Errno::EINVAL]),
    }
}

fn port(number: i64, arguments: [usize; 3]) -> Answer {
    raw::call(number, &arguments)
}

fn adjust() -> Outcome {
    let mut timex = [0_u64; 32];
    // ADJ_TICK with a tick that is none: EINVAL comes after CAP_SYS_TIME was looked for.
    timex[0] = 0x4000;
    worst([
        ("adjtimex", Outcome::of(sys!(libc::SYS_adjtimex, into(&mut timex)), &[Errno::EINVAL])),
        ("clock_adjtime", Outcome::of(sys!(libc::SYS_clock_adjtime, 0, into(&mut timex)), &[Errno::EINVAL])),
    ])
}

fn modify_ldt() -> Outcome {
    // struct user_desc: entry 0, a writable data segment of no use to anybody.
    let segment = [0_u32, 0, 0xffff, 1];
    Outcome::of(sys!(libc::SYS_modify_ldt, 1, at(&segment), 16), &[Errno::EINVAL])
}

fn int80() -> Outcome {
    let own = i64::from(std::process::id());
    match getpid_by_int80() {
        None => Outcome::not_applicable("another processor"),
        Some(pid) if pid == own => Outcome::open("it answered"),
        Some(answer) => Outcome::refused(format!("{:?}", Errno::from_raw(answer.wrapping_neg() as i32))),
    }
}

fn x32(number: i64) -> Outcome {
    let answer = sys!(0x4000_0000 | number);
    match answer {
        Ok(_) => Outcome::open("it answered"),
        error => Outcome::of(error, &[]),
    }
}

// On a terminal of its own, so that nobody's shell gets the byte. A filter refuses with EPERM before the kernel looks at
// anything; ENOTTY and EIO mean that there was no filter, and that this kernel or terminal has nothing to offer.
fn terminal(request: u64, high: u64) -> Outcome {
    let code = in_child(|| {
        sys!(libc::SYS_setsid).ok();
        let Ok(master) = raw::open("/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY) else { return 250 };
        let (mut number, unlocked) = (0_u32, 0_i32);
        let named = sys!(libc::SYS_ioctl, master, libc::TIOCGPTN, into(&mut number)).is_ok()
            && sys!(libc::SYS_ioctl, master, libc::TIOCSPTLCK, at(&unlocked)).is_ok();
        let Ok(slave) = raw::open(format!("/dev/pts/{number}"), libc::O_RDWR | libc::O_NOCTTY) else { return 250 };
        let own = sys!(libc::SYS_ioctl, slave, libc::TIOCSCTTY, 0);
        if !named || own.is_err() {
            return 250;
        }
        // For TIOCLINUX the first byte is a subcode: 2 sets the selection, 3 pastes it, 10 changes nothing of note.
        let byte = [if request == 0x5412 { b'x' } else { 6 }, 0, 0, 0];
        match sys!(libc::SYS_ioctl, slave, request | high, at(&byte)) {
            Ok(_) => 0,
            Err(error) => error as i32,
        }
    });
    match code {
        Some(0) => Outcome::open("the terminal took it"),
        Some(250) => Outcome::absent("no terminal can be made"),
        Some(error) => match Errno::from_raw(error) {
            Errno::EIO => Outcome::refused("EIO: the kernel has it switched off"),
            Errno::ENOTTY => Outcome::absent("ENOTTY: no console"),
            error => Outcome::of(Err(error), &[]),
        },
        None => Outcome::refused("killed"),
    }
}

fn scheduler(policy: i32) -> Outcome {
    let priority = [1_i32];
    Outcome::of(sys!(libc::SYS_sched_setscheduler, 0, policy, at(&priority)), &[])
}

fn deadline() -> Outcome {
    // struct sched_attr: size and policy; flags; nice and priority; runtime, deadline and period in nanoseconds.
    let attributes: [u64; 6] = [48 | (6 << 32), 0, 0, 1_000_000, 100_000_000, 100_000_000];
    Outcome::of(sys!(libc::SYS_sched_setattr, 0, at(&attributes), 0), &[Errno::EBUSY])
}
