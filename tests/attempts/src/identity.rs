//! Lines 64, 65, 76 and 77: what this process is allowed to be, and what it was given to know.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use nix::errno::Errno;
use nix::libc;

use crate::Attempt;
use crate::outcome::{Outcome, worst};
use crate::raw::{at, into, sys};

pub const ATTEMPTS: &[Attempt] = &[
    ("64a", "a setuid program that gains something", |_| new_privileges()),
    ("64b", "become user 0", |_| become_root()),
    ("64c", "become another user", |_| become_another()),
    ("64d", "run a setuid program", |_| set_user_id_program()),
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

// The three that modules get at most, by their numbers in linux/capability.h: CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER.
const OF_FILES: u64 = 1 << 0 | 1 << 1 | 1 << 3;

fn dangerous() -> Outcome {
    let Some((bounding, permitted)) = status("CapBnd:").zip(status("CapPrm:")) else {
        return Outcome::absent("no /proc/self/status");
    };
    let beyond = (bounding | permitted) & !OF_FILES;
    if beyond == 0 { Outcome::refused("none") } else { Outcome::open(format!("{beyond:x}")) }
}

// A program that waits for a password is looked at meanwhile: whose rights does it have?
fn set_user_id_program() -> Outcome {
    if is_root() {
        return Outcome::not_applicable("is user 0 already");
    }
    let path = ["/usr/bin/su", "/bin/su", "/usr/bin/newgrp", "/usr/bin/passwd"]
        .into_iter()
        .find(|path| fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o4000 != 0));
    let Some(path) = path else { return Outcome::absent("no setuid program") };
    let program =
        std::process::Command::new(path).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut program) = program else { return Outcome::refused("it does not start") };
    // spawn returns after execve, so that what is seen is the program itself; one that has ended shows no line.
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap_or_default();
    program.kill().ok();
    program.wait().ok();
    match status.lines().find(|line| line.starts_with("Uid:")).and_then(|line| line.split_whitespace().nth(2)) {
        Some("0") => Outcome::open(path),
        Some(_) => Outcome::refused("runs as the same user"),
        None => Outcome::refused("it ended at once"),
    }
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
