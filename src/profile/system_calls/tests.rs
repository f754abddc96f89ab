//! The groups against systemd's, and the programs against a small interpreter of classic BPF.

use std::collections::BTreeSet;
use std::process::Command;

use proptest::prelude::*;
use syscalls::Sysno;

use super::compile::{NATIVE, Range, X32, compile, ranges};
use super::names::{group_names, number};
use super::program::{
    ALLOW, AND, ARCHITECTURE, IF_ANY_BIT, IF_AT_LEAST, IF_EQUAL, Instruction, JUMP, KILL_PROCESS, LOAD, MOST, NUMBER,
    RETURN, hexadecimal,
};
use super::restrict::{ENOSYS, EPERM, Verdict};
use super::*;

const X86: u32 = 0x4000_0003;
const REFUSED: u32 = 0x0005_0000 | EPERM as u32;
const UNKNOWN: u32 = 0x0005_0000 | ENOSYS as u32;
const NO_FAMILY: u32 = 0x0005_0000 | 97;

/// What the kernel would answer.
fn run(program: &[Instruction], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let (mut at, mut accumulator) = (0, 0);
    loop {
        let Instruction { code, if_true, if_false, k } = program[at];
        at += 1;
        let mut branch = |holds: bool| at += usize::from(if holds { if_true } else { if_false });
        match code {
            LOAD => {
                accumulator = match k {
                    NUMBER => number,
                    ARCHITECTURE => architecture,
                    _ => {
                        let (index, rest) = ((k as usize - 16) / 8, (k - 16) % 8);
                        assert_eq!(rest, if cfg!(target_endian = "big") { 4 } else { 0 }, "not the lower half");
                        arguments[index] as u32
                    }
                }
            }
            AND => accumulator &= k,
            JUMP => at += k as usize,
            IF_EQUAL => branch(accumulator == k),
            IF_AT_LEAST => branch(accumulator >= k),
            IF_ANY_BIT => branch(accumulator & k != 0),
            RETURN => return k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn entries(texts: &[&str]) -> Vec<SystemCallEntry> {
    texts.iter().map(|text| SystemCallEntry::parse(text).unwrap()).collect()
}

fn everything() -> Restrictions {
    Restrictions {
        address_families: vec![AddressFamily::parse("AF_UNIX").unwrap(), AddressFamily::parse("AF_INET").unwrap()],
        suid_sgid: true,
        realtime: true,
        namespaces: true,
        lock_personality: true,
        memory_deny_write_execute: true,
        tcp_ports: true,
        netlink: true,
    }
}

fn program(texts: &[&str], restrictions: &Restrictions) -> Vec<Instruction> {
    compile(&ranges(&allowed(&entries(texts)), restrictions))
}

fn called(program: &[Instruction], name: &str, arguments: &[u64]) -> u32 {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    run(program, NATIVE, number(name).unwrap(), all)
}

#[test]
fn the_groups_hold_what_the_installed_systemd_has_in_them() {
    let Ok(output) = Command::new("systemd-analyze").args(["syscall-filter", "--no-pager"]).output() else {
        eprintln!("skipped: systemd-analyze is not installed");
        return;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let mut current = "";
    let mut checked = 0;
    for line in text.lines().take_while(|line| !line.starts_with('#')) {
        let word = line.trim();
        if line.starts_with('@') {
            current = word;
        } else if !word.is_empty() && !word.starts_with('#') && current != "@known" {
            let ours = group(current);
            let theirs = if word.starts_with('@') { group(word) } else { BTreeSet::from([word]) };
            let missing: Vec<_> =
                theirs.into_iter().filter(|name| number(name).is_some() && !ours.contains(name)).collect();
            assert!(missing.is_empty(), "{current} lacks {missing:?}");
            checked += 1;
        }
    }
    assert!(checked > 300, "only {checked} names were read from systemd-analyze");
}

#[test]
fn every_group_has_calls_here_or_on_another_architecture() {
    for name in group_names() {
        let elsewhere = ["@cpu-emulation", "@raw-io"];
        assert!(!group(name).is_empty() || elsewhere.contains(&name), "{name}");
    }
}

#[test]
fn of_two_entries_about_one_call_the_later_holds() {
    assert!(!allowed(&entries(&["@chown", "~chown"])).contains("chown"));
    assert!(allowed(&entries(&["~@chown", "chown"])).contains("chown"));
    assert!(allowed(&[]).contains("execve"), "@default is always in");
    assert!(allowed(&entries(&["@known"])).len() > 300);
}

#[test]
fn a_slip_in_a_name_finds_the_nearest() {
    let wrong = ["opneat", "@file-sytem", "@nothing-like-it", "no_such_call_at_all"];
    let sentences: Vec<_> = wrong.iter().map(|text| SystemCallEntry::parse(text).unwrap_err()).collect();
    assert_eq!(sentences[0], "is no system call; did you mean \"openat\"?");
    assert_eq!(sentences[1], "is no group of system calls; did you mean \"@file-system\"?");
    assert!(sentences[2].starts_with("is no group of system calls; there are @aio, @basic-io"));
    assert_eq!(sentences[3], "is no system call; syscalls(2) lists them");
    assert!(AddressFamily::parse("AF_INTE").unwrap_err().contains("AF_INET"));
}

#[test]
fn every_number_has_the_verdict_of_its_name() {
    let calls = allowed(&entries(&["@system-service", "~@privileged"]));
    let program = compile(&ranges(&calls, &Restrictions::default()));
    assert!(program.len() < MOST / 2, "{} instructions", program.len());
    for number in (0..2000).chain([X32 - 1, X32, X32 + 1, X32 + 39, u32::MAX]) {
        let known = Sysno::iter().find(|call| call.id() as u32 == number);
        let expected = match known {
            Some(call) if ["ioctl", "socket", "socketpair"].contains(&call.name()) => continue,
            Some(call) if calls.contains(call.name()) => ALLOW,
            Some(_) => REFUSED,
            None if number >= X32 => REFUSED,
            None => UNKNOWN,
        };
        assert_eq!(run(&program, NATIVE, number, [0; 6]), expected, "{number} {known:?}");
        assert_eq!(run(&program, X86, number, [0; 6]), KILL_PROCESS, "{number}");
    }
}

#[test]
fn keystrokes_can_not_be_pushed_into_a_terminal() {
    let program = program(&["@system-service"], &Restrictions::default());
    for request in [0x5412u64, 0x541c, 0x1_0000_5412, 0xffff_ffff_0000_541c] {
        assert_eq!(called(&program, "ioctl", &[0, request]), REFUSED, "{request:#x}");
    }
    assert_eq!(called(&program, "ioctl", &[0, 0x5401]), ALLOW);
}

#[test]
fn sockets_are_of_the_allowed_families() {
    let program = program(&["@system-service"], &everything());
    for (family, answer) in [(1, ALLOW), (2, ALLOW), (10, NO_FAMILY), (16, NO_FAMILY), (38, NO_FAMILY), (44, NO_FAMILY)]
    {
        assert_eq!(called(&program, "socket", &[family, 1, 0]), answer, "{family}");
    }
    assert_eq!(called(&program, "socket", &[0x1_0000_0002, 1, 6]), ALLOW);
    assert_eq!(called(&program, "socket", &[2, 1, 262]), 0x0005_0000 | 93);
    assert_eq!(called(&program, "socketpair", &[1, 1, 0]), ALLOW);
    assert_eq!(called(&program, "socketpair", &[30, 1, 0]), NO_FAMILY);
    assert_eq!(called(&program, "sendto", &[3, 0, 0, 0x2000_0000]), REFUSED);
    let none = self::program(&["@system-service"], &Restrictions::default());
    assert_eq!(called(&none, "socket", &[1, 1, 0]), NO_FAMILY);
    assert_eq!(called(&none, "socketpair", &[1, 1, 0]), ALLOW);
}

#[test]
fn namespaces_are_neither_made_nor_entered() {
    let program = program(&["@system-service"], &everything());
    for flag in [0x0002_0000u64, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
        assert_eq!(called(&program, "clone", &[flag | 17]), REFUSED, "{flag:#x}");
        assert_eq!(called(&program, "unshare", &[flag]), REFUSED, "{flag:#x}");
    }
    assert_eq!(called(&program, "unshare", &[0x80]), REFUSED, "a time namespace");
    assert_eq!(called(&program, "unshare", &[0x400]), ALLOW, "descriptors of one's own");
    assert_eq!(called(&program, "setns", &[3, 0]), REFUSED);
    assert_eq!(called(&program, "clone3", &[0, 88]), UNKNOWN, "the C library falls back to clone");
    // A thread as the C library makes it, and a fork.
    assert_eq!(called(&program, "clone", &[0x003d_0f00]), ALLOW);
    assert_eq!(called(&program, "clone", &[0x0120_0011]), ALLOW);
}

#[test]
fn no_file_becomes_setuid() {
    let program = program(&["@system-service"], &everything());
    assert_eq!(called(&program, "fchmod", &[3, 0o4755]), REFUSED);
    assert_eq!(called(&program, "fchmodat", &[3, 0, 0o2755]), REFUSED);
    assert_eq!(called(&program, "fchmodat", &[3, 0, 0o1777]), ALLOW);
    assert_eq!(called(&program, "fchmodat2", &[3, 0, 0o6755]), REFUSED);
    assert_eq!(called(&program, "openat", &[3, 0, 0o100, 0o4755]), REFUSED);
    assert_eq!(called(&program, "openat", &[3, 0, 0o20_200_000, 0o4755]), REFUSED);
    assert_eq!(called(&program, "openat", &[3, 0, 0, 0o4755]), ALLOW, "nothing is made, so the mode is noise");
    assert_eq!(called(&program, "openat", &[3, 0, 0o200_000, 0o4755]), ALLOW, "O_DIRECTORY alone makes nothing");
    assert_eq!(called(&program, "mkdirat", &[3, 0, 0o2755]), ALLOW);
    assert_eq!(called(&program, "openat2", &[3, 0, 0, 24]), UNKNOWN);
    assert_eq!(called(&program, "mknodat", &[3, 0, 0o104_755]), REFUSED);
}

#[test]
fn scheduling_personality_and_memory_stay_ordinary() {
    let program = program(&["@system-service"], &everything());
    for (policy, answer) in [(0, ALLOW), (1, REFUSED), (2, REFUSED), (3, ALLOW), (5, ALLOW), (6, REFUSED)] {
        assert_eq!(called(&program, "sched_setscheduler", &[0, policy, 0]), answer, "{policy}");
        assert_eq!(called(&program, "sched_setscheduler", &[0, policy | 0x4000_0000, 0]), answer, "{policy}");
    }
    assert_eq!(called(&program, "sched_setattr", &[]), REFUSED);
    assert_eq!(called(&program, "personality", &[0xffff_ffff]), ALLOW);
    assert_eq!(called(&program, "personality", &[0x0004_0000]), REFUSED);
    assert_eq!(called(&program, "mmap", &[0, 4096, 7]), REFUSED);
    assert_eq!(called(&program, "mmap", &[0, 4096, 5]), ALLOW);
    assert_eq!(called(&program, "mprotect", &[0, 4096, 5]), REFUSED);
    assert_eq!(called(&program, "mprotect", &[0, 4096, 3]), ALLOW);
    assert_eq!(called(&program, "shmat", &[0, 0, 0o100_000]), REFUSED);
}

#[test]
fn the_bytes_are_those_of_the_kernels_structure() {
    let text = hexadecimal(&[Instruction { code: 0x15, if_true: 1, if_false: 2, k: 0xc000_003e }]);
    if cfg!(target_endian = "little") {
        assert_eq!(text, "150001023e0000c0");
    }
}

proptest! {
    #[test]
    fn the_tree_finds_what_a_list_would(
        firsts in proptest::collection::btree_set(0u32..5000, 0..900),
        kinds in proptest::collection::vec(0u16..4, 900),
        asked in proptest::collection::vec(0u32..6000, 50),
    ) {
        let firsts: Vec<u32> = firsts.into_iter().filter(|first| *first != 0).collect();
        let ranges: Vec<Range> = std::iter::once(0)
            .chain(firsts)
            .zip(kinds)
            .map(|(first, kind)| Range {
                first,
                verdict: if kind == 0 { Verdict::Allow } else { Verdict::Refuse(kind) },
            })
            .collect();
        let program = compile(&ranges);
        for number in asked.into_iter().chain(ranges.iter().map(|range| range.first)) {
            let range = ranges.iter().rev().find(|range| range.first <= number).unwrap();
            let expected = match range.verdict {
                Verdict::Refuse(errno) => 0x0005_0000 | u32::from(errno),
                _ => ALLOW,
            };
            prop_assert_eq!(run(&program, NATIVE, number, [0; 6]), expected);
        }
    }
}
