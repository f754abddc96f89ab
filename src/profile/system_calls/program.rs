//! Classic BPF as seccomp(2) takes it: instructions, and their bytes.
//!
//! Codes are those of linux/bpf_common.h and linux/filter.h, offsets those of `struct seccomp_data`.

use std::fmt::Write;

/// The kernel takes no program with more instructions (`BPF_MAXINSNS`).
pub(super) const MOST: usize = 4096;

pub(super) const LOAD: u16 = 0x20;
pub(super) const AND: u16 = 0x54;
pub(super) const JUMP: u16 = 0x05;
pub(super) const IF_EQUAL: u16 = 0x15;
pub(super) const IF_AT_LEAST: u16 = 0x35;
pub(super) const IF_ANY_BIT: u16 = 0x45;
pub(super) const RETURN: u16 = 0x06;

/// `SECCOMP_RET_*` of linux/seccomp.h.
pub(super) const KILL_PROCESS: u32 = 0x8000_0000;
pub(super) const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

/// Offset of the number of the call.
pub(super) const NUMBER: u32 = 0;
/// Offset of the architecture.
pub(super) const ARCHITECTURE: u32 = 4;

/// `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    /// How many instructions are passed over when the test holds.
    pub(super) if_true: u8,
    /// How many when it does not.
    pub(super) if_false: u8,
    pub(super) k: u32,
}

pub(super) fn load(offset: u32) -> Instruction {
    Instruction { code: LOAD, if_true: 0, if_false: 0, k: offset }
}

pub(super) fn and(mask: u32) -> Instruction {
    Instruction { code: AND, if_true: 0, if_false: 0, k: mask }
}

pub(super) fn jump(over: usize) -> Instruction {
    // No program is longer than `MOST`.
    Instruction { code: JUMP, if_true: 0, if_false: 0, k: over as u32 }
}

pub(super) fn test(code: u16, k: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction { code, if_true, if_false, k }
}

pub(super) fn give(action: u32) -> Instruction {
    Instruction { code: RETURN, if_true: 0, if_false: 0, k: action }
}

pub(super) fn refuse(errno: u16) -> Instruction {
    give(ERRNO | u32::from(errno))
}

/// Offset of the lower half of an argument, 0 to 5.
pub(super) fn argument(index: u32) -> u32 {
    16 + 8 * index + if cfg!(target_endian = "big") { 4 } else { 0 }
}

/// The bytes in this machine's order, as hexadecimal digits.
pub(super) fn hexadecimal(program: &[Instruction]) -> String {
    let mut text = String::with_capacity(program.len() * 16);
    for Instruction { code, if_true, if_false, k } in program {
        let bytes = code.to_ne_bytes().into_iter().chain([*if_true, *if_false]).chain(k.to_ne_bytes());
        for byte in bytes {
            // Writing to a string can't fail.
            write!(text, "{byte:02x}").unwrap_or_default();
        }
    }
    text
}
