//! What a call that is allowed may still not be asked for: conditions on the arguments that the kernel sees.
//!
//! A program for seccomp(2) sees numbers, not what pointers lead to. Calls that hide their arguments behind a pointer
//! answer ENOSYS, on which the C library falls back to the older call that shows them. The rules and their errors are
//! those of systemd's directives of the same names, systemd.exec(5), where not said otherwise.

use std::collections::BTreeMap;

use super::AddressFamily;

/// `TIOCSTI` and `TIOCLINUX`, asm-generic/ioctls.h: both put keystrokes into a terminal (CVE-2017-5226, CVE-2023-28100).
const TERMINAL_INPUT: [u32; 2] = [0x5412, 0x541c];
/// Every `CLONE_NEW*` flag of linux/sched.h but `CLONE_NEWTIME`, which shares its bit with the exit signal of clone(2).
const NAMESPACES: u32 = 0x7e02_0000;
/// `CLONE_NEWTIME`, for unshare(2) alone.
const TIME_NAMESPACE: u32 = 0x80;
const SET_ID: u32 = 0o6000;
/// `O_CREAT`, and the bit of `O_TMPFILE` that is its own.
const CREATES: u32 = 0o100 | 0o20_000_000;
const WRITE: u32 = 2;
const EXECUTE: u32 = 4;
const SHM_EXEC: u32 = 0o100_000;
/// `SCHED_OTHER`, `SCHED_BATCH` and `SCHED_IDLE`.
const ORDINARY_SCHEDULING: [u32; 3] = [0, 3, 5];
const RESET_ON_FORK: u32 = 0x4000_0000;
const AF_UNIX: u32 = 1;
const AF_NETLINK: u32 = 16;
const NETLINK_ROUTE: u32 = 0;
const IPPROTO_MPTCP: u32 = 262;
const MSG_FASTOPEN: u32 = 0x2000_0000;

pub(super) const EPERM: u16 = 1;
pub(super) const ENOSYS: u16 = 38;
const EPROTONOSUPPORT: u16 = 93;
const EAFNOSUPPORT: u16 = 97;

/// The settings that look at arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restrictions {
    /// The families of which sockets can be made.
    pub address_families: Vec<AddressFamily>,
    /// No file becomes setuid or setgid.
    pub suid_sgid: bool,
    /// No real-time scheduling.
    pub realtime: bool,
    /// No namespace is made or entered.
    pub namespaces: bool,
    /// The execution domain stays.
    pub lock_personality: bool,
    /// Memory is never writable and executable, nor becomes executable.
    pub memory_deny_write_execute: bool,
    /// TCP ports are restricted elsewhere; ways of connecting that are not asked there are closed.
    pub tcp_ports: bool,
    /// Of netlink(7) only questions about routes and addresses.
    pub netlink: bool,
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Allow,
    Refuse(u16),
    /// Refused by the first clause that holds, allowed when none does.
    Unless(Vec<Clause>),
}

/// Holds when all of its conditions hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) errno: u16,
    pub(super) conditions: Vec<Condition>,
}

/// A condition on the lower half of an argument; every argument that is looked at is an `int` to the kernel, which
/// ignores the upper half too (CVE-2019-10063).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    /// 0 to 5.
    pub(super) argument: u32,
    pub(super) test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    /// One of the bits at least is set.
    AnyBit(u32),
    /// All of the bits are set.
    AllBits(u32),
    /// It is this value.
    Is(u32),
    /// Without the bits `ignore` it is none of the values.
    NoneOf { ignore: u32, values: Vec<u32> },
}

impl Restrictions {
    /// Those that hold, by the profile's keys, each with how.
    pub(super) fn settings(&self) -> BTreeMap<String, String> {
        let families: Vec<_> = self.address_families.iter().map(ToString::to_string).collect();
        let families = if families.is_empty() { "no sockets but pairs".to_owned() } else { families.join(" ") };
        let switches = [
            ("restrict_suid_sgid", self.suid_sgid, "no mode with a setuid or setgid bit"),
            ("restrict_realtime", self.realtime, "ordinary scheduling policies alone"),
            ("restrict_namespaces", self.namespaces, "none is made or entered"),
            ("lock_personality", self.lock_personality, "the execution domain stays"),
            ("memory_deny_write_execute", self.memory_deny_write_execute, "nothing becomes executable in memory"),
        ];
        let held = switches.into_iter().filter(|(_, holds, _)| *holds).map(|(key, _, how)| (key, how.to_owned()));
        std::iter::once(("restrict_address_families", families))
            .chain(held)
            .map(|(key, how)| (key.to_owned(), format!("seccomp: {how}")))
            .collect()
    }

