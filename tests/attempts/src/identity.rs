//! Lines 64, 65, 76 and 77: what this process is allowed to be, and what it was given to know.

use std::fs;

use nix::errno::Errno;
use nix::libc;

use crate::Attempt;
use crate::outcome::{Outcome, worst};
use crate::raw::{at, into, sys};

pub const ATTEMPTS: &[Attempt] = &[
    ("64a", "a setuid program that gains something", |_| new_privileges()),
    ("64b", "become user 0", |_| become_root()),
    ("64c", "become another user", |_| become_another()),
    ("65a", "inheritable capabilities", |_| any_of("CapInh:")),
    ("65b", "ambient capabilities", |_| any_of("CapAmb:")),
    ("65c", "a capability that reaches beyond declared files", |_| dangerous()),
    ("65d", "raise a capability", |_| raise()),
    ("65e", "raise an ambient capability", |_| {
        worst([
            ("CAP_CHOWN", Outcome::of(sys!(libc::SYS_prctl, libc::PR_CAP_AMBIENT, 2, 0, 0, 0), &[])),
            ("CAP_DAC_OVERRIDE", Outcome::of(sys!(libc::SYS_prctl, libc::PR_CAP_AMBIENT, 2, 1, 0, 0), &[])),
        ])
    }),
    ("65f", "change the secure bits", |_| Outcome::of(sys!(libc::SYS_prctl, libc::PR_SET_SECUREBITS, 0), &[])),
    ("76", "an environment variable that loads code", |_| environment()),
    ("77", "a secret in the environment", |_| match std::env::var_os("SECRET_OF_THE_SERVICE") {
        Some(_) => Outcome::open("SECRET_OF_THE_SERVICE"),
        None => Outcome::absent("not there"),
    }),
];

fn status(key: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(key))?;
    u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok()
}

fn new_privileges() -> Outcome {
    match sys!(libc::SYS_prctl, libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) {
        Ok(1) => Outcome::refused("no_new_privs"),
        Ok(_) => Outcome::open("no_new_privs is not set"),
        error => Outcome::of(error, &[]),
    }
}

fn is_root() -> bool {
    sys!(libc::SYS_geteuid) == Ok(0)
}

fn become_root() -> Outcome {
    if is_root() {
        return Outcome::not_applicable("is user 0 already");
    }
    worst([
        ("setuid", Outcome::of(sys!(libc::SYS_setuid, 0), &[])),
        ("setresuid", Outcome::of(sys!(libc::SYS_setresuid, 0, 0, 0), &[])),
        ("setgid", Outcome::of(sys!(libc::SYS_setgid, 0), &[])),
        ("setgroups", Outcome::of(sys!(libc::SYS_setgroups, 1, at(&[0_u32])), &[])),
    ])
}

fn become_another() -> Outcome {
    // The last one first: a group can be changed only while one still may.
    worst([
        ("setgroups", Outcome::of(sys!(libc::SYS_setgroups, 1, at(&[4_u32])), &[])),
        ("setgid", Outcome::of(sys!(libc::SYS_setgid, 33), &[])),
        ("setuid", Outcome::of(sys!(libc::SYS_setuid, 33), &[])),
    ])
}

fn any_of(key: &str) -> Outcome {
    match status(key) {
        Some(0) => Outcome::refused("none"),
        Some(set) => Outcome::open(format!("{set:x}")),
        None => Outcome::absent("no /proc/self/status"),
    }
}

// By their numbers in linux/capability.h.
const DANGEROUS: [(u32, &str); 23] = [
    (2, "CAP_DAC_READ_SEARCH"),
    (5, "CAP_KILL"),
    (8, "CAP_SETPCAP"),
    (9, "CAP_LINUX_IMMUTABLE"),
    (12, "CAP_NET_ADMIN"),
    (13, "CAP_NET_RAW"),
    (14, "CAP_IPC_LOCK"),
    (16, "CAP_SYS_MODULE"),
    (17, "CAP_SYS_RAWIO"),
    (18, "CAP_SYS_CHROOT"),
    (19, "CAP_SYS_PTRACE"),
    (20, "CAP_SYS_PACCT"),
    (21, "CAP_SYS_ADMIN"),
    (22, "CAP_SYS_BOOT"),
    (23, "CAP_SYS_NICE"),
    (24, "CAP_SYS_RESOURCE"),
    (25, "CAP_SYS_TIME"),
    (26, "CAP_SYS_TTY_CONFIG"),
    (27, "CAP_MKNOD"),
    (31, "CAP_SETFCAP"),
    (33, "CAP_MAC_ADMIN"),
    (34, "CAP_SYSLOG"),
    (39, "CAP_BPF"),
];

fn dangerous() -> Outcome {
    let held = status("CapBnd:").unwrap_or(0) | status("CapPrm:").unwrap_or(0);
    let names: Vec<_> =
        DANGEROUS.iter().filter(|(number, _)| held & (1 << number) != 0).map(|(_, name)| *name).collect();
    if names.is_empty() { Outcome::refused(format!("{held:x}")) } else { Outcome::open(names.join(" ")) }
}

fn raise() -> Outcome {
    // Version 3 of the structure, this process; then effective, permitted, inheritable, twice 32 bits.
    let (mut header, mut sets) = ([0x2008_0522_u32, 0], [0_u32; 6]);
    if let Err(error) = sys!(libc::SYS_capget, into(&mut header), into(&mut sets)) {
        return Outcome::of(Err(error), &[]);
    }
    let before = sets;
    sets[1] |= 1 << 21;
    sets[0] |= 1 << 21;
    if sets[1] == before[1] {
        return Outcome::open("CAP_SYS_ADMIN is permitted");
    }
    Outcome::of(sys!(libc::SYS_capset, at(&header), at(&sets)), &[Errno::EFAULT])
}

fn environment() -> Outcome {
    let loads = |name: &str| {
        ["LD_", "PYTHON", "PERL", "RUBY", "GIT_", "BASH_", "GCONV_", "MALLOC_"]
            .iter()
            .any(|start| name.starts_with(start))
            || ["ENV", "IFS", "NODE_OPTIONS", "LOCPATH", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK"]
                .contains(&name)
    };
    let found: Vec<_> =
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| loads(name)).collect();
    if found.is_empty() { Outcome::absent("none") } else { Outcome::open(found.join(" ")) }
}