    /// What becomes of a call that the list of calls allows.
    pub(super) fn verdict(&self, call: &str) -> Verdict {
        let mut clauses = Vec::new();
        let mut refuse = |errno, tests: &[(u32, Test)]| {
            let condition = |(argument, test): &(u32, Test)| Condition { argument: *argument, test: test.clone() };
            clauses.push(Clause { errno, conditions: tests.iter().map(condition).collect() });
        };
        match call {
            "ioctl" => TERMINAL_INPUT.iter().for_each(|request| refuse(EPERM, &[(1, Test::Is(*request))])),
            "clone" if self.namespaces => refuse(EPERM, &[(0, Test::AnyBit(NAMESPACES))]),
            "unshare" if self.namespaces => refuse(EPERM, &[(0, Test::AnyBit(NAMESPACES | TIME_NAMESPACE))]),
            "setns" if self.namespaces => return Verdict::Refuse(EPERM),
            "clone3" if self.namespaces => return Verdict::Refuse(ENOSYS),
            "socket" => {
                let values = self.address_families.iter().map(|family| family.number()).collect();
                refuse(EAFNOSUPPORT, &[(0, Test::NoneOf { ignore: 0, values })]);
                // Landlock asks about ports for TCP alone, and filters of packets see several connections in one of these.
                refuse(EPROTONOSUPPORT, &[(2, Test::Is(IPPROTO_MPTCP))]);
                if self.netlink {
                    let others = Test::NoneOf { ignore: 0, values: vec![NETLINK_ROUTE] };
                    refuse(EPROTONOSUPPORT, &[(0, Test::Is(AF_NETLINK)), (2, others)]);
                }
            }
            "socketpair" => refuse(EAFNOSUPPORT, &[(0, Test::NoneOf { ignore: 0, values: vec![AF_UNIX] })]),
            // A connection that is made by its first data is not asked about either.
            "sendto" | "sendmmsg" if self.tcp_ports => refuse(EPERM, &[(3, Test::AnyBit(MSG_FASTOPEN))]),
            "sendmsg" if self.tcp_ports => refuse(EPERM, &[(2, Test::AnyBit(MSG_FASTOPEN))]),
            "chmod" | "fchmod" | "creat" | "mknod" if self.suid_sgid => refuse(EPERM, &[(1, Test::AnyBit(SET_ID))]),
            "fchmodat" | "fchmodat2" | "mknodat" if self.suid_sgid => refuse(EPERM, &[(2, Test::AnyBit(SET_ID))]),
            "open" if self.suid_sgid => refuse(EPERM, &[(1, Test::AnyBit(CREATES)), (2, Test::AnyBit(SET_ID))]),
            "openat" if self.suid_sgid => refuse(EPERM, &[(2, Test::AnyBit(CREATES)), (3, Test::AnyBit(SET_ID))]),
            "openat2" if self.suid_sgid => return Verdict::Refuse(ENOSYS),
            "sched_setscheduler" if self.realtime => {
                let values = ORDINARY_SCHEDULING.to_vec();
                refuse(EPERM, &[(1, Test::NoneOf { ignore: RESET_ON_FORK, values })]);
            }
            // Its policy lies behind a pointer, and there is nothing to fall back to for deadlines.
            "sched_setattr" if self.realtime => return Verdict::Refuse(EPERM),
            // Of its own limits; those of another process, init's among them, are nobody's to change.
            "prlimit64" => refuse(EPERM, &[(0, Test::NoneOf { ignore: 0, values: vec![0] })]),
            // Asking for the present one is no change.
            "personality" if self.lock_personality => {
                refuse(EPERM, &[(0, Test::NoneOf { ignore: 0, values: vec![0, u32::MAX] })]);
            }
            "mmap" if self.memory_deny_write_execute => refuse(EPERM, &[(2, Test::AllBits(WRITE | EXECUTE))]),
            "mprotect" | "pkey_mprotect" if self.memory_deny_write_execute => {
                refuse(EPERM, &[(2, Test::AnyBit(EXECUTE))]);
            }
            "shmat" if self.memory_deny_write_execute => refuse(EPERM, &[(2, Test::AnyBit(SHM_EXEC))]),
            _ => {}
        }
        if clauses.is_empty() { Verdict::Allow } else { Verdict::Unless(clauses) }
    }
}
